// A client of /ws on Node's ws, in the event or the topic dialect, for rooms that dialects share.

import assert from "node:assert/strict";
import WebSocket from "ws";
import { inTime, tokenOf, url } from "./harness.mjs";

export class Native {
  constructor(socket) {
    this.socket = socket;
    this.kept = [];
    this.wake = () => {};
    socket.on("message", (data, isBinary) => {
      assert(!isBinary, "no binary frame is ever sent on /ws");
      this.kept.push(JSON.parse(data.toString()));
      this.wake();
    });
  }

  static async open(user, dialect) {
    const headers = { Authorization: `Bearer ${tokenOf(user)}` };
    const socket = new WebSocket(`${url.replace("http", "ws")}/ws`, [`roomcast.${dialect}.v1`], { headers });
    const opened = new Promise((resolve, reject) => socket.on("open", resolve).on("error", reject));
    const client = new Native(socket);
    await inTime(opened, "an upgrade");
    return client;
  }

  send(value) {
    this.socket.send(JSON.stringify(value));
  }

  /** The next frame that `wanted` takes; others are kept. */
  async expect(what, wanted) {
    for (;;) {
      const at = this.kept.findIndex(wanted);
      if (at >= 0) return this.kept.splice(at, 1)[0];
      await inTime(new Promise((resolve) => (this.wake = resolve)), what);
    }
  }

  async request(event, data) {
    const requestId = `r${Math.random()}`;
    this.send({ event, data, requestId });
    const reply = await this.expect(`a reply to ${event}`, (value) => value.requestId === requestId);
    assert.notEqual(reply.event, "error", JSON.stringify(reply));
    return reply.data;
  }

  /** The next push of that name, in the event dialect. */
  async expectEvent(name) {
    return (await this.expect(name, (value) => value.event === name)).data;
  }

  close() {
    this.socket.close(1000);
  }
}
