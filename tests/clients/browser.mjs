// Opens the chat page of `roomcast dev` for two users in a real browser, over the DevTools protocol;
// tests/it/dev_page.rs starts it. What one user writes must show on the other's page, and the other way round.

import assert from "node:assert/strict";
import { Page, eventually, withBrowser } from "./devtools.mjs";

const { BROWSER: browser, PAGE_ANA, PAGE_BEN } = process.env;

/** The chat page, used as a user would. */
class ChatPage extends Page {
  /** Writes into the message field and presses Enter. */
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
    return eventually(`${text} on the page`, () => this.evaluate(`document.body?.innerText.includes(${JSON.stringify(text)})`));
  }
}

await withBrowser(browser, [], async (devtools) => {
  const [ana, ben] = [await ChatPage.open(devtools, PAGE_ANA), await ChatPage.open(devtools, PAGE_BEN)];
  // Whoever writes first may do so before the other has joined; then history shows it.
  for (const [from, text] of [[ana, "hello from ana <b>&amp;"], [ben, "hello from ben"]]) {
    await from.write(text);
    for (const page of [ana, ben]) await page.shows(text);
  }
  process.stdout.write("both pages show both messages\n");
});
process.exit(0);
