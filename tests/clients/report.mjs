// Opens the load generator's report in a real browser, over the DevTools protocol; loadtest/tests/it/page.rs starts it.
// Nothing may be fetched, nothing may fail, no text may stick out, and every chart must have marks.

import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";
import { withBrowser } from "./devtools.mjs";

const { BROWSER: browser, PAGE, VERDICT, CHARTS } = process.env;
const QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync"];

/** What is looked at in the page itself. */
function look() {
  const name = (element) => `${element.tagName}.${element.className}: ${element.textContent.slice(0, 40)}`;
  const figures = [...document.querySelectorAll("figure.chart")];
  const texts = [...document.querySelectorAll("h1,h2,h3,p,li,dt,dd,th,td,.ys span,.xs span")];
  const shown = texts.filter((element) => getComputedStyle(element).visibility !== "hidden");
  const overlaps = figures.flatMap((figure) =>
    [".xs span", ".ys span"].flatMap((labels) => {
      const boxes = [...figure.querySelectorAll(labels)]
        .filter((label) => getComputedStyle(label).visibility !== "hidden")
        .map((label) => label.getBoundingClientRect())
        .sort((a, b) => a.left - b.left || a.top - b.top);
      const touch = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
      return boxes.slice(1).filter((box, index) => touch(boxes[index], box)).map(() => `${name(figure)} ${labels}`);
    }),
  );
  // Under the pointer values must show.
  const unanswered = figures.filter((figure) => {
    const area = figure.querySelector(".area");
    const { left, top, width } = area.getBoundingClientRect();
    area.dispatchEvent(new PointerEvent("pointermove", { clientX: left + width / 2, clientY: top + 5 }));
    const tip = figure.querySelector(".tip")?.textContent ?? "";
    area.dispatchEvent(new PointerEvent("pointerleave"));
    return !/\d/.test(tip);
  });
  return {
    verdict: document.querySelector(".verdict strong").textContent,
    charts: figures.length,
    unlabelled: figures.filter((figure) => !figure.querySelector("svg").getAttribute("aria-label")).map(name),
    unmarked: figures
      .filter((figure) => ![...figure.querySelectorAll("path.line")].some((line) => line.getAttribute("d")))
      .map(name),
    untitled: figures.filter((figure) => figure.querySelectorAll(".ys span").length < 2).map(name),
    wider: document.documentElement.scrollWidth - innerWidth,
    sticksOut: shown
      .filter((element) => {
        const { left, right } = element.getBoundingClientRect();
        return element.closest(".scroll") === null && (left < -0.5 || right > innerWidth + 0.5);
      })
      .map(name),
    cutOff: shown.filter((element) => element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 0).map(name),
    overlaps,
    unanswered: unanswered.map(name),
    foreign: [...document.querySelectorAll("img, iframe, object, embed")].map(name),
    fetched: performance.getEntriesByType("resource").map((entry) => entry.name),
  };
}

await withBrowser(browser, QUIET, async (devtools) => {
  const { targetId } = await devtools.send("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await devtools.send("Target.attachToTarget", { targetId, flatten: true });
  const send = (method, params) => devtools.send(method, params, sessionId);
  for (const domain of ["Page", "Runtime", "Network", "Log"]) await send(`${domain}.enable`);
  for (const width of [1280, 360]) {
    await send("Emulation.setDeviceMetricsOverride", { width, height: 900, deviceScaleFactor: 1, mobile: false });
    devtools.told.length = 0;
    const address = pathToFileURL(PAGE).href;
    await send("Page.navigate", { url: address });
    const end = Date.now() + 40_000;
    while (!devtools.told.some(({ method }) => method === "Page.loadEventFired")) {
      assert(Date.now() < end, "the page does not load");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const answer = await send("Runtime.evaluate", { expression: `(${look})()`, returnByValue: true });
    assert(!answer.exceptionDetails, JSON.stringify(answer.exceptionDetails));
    const none = { unlabelled: [], unmarked: [], untitled: [], sticksOut: [], cutOff: [], overlaps: [], unanswered: [] };
    const expected = { verdict: VERDICT, charts: Number(CHARTS), wider: 0, foreign: [], fetched: [], ...none };
    const seen = answer.result.value;
    assert.deepEqual({ ...seen, wider: Math.max(seen.wider, 0) }, expected, `${width} pixels wide`);
    const bad = ["Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"];
    assert.deepEqual(devtools.told.filter(({ method }) => bad.includes(method)), []);
    const requests = devtools.told.filter(({ method }) => method === "Network.requestWillBeSent");
    const others = requests.map(({ params }) => params.request.url).filter((url) => url !== address && !url.startsWith("data:"));
    assert.deepEqual(others, []);
  }
  process.stdout.write("the page is as it should be\n");
});
process.exit(0);
