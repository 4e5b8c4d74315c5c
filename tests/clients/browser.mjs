// Opens the chat page of `roomcast dev` for two users in a real browser, over the DevTools protocol;
// tests/it/dev_page.rs starts it. What one user writes must show on the other's page, and the other way round.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Devtools, devtoolsAddress } from "./devtools.mjs";

const { BROWSER: browser, PAGE_ANA, PAGE_BEN } = process.env;
const DEADLINE_MS = 40_000;

/** Calls `attempt` until it gives something true. */
async function eventually(what, attempt) {
  const end = Date.now() + DEADLINE_MS;
  for (;;) {
    const value = await attempt();
    if (value) return value;
    assert(Date.now() < end, `not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Opens an address in a page of its own. */
async function openPage(devtools, url) {
  const { targetId } = await devtools.send("Target.createTarget", { url });
  const { sessionId } = await devtools.send("Target.attachToTarget", { targetId, flatten: true });
  return new Page(devtools, sessionId);
}

class Page {
  constructor(devtools, sessionId) {
    this.send = (method, params) => devtools.send(method, params, sessionId);
  }

  async evaluate(expression) {
    const { result } = await this.send("Runtime.evaluate", { expression, returnByValue: true });
    return result.value;
  }

  /** Writes into the page's message field and presses Enter, as a user would. */
  async write(text) {
    await eventually("a usable #message field", () =>
      this.evaluate(
        "(() => { const field = document.querySelector('#message'); if (!field || field.disabled) return false;" +
          " field.focus(); return document.activeElement === field; })()",
      ),
    );
    await this.send("Input.insertText", { text });
    for (const type of ["keyDown", "keyUp"]) {
      const key = { key: "Enter", code: "Enter", windowsVirtualKeyCode: 13, text: type === "keyDown" ? "\r" : "" };
      await this.send("Input.dispatchKeyEvent", { type, ...key });
    }
  }

  shows(text) {
    return eventually(`${text} on the page`, () => this.evaluate(`document.body.innerText.includes(${JSON.stringify(text)})`));
  }
}

const profile = mkdtempSync(join(tmpdir(), "roomcast-browser-"));
const flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"];
const child = spawn(browser, [...flags, `--user-data-dir=${profile}`, "--remote-debugging-port=0", "about:blank"], {
  stdio: ["ignore", "ignore", "pipe"],
});
try {
  const devtools = new Devtools(await devtoolsAddress(child));
  await devtools.opened;
  const [ana, ben] = [await openPage(devtools, PAGE_ANA), await openPage(devtools, PAGE_BEN)];
  // Whoever writes first may do so before the other has joined; then history shows it.
  for (const [from, text] of [[ana, "hello from ana <b>&amp;"], [ben, "hello from ben"]]) {
    await from.write(text);
    for (const page of [ana, ben]) await page.shows(text);
  }
  process.stdout.write("both pages show both messages\n");
} finally {
  child.removeAllListeners("exit");
  const gone = new Promise((resolve) => child.on("exit", resolve));
  child.kill();
  await gone;
  rmSync(profile, { recursive: true, force: true, maxRetries: 10 });
}
process.exit(0);
