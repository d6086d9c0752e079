// A field that collects items: search as you type by title or id (the ARIA combobox pattern).
// Arrow keys choose, Enter takes, Escape closes, Backspace in an empty field removes the last.

import { ask } from "./api.js";
import { counted, element, nameOf } from "./elements.js";

const WAIT = 120; // milliseconds after a key before the server is asked

export class Picker {
  /**
   * @param {HTMLElement} place an empty element with data-picker, data-label and data-hint
   * @param {function(): void} changed called when the items change
   */
  constructor(place, changed) {
    this.items = [];
    this.found = [];
    this.chosen = -1;
    this.changed = changed;
    const { picker: name, label, hint } = place.dataset;
    this.label = label;
    this.input = element("input", {
      id: name, type: "text", role: "combobox", spellcheck: "false", autocapitalize: "off",
      placeholder: hint, "aria-autocomplete": "list", "aria-expanded": "false",
      "aria-controls": `${name}-found`,
      input: () => this.searchSoon(), focus: () => this.searchSoon(), keydown: (e) => this.key(e),
      blur: () => this.close(),
    });
    this.list = element("ul.found", { id: `${name}-found`, role: "listbox", "aria-label": `${label}: items found`, hidden: true });
    this.chips = element("ul.chips", { "aria-label": `${label}: items chosen` });
    this.told = element("span.unseen", { role: "status", "aria-live": "polite" });
    place.append(
      element("label", { for: name }, label), this.chips,
      element("div.combo", {}, this.input, this.list), this.told,
    );
    this.draw();
  }

  get ids() {
    return this.items.map((item) => item.id);
  }

  set(items) {
    this.items = items;
    this.draw();
  }

  add(item) {
    if (this.ids.includes(item.id)) return;
    this.items = [...this.items, item];
    this.told.textContent = `${nameOf(item)} added to ${this.label}`;
    this.draw();
    this.changed();
  }

  remove(item) {
    this.items = this.items.filter((one) => one.id !== item.id);
    this.told.textContent = `${nameOf(item)} removed from ${this.label}`;
    this.draw();
    this.input.focus();
    this.changed();
  }

  searchSoon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.search(), WAIT);
  }

  async search() {
    const text = this.input.value.trim();
    try {
      const { items } = await ask(`api/search?text=${encodeURIComponent(text)}`);
      if (document.activeElement !== this.input || this.input.value.trim() !== text) return;
      const exact = items.some((item) => item.id === text);
      // An id that no list knows can be asked for all the same: models may know it.
      const typed = text && !exact && !items.length ? [{ id: text, title: null }] : [];
      this.open([...items, ...typed], typed.length > 0);
    } catch (error) {
      if (error.name !== "AbortError") this.told.textContent = error.message;
    }
  }

  open(found, isTyped) {
    this.found = found.filter((item) => !this.ids.includes(item.id));
    this.chosen = this.found.length && this.input.value.trim() ? 0 : -1;
    this.list.replaceChildren(...this.found.map((item, place) => element(
      "li", {
        id: `${this.list.id}-${place}`, role: "option", "aria-selected": "false",
        // Before the field loses the focus, which closes the list.
        mousedown: (event) => { event.preventDefault(); this.take(place); },
      },
      element("span.title", {}, isTyped ? `Use the id “${item.id}”` : nameOf(item)),
      item.title && !isTyped ? element("span.id", {}, item.id) : null,
    )));
    this.list.hidden = !this.found.length;
    this.input.setAttribute("aria-expanded", String(!this.list.hidden));
    this.told.textContent = this.found.length ? `${counted(this.found.length, "item")} found` : "";
    this.mark();
  }

  close() {
    clearTimeout(this.timer);
    this.found = [];
    this.chosen = -1;
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }

  take(place) {
    const item = this.found[place];
    this.input.value = "";
    this.close();
    this.add(item);
  }

  key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && this.list.hidden) {
      this.search();
    } else if (step) {
      const size = this.found.length;
      this.chosen = (Math.max(this.chosen, step > 0 ? -1 : 0) + step + size) % size;
      this.mark();
    } else if (event.key === "Enter" && this.chosen >= 0) {
      this.take(this.chosen);
    } else if (event.key === "Enter" && this.input.value.trim()) {
      this.takeTyped();
    } else if (event.key === "Escape" && !this.list.hidden) {
      this.close();
    } else if (event.key === "Backspace" && !this.input.value && this.items.length) {
      this.remove(this.items.at(-1));
    } else {
      return;
    }
    event.preventDefault();
  }

  /** Waits for the search of what was typed faster than the list opens, then takes the best. */
  async takeTyped() {
    clearTimeout(this.timer);
    await this.search();
    if (this.found.length) this.take(0);
  }

  mark() {
    [...this.list.children].forEach((option, place) => {
      option.setAttribute("aria-selected", String(place === this.chosen));
      if (place === this.chosen) option.scrollIntoView({ block: "nearest" });
    });
    if (this.chosen < 0) this.input.removeAttribute("aria-activedescendant");
    else this.input.setAttribute("aria-activedescendant", `${this.list.id}-${this.chosen}`);
  }

  draw() {
    this.chips.hidden = !this.items.length;
    this.chips.replaceChildren(...this.items.map((item) => element(
      "li", {},
      element("span", { title: item.title ? `Id ${item.id}` : null }, nameOf(item)),
      element("button", {
        type: "button", "aria-label": `Remove ${nameOf(item)}`, click: () => this.remove(item),
      }, "×"),
    )));
  }
}
