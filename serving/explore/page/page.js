// The page: one question, in the form and in the address, and the models' answers to it.

import { readAddress, writeAddress } from "./address.js";
import { ask } from "./api.js";
import { counted, element, nameOf } from "./elements.js";
import { Picker } from "./picker.js";
import { agreementLine, cardOf, listOf, scoreOf } from "./results.js";

const byId = (id) => document.getElementById(id);
const pickers = Object.fromEntries([...document.querySelectorAll("[data-picker]")].map(
  (place) => [place.dataset.picker, new Picker(place, () => recommend())],
));
let models = [];
let view = "recommend";

async function start() {
  say("Loading the models …");
  const known = await ask("api/models");
  models = known.models;
  byId("models-line").textContent = models.map(titleOf).join("  ·  ");
  document.title = `${models.map((model) => model.name).join(" and ")} – Explore`;
  byId("k").max = known.max_k;
  drawModels();
  prepareScoreForm();
  byId("any-user").hidden = !models.some((model) => model.users.length);
  const canScore = models.some((model) => model.inputs.length);
  document.querySelector(".tabs").hidden = !(canScore && models.some((model) => model.recommends));
  await show(readAddress(location.search));
}

/** Puts a question into the form, and asks it if there is one. */
async function show(question) {
  byId("user").value = question.user;
  byId("k").value = question.k;
  byId("exclude-seen").checked = question.excludeSeen;
  for (const [name, picker] of Object.entries(pickers)) {
    picker.set(question[name].map((id) => ({ id, title: null })));
  }
  if (question.exclude.length || question.allow.length || !question.excludeSeen) byId("more").open = true;
  for (const field of byId("inputs").querySelectorAll("input")) field.value = question.row[field.name] ?? "";
  const onlyScores = !models.some((model) => model.recommends);
  choose(onlyScores || question.view === "score" ? "score" : "recommend");
  if (view === "recommend") await recommend(false);
  else if (Object.keys(question.row).length) await score(false);
  else invite();
}

function currentQuestion() {
  return {
    view,
    user: byId("user").value.trim(),
    ...Object.fromEntries(Object.entries(pickers).map(([name, picker]) => [name, picker.ids])),
    k: Number(byId("k").value),
    excludeSeen: byId("exclude-seen").checked,
    row: Object.fromEntries([...byId("inputs").querySelectorAll("input")].map((field) => [field.name, field.value])),
  };
}

/** Asks for lists. `isNew` is false for what the address asked already. */
async function recommend(isNew = true) {
  const question = currentQuestion();
  if (isNew) remember(question);
  if (!question.user && !question.history.length) {
    invite();
    return;
  }
  const body = {
    ...(question.user && { user: question.user }),
    history: question.history, exclude: question.exclude, allow: question.allow,
    k: question.k, exclude_seen: question.excludeSeen,
  };
  await answerWith("api/recommend", body, (answer) => {
    nameChips(answer.given);
    answer.lists.forEach((list, n) => {
      const other = answer.lists.length > 1 ? 1 - n : null;
      fill(n, listOf(list, answer.lists[other], models[other] && titleOf(models[other], other), actions, question));
    });
    byId("agreement").hidden = !answer.agreement;
    byId("agreement").replaceChildren(...(answer.agreement ? [agreementLine(answer.agreement)] : []));
    const lengths = answer.lists.filter((list) => list.items).map((list) => counted(list.items.length, "item"));
    say(lengths.length ? `Best first: ${lengths.join(" and ")}. Bars compare scores within a list.` : "");
  });
}

async function score(isNew = true) {
  const question = currentQuestion();
  if (isNew) remember(question);
  await answerWith("api/score", question.row, (answer) => {
    byId("agreement").hidden = true;
    answer.scores.forEach((one, n) => fill(n, scoreOf(one)));
    say("");
  });
}

/** Asks, and shows the answer or what went wrong; a newer question takes its place meanwhile. */
async function answerWith(path, body, draw) {
  byId("lists").setAttribute("aria-busy", "true");
  say("Asking …");
  try {
    const answer = await ask(path, body);
    problem(null);
    draw(answer);
  } catch (error) {
    if (error.name === "AbortError") return;
    empty();
    say("");
    problem(error.message);
  }
  byId("lists").setAttribute("aria-busy", "false");
}

const actions = {
  add: (item) => pickers.history.add(item),
  exclude: (item) => {
    byId("more").open = true;
    pickers.exclude.add(item);
  },
};

/** Shows what to do where nothing is asked yet. */
function invite() {
  problem(null);
  empty();
  if (view === "score") say("Fill in a row, or take the example, then Score.");
  else say("Type a user, or choose items for a history: the list appears at once.");
}

