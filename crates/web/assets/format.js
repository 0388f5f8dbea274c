// Numbers, sizes and times for people.

const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const day = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric" });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export const count = (number) => plain.format(number);
export const compact = (number) => (number < 10000 ? plain.format(number) : short.format(number));
export const plural = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;

export function bytes(size) {
  if (size === undefined) return "";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (size >= 1024 && at < units.length - 1) {
    size /= 1024;
    at += 1;
  }
  return `${at === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${units[at]}`;
}

// Bytes a second; a dash where nothing moves.
export const speed = (rate) => (rate > 0 ? `${bytes(rate)}/s` : "–");

export function micros(us) {
  if (us === undefined || us === null) return "–";
  if (us < 1000) return `${us} µs`;
  return us < 1e6 ? `${(us / 1000).toFixed(us < 1e4 ? 1 : 0)} ms` : `${(us / 1e6).toFixed(1)} s`;
}

export function rate(perSecond) {
  return Number.isInteger(perSecond) || perSecond >= 10 ? compact(perSecond) : perSecond.toFixed(1);
}

const isTime = (seconds) => Number.isFinite(seconds) && Math.abs(seconds) < 8e12;

export function ago(seconds, now = Date.now() / 1000) {
  if (!isTime(seconds)) return "";
  const passed = now - seconds;
  if (passed < 60) return "just now";
  if (passed < 3600) return `${Math.floor(passed / 60)} min ago`;
  if (passed < 86400) return `${Math.floor(passed / 3600)} h ago`;
  return passed < 30 * 86400 ? `${Math.floor(passed / 86400)} d ago` : day.format(seconds * 1000);
}

export const date = (seconds) => (isTime(seconds) ? moment.format(seconds * 1000) : "");
export const time = (milliseconds) => clock.format(milliseconds);
