// The dashboard: what is shared and by whom, live.

import { ask, follow } from "./api.js";
import * as detail from "./detail.js";
import { find, h, say } from "./dom.js";
import { Files } from "./files.js";
import * as format from "./format.js";
import { List } from "./list.js";
import { Plot } from "./plot.js";

const SAMPLES = 600;
const LINES = 60;
const PEERS = 200;
// Of an index, or of a peer for itself.
const isPeer = document.documentElement.dataset.kind === "peer";

const query = find("query");
const files = new Files(changed);
const list = new List(find("list"), () => files.rows, detail.open, (first, last) => files.look(first, last));
const latency = [
  { value: (sample) => sample.p50_us, colour: "--accent", area: true },
  { value: (sample) => sample.p99_us, colour: "--warn", area: false },
];
const plots = [
  new Plot(find("plot-rate"), [{ value: (sample) => sample.requests_per_s, colour: "--accent", area: true }], format.rate),
  isPeer
    ? new Plot(find("plot-sent"), [{ value: (sample) => sample.sent_per_s, colour: "--accent", area: true }], format.bytes, 1024)
    : new Plot(find("plot-latency"), latency, (us) => format.micros(Math.round(us))),
];
let samples = [];
let lastLine = 0;
let revision;

function changed() {
  const { rows, complete, failed } = files;
  const words = failed ? failed.message : `${format.plural(rows.length, "file")}${files.query ? " found" : complete ? "" : " so far"}`;
  say(find("count"), words);
  const empty = find("empty");
  empty.hidden = rows.length > 0 || !complete || Boolean(failed);
  if (!empty.hidden) empty.replaceChildren(...emptiness());
  list.schedule();
}

function emptiness() {
  if (files.query) return [h("p", { textContent: `Nothing has all of these words: ${files.query}` })];
  if (isPeer) return [h("p", { textContent: "Nothing is shared yet. What is put into the shared folder appears here by itself." })];
  const server = location.port ? location.host : `${location.hostname}:80`;
  return [
    h("p", { textContent: "Nothing is shared yet. Where the files are, type" }),
    h("code", { textContent: `p2pci share FOLDER --server ${server}` }),
  ];
}

function onFrame(frame) {
  say(find("stat-peers"), format.compact(frame.peers));
  say(find("stat-records"), format.compact(frame.records));
  if (frame.sample) addSample(frame.sample);
  for (const line of frame.lines ?? []) addLine(line);
  if (frame.revision !== revision) {
    revision = frame.revision;
    files.changed(revision);
    if (!isPeer) showPeersSoon();
  }
  if (isPeer && frame.sample) showPeersSoon();
}

function addSample(sample) {
  samples.push(sample);
  samples = samples.slice(-SAMPLES);
  showSample(sample);
  plots.forEach((plot) => plot.show(samples));
}

function showSample(sample) {
  say(find("stat-rate"), format.rate(sample.requests_per_s));
  say(find("stat-latency"), format.micros(sample.p50_us));
  say(find("stat-sent"), format.bytes(sample.sent_per_s));
}

function addLine(line) {
  if (line.number <= lastLine) return;
  lastLine = line.number;
  const at = new Date(line.time);
  const status = line.status ? h("span", { className: line.status.startsWith("2") ? "status" : "status bad", textContent: line.status }) : h("span");
  const item = h("li", null, h("time", { dateTime: at.toISOString(), textContent: format.time(at) }), h("span", { className: "from", textContent: line.source }), status, h("span", { className: "what", textContent: line.text }));
  const box = find("console");
  box.prepend(item);
  while (box.childElementCount > LINES) box.lastElementChild.remove();
}

let peersTimer;

function showPeersSoon() {
  peersTimer ??= setTimeout(async () => {
    try {
      await (isPeer ? showTakers() : showPeers());
    } catch {
      // The next change asks again.
    }
    peersTimer = null;
  }, isPeer ? 0 : 300 + 400 * Math.random());
}

