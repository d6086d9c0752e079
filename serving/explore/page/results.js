// Drawing what the models answer.

import { counted, element, nameOf } from "./elements.js";

const LEAST_BAR = 4; // percent, so that the last bar can be seen
const MOST_NAMED = 5;

/** Returns a number with four significant digits, as people compare scores. */
export function shortNumber(value) {
  if (value === null) return "no number";
  if (Number.isInteger(value)) return value.toLocaleString("en");
  return Math.abs(value) >= 1e4 || Math.abs(value) < 1e-3 ? value.toExponential(2) : value.toPrecision(4);
}

function signed(value) {
  return value.toFixed(2).replace("-", "−");
}

/** Returns how alike two lists are, in words. */
export function agreementLine(agreement) {
  const { shared, longest, kendall_tau: tau } = agreement;
  if (!longest) return element("p", {}, "Both lists are empty.");
  const share = Math.round((100 * shared) / longest);
  return element(
    "p", {},
    element("strong", {}, `${shared} of ${counted(longest, "item")} in both lists`), ` (${share}%). `,
    tau === null
      ? "Too few shared items to compare their order."
      : element("span", { title: "Kendall's rank correlation of the shared items: 1 for the same order, −1 for the opposite" },
        `Order of the shared items: τ = ${signed(tau)}.`),
  );
}

/**
 * Returns one model's list with what there is to say about it.
 * @param {Object} answer the model's
 * @param {?Object} other the other model's answer, to mark shared items
 * @param {?string} otherName the other model's name
 * @param {{add: function, exclude: function}} actions what the buttons of an item do
 * @param {Object} question what was asked
 */
export function listOf(answer, other, otherName, actions, question) {
  if (answer.error) return [element("p.problem", { role: "alert" }, answer.error)];
  const parts = notesOf(answer, question).map((note) => element("p.note", {}, note));
  if (!answer.items.length) {
    parts.push(element("p.empty", {}, "No item is left: the filters leave out everything. Clear some of them."));
  } else {
    const ranks = other && !other.error ? new Map(other.items.map((item, n) => [item.id, n + 1])) : null;
    const width = barWidths(answer.items.map((item) => item.score));
    parts.push(element(
      "ol.items", { role: "list" }, // which Safari forgets where no numbers are shown
      ...answer.items.map((item, n) => itemRow(item, n + 1, width[n], ranks, otherName, actions)),
    ));
  }
  if (answer.past) parts.push(pastOf(answer.past));
  return parts;
}

function notesOf(answer, question) {
  const notes = [];
  if (answer.is_popular) {
    notes.push("Nothing here is known to this model, so these are its most popular items.");
  }
  const { unknown_items: items, unknown_share: share } = answer;
  const unknown = Math.round(share * (question.history.length + (question.user ? 1 : 0)));
  if (items === null) {
    // Too many items to ask the model for their names.
    if (unknown) notes.push(`Ids of the user and the history that training never saw: ${unknown}.`);
    return notes;
  }
  if (question.user && unknown > question.history.filter((id) => items.includes(id)).length) {
    notes.push(`Training never saw the user ${question.user}.`);
  }
  if (items.length) {
    const more = items.length > MOST_NAMED ? " …" : "";
    notes.push(`Training never saw these items: ${items.slice(0, MOST_NAMED).join(", ")}${more}.`);
  }
  return notes;
}

/** Returns the width of each bar in percent, from the lowest score of the list to the highest. */
function barWidths(scores) {
  const numbers = scores.filter((score) => score !== null);
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  // From zero where all scores are positive: half the score is then half the bar.
  const floor = low > 0 ? 0 : low;
  return scores.map((score) => (score === null || high === floor
    ? LEAST_BAR
    : LEAST_BAR + ((100 - LEAST_BAR) * (score - floor)) / (high - floor)));
}

