// The files that the list shows: fetched page by page, kept in order, and refreshed where somebody looks.

import { ask } from "./api.js";

const PAGE = 1000;
// Rows that a search shows.
const FOUND = 500;
// Beyond this nobody scrolls; searching finds what is there.
const KEPT = 300000;
// What is visible is fetched again at most so often.
const REFRESH_MS = 500;

export class Files {
  // `onChange()` is called when rows are others than before.
  constructor(onChange) {
    this.onChange = onChange;
    this.revision = 0;
    this.window = [0, 0];
    this.query = "";
    this.reset();
  }

  reset() {
    this.rows = [];
    this.next = undefined;
    this.complete = false;
    this.failed = null;
  }

  // Another question: what is under way for the old one is dropped.
  search(query) {
    this.query = query;
    this.control?.abort();
    this.control = new AbortController();
    this.replace = true;
    return this.load(this.control.signal);
  }

  async load(signal) {
    let after;
    try {
      do {
        const page = await this.page(after, PAGE, signal);
        if (this.replace) {
          this.reset();
          this.replace = false;
        }
        for (const row of page.files) this.rows.push(row);
        after = page.next;
        this.complete = after === undefined;
        this.failed = null;
        this.onChange();
        // Others get their turn; the list is usable from the first page on.
        await new Promise((done) => setTimeout(done, 15));
      } while (after !== undefined && this.rows.length < KEPT);
    } catch (error) {
      if (signal.aborted) return;
      this.failed = error;
      if (this.replace) this.reset();
      this.onChange();
    }
  }

  async page(after, limit, signal) {
    const { revision, query } = this;
    const page = query ? await ask("search", { query, after, limit: FOUND }, signal) : await ask("files", { after, limit }, signal);
    // The best are enough: whoever wants others has other words.
    if (query) page.next = undefined;
    for (const row of page.files) {
      row.revision = revision;
      row.key ??= `${row.name ?? `rfc:${row.rfc}`} ${row.hash ?? row.size ?? ""}`;
    }
    return page;
  }

  // Something has changed at the index.
  changed(revision) {
    if (revision === this.revision) return;
    this.revision = revision;
    this.refreshSoon();
  }

  // These rows are visible now.
  look(first, last) {
    this.window = [first, last];
    const old = this.rows.slice(first, last).some((row) => row.revision !== this.revision);
    if (old) this.refreshSoon();
  }

  refreshSoon() {
    // Not all viewers at the same moment.
    this.timer ??= setTimeout(() => this.refresh(), REFRESH_MS * (0.6 + 0.8 * Math.random()));
  }

  async refresh() {
    const { signal } = this.control;
    try {
      if (this.query || (this.rows.length < PAGE && this.complete)) await this.refreshAll(signal);
      else await this.refreshWindow(signal);
      this.failed = null;
    } catch (error) {
      if (!signal.aborted) this.failed = error;
    }
    this.timer = null;
    if (!signal.aborted) this.onChange();
  }

  async refreshAll(signal) {
    const page = await this.page(undefined, PAGE, signal);
    this.rows = reuse(this.rows, page.files);
    this.complete = page.next === undefined;
    if (!this.complete) {
      this.replace = true;
      await this.load(signal);
    }
  }

  // Fetches what is visible again, and puts it in the place of the rows from the one before the window to the last that came.
  async refreshWindow(signal) {
    const [first, last] = this.window;
    const before = this.rows[first - 1];
    const limit = Math.max(20, Math.min(PAGE, last - first + 10));
    const page = await this.page(before?.key, limit, signal);
    const at = before ? this.rows.indexOf(before, Math.max(0, first - 5000)) + 1 : 0;
    if (before && at === 0) return;
    const end = page.next === undefined ? this.rows.length : endOf(this.rows, at, page.next);
    const fresh = reuse(this.rows.slice(at, end), page.files);
    this.rows.splice(at, end - at, ...fresh);
  }
}

// Where the rows end that are not after a key.
function endOf(rows, from, key) {
  for (let at = from; at < rows.length; at += 1) {
    if (compare(rows[at].key, key) > 0) return at;
  }
  return rows.length;
}

// The order of the server: numbers first, then names by their bytes.
function compare(one, other) {
  const [kind, otherKind] = [one.startsWith("rfc:"), other.startsWith("rfc:")];
  if (kind !== otherKind) return kind ? -1 : 1;
  if (kind) return Number(one.slice(4)) - Number(other.slice(4));
  return byPoints(one, other);
}

// By code points, which is the order of UTF-8; strings themselves compare by halves of surrogate pairs.
function byPoints(one, other) {
  const length = Math.min(one.length, other.length);
  for (let at = 0; at < length; at += 1) {
    if (one[at] !== other[at]) return one.codePointAt(at) - other.codePointAt(at);
  }
  return one.length - other.length;
}

// Rows that say the same stay the same objects, so that they are not drawn again.
function reuse(old, fresh) {
  const known = new Map(old.map((row) => [row.key, row]));
  return fresh.map((row) => {
    const before = known.get(row.key);
    if (!before) return row;
    const same = ["size", "modified", "hash", "sources", "contents", "title"].every((name) => before[name] === row[name]);
    if (!same) return row;
    before.revision = row.revision;
    return before;
  });
}
