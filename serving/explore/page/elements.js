// Making elements. Text only ever becomes text nodes, so that no title can become markup.

/**
 * Returns a new element.
 * @param {string} kind tag and classes, such as "li.item.shared"
 * @param {Object} [properties] attributes; functions are listeners; null and false leave one out
 * @param {...(Node|string|null)} children null for none
 */
export function element(kind, properties = {}, ...children) {
  const [tag, ...classes] = kind.split(".");
  const made = document.createElement(tag);
  if (classes.length) made.className = classes.join(" ");
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Returns the words for an item: its title, or what stands for one. */
export function nameOf(item) {
  if (item.id === null) return "An item that training never saw";
  return item.title ?? item.id;
}

/** Returns a count with its noun, such as "1 item" or "2 items". */
export function counted(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}