function itemRow(item, rank, width, ranks, otherName, actions) {
  const there = ranks?.get(item.id);
  const bar = element("span");
  bar.style.width = `${width}%`; // by script, which the page's policy allows and markup it does not
  let mark = null;
  if (ranks) {
    mark = there
      ? element("span.mark.both", { title: `Rank ${there} in ${otherName}` }, `also #${there}`)
      : element("span.mark", { title: `Not in the list of ${otherName}` }, "only here");
  }
  return element(
    there ? "li.item.shared" : "li.item", { "data-id": item.id },
    element("span.rank", { "aria-hidden": true }, String(rank)),
    element(
      "div.what", {},
      element("span.title", {}, nameOf(item)),
      element("span.facts", {}, item.title ? element("span.id", {}, item.id) : null, mark),
      element("span.bar", { "aria-hidden": true }, bar),
    ),
    element("span.score", { title: `Score ${item.score}` }, shortNumber(item.score)),
    element(
      "span.tools", {},
      element("button", { type: "button", title: "Add to the history", "aria-label": `Add ${nameOf(item)} to the history`, click: () => actions.add(item) }, "+"),
      element("button", { type: "button", title: "Never show", "aria-label": `Never show ${nameOf(item)}`, click: () => actions.exclude(item) }, "−"),
    ),
  );
}

function pastOf(past) {
  if (!past.total) return element("p.quiet", {}, "The export stores no items of this user.");
  const order = past.is_in_time_order ? "The last first" : "The most popular first";
  const more = past.total > past.items.length ? `, ${past.items.length} shown` : "";
  return element(
    "details.past", {},
    element("summary", {}, `The user's known history: ${counted(past.total, "item")}`),
    element("p.quiet", {}, `${order}${more}`),
    element("ul", {}, ...past.items.map((item) => element(
      "li", {}, element("span.title", {}, nameOf(item)), item.title ? element("span.id", {}, item.id) : null,
    ))),
  );
}

/** Returns one model's score of a row. */
export function scoreOf(answer) {
  if (answer.error) return [element("p.problem", { role: "alert" }, answer.error)];
  const { logit, probability, is_known: isKnown } = answer;
  const main = probability ?? logit;
  const parts = [element("p.big", {}, shortNumber(main), element("span.quiet", {}, probability === undefined ? "score" : "probability"))];
  if (probability !== undefined) {
    const bar = element("span");
    bar.style.width = `${100 * probability}%`;
    parts.push(
      element("span.bar", { role: "meter", "aria-label": "Probability", "aria-valuemin": 0, "aria-valuemax": 1, "aria-valuenow": probability }, bar),
      element("p.quiet", {}, `Logit ${shortNumber(logit)}`),
    );
  }
  if (isKnown === false) parts.push(element("p.note", {}, "Training never saw this user or item, so the score says little."));
  return parts;
}

/** Returns the panel of a model card; null for a model without one. */
export function cardOf(card) {
  if (!card) return null;
  const facts = [
    ["Dataset", card.dataset], ["Step", card.step?.toLocaleString("en")], ["Tables", card.precision],
    ["Checked", card.tolerance == null ? "not against the trainer" : `the trainer's scores within ${card.tolerance}`],
    ["Written", card.created], ["TensorFlow", card.tensorflow],
  ].filter(([, value]) => value != null);
  const metrics = Object.entries(card.results?.metrics ?? {}).filter(([, value]) => typeof value === "number");
  const blocks = [["Protocol", card.results?.protocol], ["Settings", card.config]].filter(([, value]) => value != null);
  return element(
    "details.card", {},
    element("summary", {}, "Model card"),
    element("dl", {}, ...facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, String(value))])),
    metrics.length
      ? element("table", {}, element("caption", {}, "Metrics"), element("tbody", {}, ...metrics.sort().map(([name, value]) =>
        element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, shortNumber(value))))))
      : element("p.quiet", {}, "The run was not evaluated."),
    ...blocks.map(([name, value]) => element(
      "details", {}, element("summary", {}, name),
      element("pre", { tabindex: 0, "aria-label": name }, JSON.stringify(value, null, 2)),
    )),
  );
}