async function showPeers() {
  const { peers, next } = await ask("peers", { limit: PEERS });
  say(find("peers-count"), peers.length === 0 ? "nobody yet" : `${peers.length}${next === undefined ? "" : "+"} share${peers.length === 1 ? "s" : ""} something`);
  const row = (peer) => h("tr", null, h("td", { textContent: `${peer.host}:${peer.port}` }), cell(format.count(peer.records)), cell(format.speed(peer.sending)));
  find("peers").replaceChildren(...peers.map(row));
}

async function showTakers() {
  const [{ takers }, status] = await Promise.all([ask("takers"), ask("status")]);
  const busy = takers.filter((taker) => taker.rate > 0).length;
  say(find("peers-count"), busy > 0 ? `${format.plural(busy, "host")} now` : "nobody now");
  const row = (taker) => h("tr", null, h("td", null, taker.host, h("small", { textContent: taker.file ?? "" })), cell(format.bytes(taker.sent)), cell(format.speed(taker.rate)));
  find("peers").replaceChildren(...takers.map(row));
  const there = status.indexes.filter((index) => index.registered !== undefined);
  const words = (indexes) => indexes.map((index) => index.server).join(", ");
  say(find("who"), there.length > 0 ? `shares at ${words(there)}` : `no connection to ${words(status.indexes)}`);
  detail.setServer((there[0] ?? status.indexes[0]).server);
}

const cell = (text) => h("td", { className: "number", textContent: text });

function onState(state) {
  find("live").dataset.state = state;
  say(find("live-text"), state === "live" ? "live" : "connection lost, trying again");
}

let typing;
query.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => {
    list.select(-1);
    find("list").scrollTop = 0;
    files.search(query.value.trim());
  }, 120);
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || detail.isOpen()) return;
  const inQuery = document.activeElement === query;
  const key = inQuery && event.key.length === 1 ? null : event.key;
  const actions = {
    "/": () => query.focus(),
    j: () => list.select(list.selected + 1),
    k: () => list.select(Math.max(0, list.selected - 1)),
    ArrowDown: () => list.select(list.selected + 1),
    ArrowUp: () => list.select(Math.max(0, list.selected - 1)),
    PageDown: () => list.select(list.selected + 12),
    PageUp: () => list.select(Math.max(0, list.selected - 12)),
    g: () => list.select(0),
    G: () => list.select(files.rows.length - 1),
    Enter: () => list.open(),
    Escape: () => leaveQuery(inQuery),
  };
  if (!Object.hasOwn(actions, key ?? "")) return;
  // A button that has the focus is what Enter is for.
  if (key === "Enter" && document.activeElement instanceof HTMLButtonElement) return;
  event.preventDefault();
  actions[key]();
});

function leaveQuery(inQuery) {
  if (query.value) {
    query.value = "";
    query.dispatchEvent(new Event("input"));
  } else if (inQuery) {
    find("list").focus();
  }
}

for (const button of document.querySelectorAll("[data-view]:is(button)")) {
  button.addEventListener("click", () => {
    find("main").dataset.view = button.dataset.view;
    for (const other of document.querySelectorAll("[data-view]:is(button)")) other.setAttribute("aria-pressed", other === button);
  });
}

const THEMES = { system: "as the system", light: "light", dark: "dark" };

function setTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  find("theme").setAttribute("aria-label", `Colours: ${THEMES[theme]}`);
  find("theme").title = `Colours: ${THEMES[theme]}`;
  plots.forEach((plot) => plot.schedule());
}

function storedTheme() {
  try {
    const theme = localStorage.getItem("theme");
    return Object.hasOwn(THEMES, theme ?? "") ? theme : "system";
  } catch {
    return "system";
  }
}

find("theme").addEventListener("click", () => {
  const all = Object.keys(THEMES);
  const theme = all[(all.indexOf(storedTheme()) + 1) % all.length];
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // Without a store it holds for this page.
  }
  setTheme(theme);
});

async function begin() {
  setTheme(storedTheme());
  files.search("");
  showPeersSoon();
  try {
    const recent = await ask("recent");
    samples = recent.samples;
    if (samples.length > 0) showSample(samples.at(-1));
    plots.forEach((plot) => plot.show(samples));
    recent.lines.forEach(addLine);
  } catch {
    // The stream brings what is new.
  }
  follow(onFrame, onState);
}

begin();
