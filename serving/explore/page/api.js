// The page's only way to the server. A newer question of the same kind ends the older one.

const underWay = new Map();

/** Returns what the server answers; throws an Error whose message people can read. */
export async function ask(path, body = null) {
  const kind = path.split("?")[0];
  underWay.get(kind)?.abort();
  const stop = new AbortController();
  underWay.set(kind, stop);
  let response;
  try {
    response = await fetch(path, {
      signal: stop.signal,
      ...(body && {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
      }),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The explorer does not answer. Start it again where it ran, then reload this page.");
  }
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}
