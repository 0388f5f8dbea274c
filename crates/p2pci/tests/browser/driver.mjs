// A browser that a test leads: one command a line on standard input, one answer a line on standard output. What the page does
// wrong (a dialog, an error, a request to another host, something that the policy forbids) is written down from the beginning.
//
// usage: node driver.mjs MODULES BROWSER, where MODULES holds playwright-core and axe-core.

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { join } from "node:path";

const [modules, executablePath] = process.argv.slice(2);
const require = createRequire(join(modules, "driver.cjs"));
const { chromium } = require("playwright-core");
// Evaluated, as the page's policy lets in no script from elsewhere.
const axe = readFileSync(require.resolve("axe-core"), "utf8");

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--no-proxy-server"] });
const faults = [];
let page;

// In the page, before its own scripts: each event is heard so many times, spread over a quarter of a second. The revision grows with
// each, so that the page has something new to do.
function faster(speed) {
  window.framesHeard = 0;
  window.EventSource = class extends EventSource {
    set onmessage(hear) {
      super.onmessage = ({ data }) => {
        const frame = JSON.parse(data);
        for (let turn = 0; turn < speed; turn += 1) {
          setTimeout(() => {
            window.framesHeard += 1;
            hear(new MessageEvent("message", { data: JSON.stringify({ ...frame, revision: frame.revision * speed + turn }) }));
          }, (250 * turn) / speed);
        }
      };
    }
  };
}

const commands = {
  // A fresh page in a profile of its own.
  async open({ url, width = 1280, height = 800, dark = false, phone = false, speed = 1 }) {
    await page?.context().close();
    const context = await browser.newContext({
      viewport: { width, height }, colorScheme: dark ? "dark" : "light", acceptDownloads: true, bypassCSP: false,
      isMobile: phone, hasTouch: phone, deviceScaleFactor: phone ? 2 : 1, reducedMotion: "reduce",
    });
    page = await context.newPage();
    page.setDefaultTimeout(30000);
    const { host } = new URL(url);
    page.on("dialog", (dialog) => { faults.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
    page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
    page.on("console", (message) => { if (message.type() === "error") faults.push(`console: ${message.text()}`); });
    // Following a link to a peer is the reader's doing.
    page.on("request", (request) => {
      if (new URL(request.url()).host !== host && !request.isNavigationRequest()) faults.push(`asked elsewhere: ${request.url()}`);
    });
    if (speed > 1) await page.addInitScript(faster, speed);
    await page.goto(url);
  },
  text: ({ selector }) => page.locator(selector).first().innerText(),
  texts: ({ selector }) => page.locator(selector).filter({ visible: true }).allInnerTexts(),
  // Waits until the first match shows this text; an empty one: until there is a match.
  async wait({ selector, text = "" }) {
    await page.locator(selector).filter({ hasText: text }).filter({ visible: true }).first().waitFor();
  },
  async gone({ selector, text = "" }) {
    await page.locator(selector).filter({ hasText: text }).filter({ visible: true }).first().waitFor({ state: "detached" });
  },
  click: ({ selector }) => page.locator(selector).first().click(),
  fill: ({ selector, text }) => page.locator(selector).first().fill(text),
  press: ({ key }) => page.keyboard.press(key),
  evaluate: ({ script }) => page.evaluate(script),
  shot: ({ path }) => page.screenshot({ path }).then(() => null),
  // Clicks, and keeps what the browser then downloads.
  async download({ selector, path }) {
    const [download] = await Promise.all([page.waitForEvent("download"), page.locator(selector).first().click()]);
    await download.saveAs(path);
    return download.suggestedFilename();
  },
  // What a reader of the page by other means than the eyes would miss.
  async axe() {
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    return violations.filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join("; ")}`);
  },
  // Scrolls an element to each of these places in turn. Gives what the main thread did for each in milliseconds of its own time,
  // so that whatever else the machine does is not counted: scripting, styles and layout; the least first.
  async frames({ selector, tops }) {
    const session = await page.context().newCDPSession(page);
    await session.send("Performance.enable", { timeDomain: "threadTicks" });
    const worked = async () => {
      const { metrics } = await session.send("Performance.getMetrics");
      const parts = ["ScriptDuration", "LayoutDuration", "RecalcStyleDuration"];
      return 1000 * metrics.filter(({ name }) => parts.includes(name)).reduce((sum, { value }) => sum + value, 0);
    };
    const times = [];
    let before = await worked();
    for (const top of tops) {
      await page.evaluate(([selector, top]) => new Promise((done) => {
        document.querySelector(selector).scrollTop = top;
        requestAnimationFrame(() => requestAnimationFrame(done));
      }), [selector, top]);
      const after = await worked();
      times.push(after - before);
      before = after;
    }
    return times.sort((one, other) => one - other);
  },
  // Bytes that the page's scripts hold when what nobody can reach any more is gone.
  async heap() {
    const session = await page.context().newCDPSession(page);
    await session.send("HeapProfiler.enable");
    await session.send("HeapProfiler.collectGarbage");
    const { usedSize } = await session.send("Runtime.getHeapUsage");
    await session.detach();
    return usedSize;
  },
  faults: async () => faults,
};

for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...options } = JSON.parse(line);
  let answer;
  try {
    answer = { value: (await commands[command](options)) ?? null };
  } catch (error) {
    answer = { error: String(error.message ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