function empty() {
  byId("agreement").hidden = true;
  models.forEach((_, n) => fill(n, []));
  byId("lists").setAttribute("aria-busy", "false");
}

function drawModels() {
  byId("lists").classList.toggle("two", models.length > 1);
  byId("lists").replaceChildren(...models.map((model, n) => element(
    "article.model", { "aria-labelledby": `model-${n}`, mouseover: twin, focusin: twin, mouseleave: twin },
    element("h2", { id: `model-${n}` }, titleOf(model, n)),
    element("p.quiet.address", {}, model.address, model.items ? ` · ${counted(model.items, "item")}` : ""),
    element("div.list", { id: `list-${n}` }),
    cardOf(model.card),
  )));
  const hashes = new Set(models.map((model) => model.card?.schema_sha256).filter(Boolean));
  if (hashes.size > 1) {
    byId("lists").before(element("p.note", {}, "These models were trained on different datasets: their ids may mean different things."));
  }
}

/** Marks an item in both lists while it is pointed at. */
function twin(event) {
  const id = event.type === "mouseleave" ? null : event.target.closest("[data-id]")?.dataset.id;
  for (const row of document.querySelectorAll(".item")) row.classList.toggle("pointed", row.dataset.id === id);
}

function prepareScoreForm() {
  const inputs = new Map(models.flatMap((model) => model.inputs.map((input) => [input.name, input])));
  const row = Object.assign({}, ...models.map((model) => model.row));
  byId("inputs").replaceChildren(...[...inputs.values()].map((input) => element(
    "div.field", {},
    element("label", { for: `in-${input.name}` }, input.name, element("span.kind", {}, input.is_list ? `list of ${input.kind}s` : input.kind)),
    element("input", {
      id: `in-${input.name}`, name: input.name, type: "text", spellcheck: "false",
      placeholder: row[input.name] ? `such as ${row[input.name]}` : null,
      inputmode: input.kind === "number" ? "decimal" : null,
    }),
  )));
  byId("example").hidden = !Object.keys(row).length;
  byId("example").addEventListener("click", () => {
    for (const field of byId("inputs").querySelectorAll("input")) field.value = row[field.name] ?? "";
    score();
  });
}

function choose(name) {
  view = name;
  for (const one of ["recommend", "score"]) {
    byId(`form-${one}`).hidden = one !== name;
    byId(`tab-${one}`).setAttribute("aria-selected", String(one === name));
    byId(`tab-${one}`).tabIndex = one === name ? 0 : -1;
  }
}

function switchTo(name) {
  choose(name);
  remember(currentQuestion());
  if (name === "recommend") recommend(false);
  else invite();
}

function remember(question) {
  const address = writeAddress(question);
  if (address !== location.search) history.pushState(null, "", address);
}

/** Gives the chips of an address, which holds ids only, their titles. */
function nameChips(given) {
  const titles = new Map(given.map((item) => [item.id, item]));
  for (const picker of Object.values(pickers)) picker.set(picker.items.map((item) => titles.get(item.id) ?? item));
}

function fill(n, parts) {
  byId(`list-${n}`).replaceChildren(...parts);
}

/** Returns a model's name; two have a letter too, as they may be versions or runs of one. */
function titleOf(model, place) {
  const name = model.version === null ? model.name : `${model.name} v${model.version}`;
  return models.length > 1 ? `${"AB"[place]}: ${name}` : name;
}

function say(text) {
  byId("status").textContent = text;
}

function problem(text) {
  byId("problem").hidden = text === null;
  byId("problem").textContent = text ?? "";
}

byId("form-recommend").addEventListener("submit", (event) => {
  event.preventDefault();
  recommend();
});
byId("form-score").addEventListener("submit", (event) => {
  event.preventDefault();
  score();
});
for (const id of ["user", "k", "exclude-seen"]) byId(id).addEventListener("change", () => {
  if (byId("form-recommend").reportValidity()) recommend();
});
byId("any-user").addEventListener("click", () => {
  const users = models.find((model) => model.users.length).users;
  byId("user").value = users[Math.floor(Math.random() * users.length)];
  recommend();
});
byId("clear").addEventListener("click", () => {
  show(readAddress(""));
  remember(currentQuestion());
  byId("user").focus();
});
for (const name of ["recommend", "score"]) {
  byId(`tab-${name}`).addEventListener("click", () => switchTo(name));
  byId(`tab-${name}`).addEventListener("keydown", (event) => {
    if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    switchTo(view === "score" ? "recommend" : "score");
    byId(`tab-${view}`).focus();
  });
}
window.addEventListener("popstate", () => show(readAddress(location.search)));
start().catch((error) => {
  say("");
  problem(error.message);
});
