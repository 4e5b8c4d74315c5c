// A headless browser with a profile of its own, and its DevTools protocol; every test in a browser uses it.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import WebSocket from "ws";

const DEADLINE_MS = 40_000;
const FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"];

/** Calls `attempt` until it gives something true. */
export async function eventually(what, attempt) {
  const end = Date.now() + DEADLINE_MS;
  for (;;) {
    const value = await attempt();
    if (value) return value;
    assert(Date.now() < end, `not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Starts a browser for as long as `use` takes, which is given its DevTools. */
export async function withBrowser(program, flags, use) {
  const profile = mkdtempSync(join(tmpdir(), "roomcast-browser-"));
  const own = [`--user-data-dir=${profile}`, "--remote-debugging-port=0", "about:blank"];
  const child = spawn(program, [...FLAGS, ...flags, ...own], { stdio: ["ignore", "ignore", "pipe"] });
  const gone = new Promise((resolve) => child.on("exit", resolve));
  try {
    const devtools = new Devtools(await devtoolsAddress(child));
    await devtools.opened;
    await use(devtools);
  } finally {
    child.kill();
    await gone;
    // Its own children may still write for a moment.
    await eventually("the profile can be removed", () => removed(profile));
  }
}

function removed(folder) {
  try {
    rmSync(folder, { recursive: true, force: true });
    return true;
  } catch {
    return false;
  }
}

/** The browser's own endpoint, which it prints when it is there. */
function devtoolsAddress(child) {
  return new Promise((resolve, reject) => {
    let said = "";
    child.stderr.on("data", (data) => {
      said += data;
      const found = /DevTools listening on (ws:\S+)/.exec(said);
      if (found) resolve(found[1]);
    });
    child.on("exit", () => reject(new Error(`the browser ended: ${said}`)));
  });
}

/** Sends commands, pairs them with their answers, and keeps what is told unasked. */
class Devtools {
  constructor(address) {
    this.pending = new Map();
    this.told = [];
    this.last = 0;
    this.socket = new WebSocket(address);
    this.opened = new Promise((resolve, reject) => this.socket.on("open", resolve).on("error", reject));
    this.socket.on("message", (data) => {
      const { id, result, error, method, params } = JSON.parse(data);
      if (method) this.told.push({ method, params });
      const answer = this.pending.get(id);
      this.pending.delete(id);
      if (error) answer?.reject(new Error(error.message));
      else answer?.resolve(result);
    });
  }

  send(method, params = {}, sessionId = undefined) {
    const id = (this.last += 1);
    this.socket.send(JSON.stringify({ id, method, params, sessionId }));
    return new Promise((resolve, reject) => this.pending.set(id, { resolve, reject }));
  }
}

/** A page of its own in the browser. */
export class Page {
  static async open(devtools, url) {
    const { targetId } = await devtools.send("Target.createTarget", { url });
    const { sessionId } = await devtools.send("Target.attachToTarget", { targetId, flatten: true });
    return new this(devtools, sessionId);
  }

  constructor(devtools, sessionId) {
    this.send = (method, params) => devtools.send(method, params, sessionId);
  }

  /** The value of an expression in the page, or what its promise gives. */
  async evaluate(expression) {
    const asked = { expression, returnByValue: true, awaitPromise: true };
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", asked);
    assert(!exceptionDetails, JSON.stringify(exceptionDetails));
    return result.value;
  }
}
