// A list of any length of which only the visible rows are in the page. Rows are reused: scrolling moves and refills a few dozen.

import { h, say } from "./dom.js";
import * as format from "./format.js";

const SPARE = 6;

export class List {
  // `rows()` gives the array that is shown; `onOpen(row)` opens one; `onWindow(first, last)` hears what is visible.
  constructor(element, rows, onOpen, onWindow) {
    Object.assign(this, { element, rows, onOpen, onWindow });
    this.selected = -1;
    this.pool = [];
    this.sizer = h("div", { className: "sizer", role: "presentation" });
    this.layer = h("div", { className: "rows", role: "presentation" });
    element.append(this.sizer, this.layer);
    this.pending = false;
    element.addEventListener("scroll", () => this.schedule(), { passive: true });
    element.addEventListener("click", (event) => this.clicked(event));
    new ResizeObserver(() => this.measure()).observe(element);
    this.measure();
  }

  measure() {
    this.height = this.element.clientHeight;
    this.rowHeight = parseInt(getComputedStyle(this.element).getPropertyValue("--row"), 10) || 46;
    this.schedule();
  }

  // At most once a frame, whatever calls.
  schedule() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      this.draw();
    });
  }

  draw() {
    const rows = this.rows();
    const total = rows.length * this.rowHeight;
    if (total !== this.total) {
      this.total = total;
      this.sizer.style.height = `${total}px`;
    }
    const first = Math.max(0, Math.floor(this.element.scrollTop / this.rowHeight) - SPARE);
    const last = Math.min(rows.length, first + Math.ceil(this.height / this.rowHeight) + 2 * SPARE);
    this.fit(last - first);
    for (let at = first; at < last; at += 1) this.fill(this.pool[at % this.pool.length], rows[at], at, rows.length);
    this.onWindow(first, last);
  }

  // A pool that is large enough for the window; row `at` always uses the place `at % size`, so scrolling by one refills one.
  fit(size) {
    if (size > this.pool.length) {
      this.pool.forEach((slot) => slot.element.remove());
      this.pool = Array.from({ length: Math.max(size, 24) }, (_, at) => makeSlot(at));
      this.layer.append(...this.pool.map((slot) => slot.element));
    }
    if (size < this.pool.length) {
      this.pool.forEach((slot) => { slot.wanted = false; });
      queueMicrotask(() => this.pool.forEach((slot) => { if (!slot.wanted) hide(slot); }));
    }
  }

  fill(slot, row, at, all) {
    slot.wanted = true;
    const { element } = slot;
    if (slot.at !== at) {
      slot.at = at;
      element.hidden = false;
      element.style.transform = `translateY(${at * this.rowHeight}px)`;
      element.setAttribute("aria-posinset", at + 1);
    }
    if (slot.all !== all) {
      slot.all = all;
      element.setAttribute("aria-setsize", all);
    }
    const selected = at === this.selected;
    if (slot.selected !== selected) {
      slot.selected = selected;
      element.setAttribute("aria-selected", selected);
    }
    if (slot.row !== row) {
      slot.row = row;
      show(slot, row);
    }
  }

  // Selects a row and brings it into view.
  select(at) {
    const rows = this.rows();
    this.selected = Math.max(-1, Math.min(rows.length - 1, at));
    if (this.selected >= 0) {
      const top = this.selected * this.rowHeight;
      if (top < this.element.scrollTop) this.element.scrollTop = top;
      const bottom = top + this.rowHeight - this.height;
      if (bottom > this.element.scrollTop) this.element.scrollTop = bottom;
    }
    this.draw();
    const slot = this.pool.find((slot) => slot.at === this.selected && slot.row);
    if (slot && this.selected >= 0) this.element.setAttribute("aria-activedescendant", slot.element.id);
    else this.element.removeAttribute("aria-activedescendant");
  }

  open() {
    const row = this.rows()[this.selected];
    if (row) this.onOpen(row);
  }

  clicked(event) {
    const element = event.target.closest(".row");
    const slot = this.pool.find((slot) => slot.element === element);
    if (!slot?.row) return;
    this.select(slot.at);
    this.open();
  }
}

function makeSlot(at) {
  const leaf = h("b");
  const folder = h("small");
  const size = h("span", { className: "cell" });
  const when = h("span", { className: "cell when" });
  const sources = h("span", { className: "cell sources" });
  const name = h("div", { className: "name" }, leaf, folder);
  const element = h("div", { className: "row", role: "option", id: `row-${at}`, hidden: true, "aria-selected": "false" }, name, size, when, sources);
  return { element, leaf, folder, size, when, sources, at: -1, row: null };
}

function hide(slot) {
  if (slot.at === -1) return;
  Object.assign(slot, { at: -1, row: null });
  slot.element.hidden = true;
}

function show(slot, row) {
  const { title, leaf, folder } = names(row);
  say(slot.leaf, title ?? leaf);
  say(slot.folder, title ? [`RFC ${row.rfc}`, row.name].filter(Boolean).join(" · ") : folder);
  say(slot.size, format.bytes(row.size));
  say(slot.when, format.ago(row.modified));
  slot.sources.replaceChildren(row.contents > 1 ? h("span", { className: "badge warn", textContent: `${row.contents} contents` }) : "", ` ${format.count(row.sources)}`);
}

// A file by the name that people know it by: the title of an RFC, or the last part and the folder.
export function names(row) {
  const parts = (row.name ?? "").split("/");
  const leaf = parts.pop();
  const title = row.rfc && row.title && row.title !== leaf ? row.title : null;
  return { title, leaf, folder: parts.join("/") };
}
