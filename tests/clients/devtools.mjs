// The DevTools protocol of a browser that was started with a debugging port; report.mjs and browser.mjs use it.

import WebSocket from "ws";

/** The browser's own endpoint, which it prints when it is there. */
export function devtoolsAddress(child) {
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
export class Devtools {
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
