// The question in the page's address, so that a result can be shared: ?history=1,2&k=10
// Commas separate ids; one inside an id is written %2C.

const LISTS = ["history", "exclude", "allow"];
const ROW = "in."; // before the names of the inputs of a score

/** Returns the question that an address asks. */
export function readAddress(search) {
  const found = { user: "", history: [], exclude: [], allow: [], k: 10, excludeSeen: true, row: {}, view: "" };
  for (const part of search.replace(/^\?/, "").split("&")) {
    const [key, value = ""] = part.split("=", 2).map((text) => text.replaceAll("+", " "));
    const name = decoded(key);
    if (LISTS.includes(name)) found[name] = value.split(",").filter(Boolean).map(decoded);
    else if (name === "user") found.user = decoded(value);
    else if (name === "k") found.k = Math.max(1, parseInt(value, 10) || 10);
    else if (name === "seen") found.excludeSeen = value !== "shown";
    else if (name === "view") found.view = decoded(value);
    else if (name.startsWith(ROW)) found.row[name.slice(ROW.length)] = decoded(value);
  }
  return found;
}

/** Returns the address of a question; what is as usual is left out. */
export function writeAddress(question) {
  const parts = [];
  if (question.view === "score") {
    parts.push("view=score");
    for (const [name, value] of Object.entries(question.row)) {
      if (value) parts.push(`${ROW}${encodeURIComponent(name)}=${encodeURIComponent(value)}`);
    }
  } else {
    if (question.user) parts.push(`user=${encodeURIComponent(question.user)}`);
    for (const name of LISTS) {
      if (question[name].length) parts.push(`${name}=${question[name].map(encodeURIComponent).join(",")}`);
    }
    if (question.k !== 10) parts.push(`k=${question.k}`);
    if (!question.excludeSeen) parts.push("seen=shown");
  }
  return parts.length ? `?${parts.join("&")}` : location.pathname;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // not ours, but no reason to show nothing
  }
}
