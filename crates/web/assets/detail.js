// One file: its contents, who has each, and how to get it.

import { ask } from "./api.js";
import { find, h, say } from "./dom.js";
import * as format from "./format.js";
import { names } from "./list.js";

const dialog = find("detail");
const body = find("detail-body");
let asked = 0;
// The index, as a command takes it.
let server = location.host;

export function setServer(index) {
  server = index;
}

export const isOpen = () => dialog.open;

export function close() {
  dialog.close();
}

find("detail-close").addEventListener("click", close);
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) close();
});

export async function open(row) {
  const mine = (asked += 1);
  const { title, leaf, folder } = names(row);
  say(find("detail-title"), title ?? leaf ?? `RFC ${row.rfc}`);
  say(find("detail-folder"), title ? [`RFC ${row.rfc}`, row.name].filter(Boolean).join(" · ") : folder);
  body.replaceChildren(h("p", { className: "muted", textContent: "Asking who has it …" }));
  if (!dialog.open) dialog.showModal();
  try {
    const { variants } = await ask("file", row.name ? { name: row.name } : { rfc: row.rfc });
    if (mine === asked) show(row, variants);
  } catch (error) {
    if (mine === asked) body.replaceChildren(h("p", { role: "alert", textContent: `${error.message}: whoever had it has left, or cannot be asked now.` }));
  }
}

function show(row, variants) {
  const parts = variants.map((variant, at) => card(row, variant, variants.length > 1 ? at + 1 : 0));
  if (variants.length > 1) {
    parts.unshift(h("p", { textContent: `${variants.length} different contents go by this name. Look at who publishes each before you take one.` }));
  }
  body.replaceChildren(...parts);
}

function card(row, variant, number) {
  const facts = h("dl", { className: "facts" });
  const fact = (name, value, className = "") => {
    if (value) facts.append(h("dt", { textContent: name }), h("dd", { textContent: value, className }));
  };
  fact("Content", number ? `${number} of this name${variant.published ? "" : ", not published by anybody"}` : "");
  fact("Size", variant.size === undefined ? "" : `${format.bytes(variant.size)} (${format.count(variant.size)} bytes)`);
  fact("Modified", format.date(variant.modified));
  fact("BLAKE3", variant.hash ?? (variant.name ? "not known yet: it is being computed" : "none: a record of P2P-CI/1.0"), "hash");
  const all = variant.sources_in_all;
  const heading = h("h3", { className: "muted", textContent: format.plural(all, "source") });
  const sources = h("ul", { className: "from-list" }, ...variant.sources.map((source) => item(row, variant, source)));
  return h("section", { className: number > 1 ? "variant split" : "variant" }, facts, actions(row, variant), heading, sources);
}

function actions(row, variant) {
  const best = variant.sources.find((source) => source.http && !source.partial);
  const command = h("code", { textContent: `p2pci get ${word(variant, row)} --server ${server}` });
  const link = best ? h("a", { className: "button first", href: address(row, variant, best), download: "", textContent: "Download" }) : null;
  return h("div", { className: "actions" }, link, command);
}

function item(row, variant, source) {
  const where = `${host(source.host)}:${source.port}`;
  const link = source.http && !source.partial ? h("a", { href: address(row, variant, source), textContent: where }) : h("span", { className: "address", textContent: where });
  const badge = (text, kind = "") => h("span", { className: `badge ${kind}`, textContent: text });
  return h("li", null, link, source.published ? badge("publishes it", "good") : badge("fetched it"), source.partial ? badge("a part of it", "warn") : null, source.http ? null : badge("P2P-CI/1.0 only"));
}

// Straight from a peer, which has one content under its name.
function address(row, variant, source) {
  const path = variant.name ? `file/${variant.name.split("/").map(encodeURIComponent).join("/")}` : `rfc/${variant.rfc ?? row.rfc}`;
  return `${source.tls ? "https" : "http"}://${host(source.host)}:${source.port}/${path}`;
}

const host = (name) => (name.includes(":") ? `[${name}]` : name);

// As a shell takes it.
function word(variant, row) {
  const name = variant.name ?? String(row.rfc);
  const quoted = /^[\w./+-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`;
  return variant.hash && row.contents > 1 ? `${quoted} --hash ${variant.hash}` : quoted;
}
