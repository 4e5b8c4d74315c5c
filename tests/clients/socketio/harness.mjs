// What the Socket.IO scenarios are written with: a member on the stock client, waits with deadlines, told steps.

import assert from "node:assert/strict";
import http from "node:http";
import { io } from "socket.io-client";

const { TRANSPORT = "upgrade" } = process.env;
const DEADLINE_MS = 20_000;

/**
 * What a client is told of the transports. The default options poll first and upgrade then. `pooled` polls over
 * connections that all clients of the script share, so one connection carries requests of many sessions.
 */
const TRANSPORTS = {
  websocket: { transports: ["websocket"] },
  polling: { transports: ["polling"] },
  pooled: { transports: ["polling"], agent: new http.Agent({ keepAlive: true, scheduling: "fifo" }) },
  upgrade: {},
};

export const url = process.env.URL;
export const transport = TRANSPORT;
assert(TRANSPORTS[transport], `TRANSPORT is ${transport}`);

/** Prints a step, which the test that started this compares. */
export const tell = (line) => process.stdout.write(`${line}\n`);

/** The token of that user, which the test minted. */
export function tokenOf(user) {
  const token = process.env[`TOKEN_${user.toUpperCase()}`];
  assert(token, `no token for ${user}`);
  return token;
}

/** Fails when `promise` takes too long. */
export function inTime(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come`)), DEADLINE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** The numbers from `from` up to, but not including, `to`. */
export const range = (from, to) => Array.from({ length: to - from }, (_, index) => from + index);

/** Options of a client on the transport under test, which tries again at once after a loss. */
export function options(token, more = {}) {
  return {
    ...TRANSPORTS[transport],
    auth: { token },
    forceNew: true,
    reconnectionDelay: 20,
    reconnectionDelayMax: 100,
    ...more,
  };
}

/** A user on a socket of the stock client; events that are not asked for now are kept for later. */
export class Member {
  constructor(socket) {
    this.socket = socket;
    this.kept = [];
    this.wakers = new Set();
    this.transports = [];
    this.recovered = [];
    socket.on("connect", () => {
      this.recovered.push(socket.recovered);
      this.wake();
    });
    socket.on("disconnect", (reason) => {
      this.reason = reason;
      this.wake();
    });
    socket.on("connect_error", (error) => {
      this.error = error;
      this.wake();
    });
    socket.onAny((event, data, last) => {
      this.kept.push({ event, data, last });
      this.wake();
    });
    const follow = () => {
      this.transports.push(socket.io.engine.transport.name);
      socket.io.engine.on("upgrade", ({ name }) => {
        this.transports.push(name);
        this.wake();
      });
    };
    socket.io.on("open", follow);
  }

  wake() {
    for (const waker of this.wakers) waker();
  }

  /** Waits until `attempt` gives something true. */
  async until(what, attempt) {
    let waker;
    let found;
    const waiting = new Promise((resolve) => {
      waker = () => {
        // What was found is taken, so an attempt after that would lose something.
        found ||= attempt();
        if (found) resolve(found);
      };
    });
    this.wakers.add(waker);
    waker();
    try {
      return await inTime(waiting, what);
    } catch (error) {
      const { reason, error: refusal, kept } = this;
      const said = JSON.stringify(kept.slice(-5));
      throw new Error(`${error.message}; last loss ${reason}, refusal ${refusal}, ${kept.length} kept, last ${said}`);
    } finally {
      this.wakers.delete(waker);
    }
  }

  connected() {
    return this.until("a connection", () => this.socket.connected);
  }

  /** Waits for a loss of the connection and returns its reason. */
  async lost() {
    await this.until("a loss", () => this.reason);
    const reason = this.reason;
    this.reason = undefined;
    return reason;
  }

  /** Waits for the connection number `count` (the first is 1) and says whether it was recovered. */
  async reconnected(count) {
    await this.until(`connection ${count}`, () => this.recovered.length >= count && this.socket.connected);
    return this.recovered[count - 1];
  }

  /** Waits for a refusal and returns the error. */
  async refused() {
    const error = await this.until("a refusal", () => this.error);
    this.error = undefined;
    return error;
  }

  upgraded() {
    return this.until("an upgrade", () => this.transports.at(-1) === "websocket");
  }

  /** Emits an event and returns the only argument of its ack, whether success or error. */
  async request(event, ...args) {
    const answer = new Promise((resolve) => this.socket.emit(event, ...args, (...answers) => resolve(answers)));
    const answers = await inTime(answer, `the ack of ${event}`);
    assert.equal(answers.length, 1, `${event}: ${JSON.stringify(answers)}`);
    return answers[0];
  }

  /** As `request`, for what must succeed. */
  async call(event, data) {
    const reply = await this.request(event, data);
    assert.equal(reply.code, undefined, `${event}: ${JSON.stringify(reply)}`);
    return reply;
  }

  join(roomId, more = {}) {
    return this.call("room:join", { roomId, ...more });
  }

  say(roomId, content, more = {}) {
    return this.call("message:send", { roomId, content, ...more });
  }

  /** The next event that `wanted` takes. */
  expect(what, wanted) {
    return this.until(what, () => {
      const at = this.kept.findIndex(wanted);
      return at >= 0 && this.kept.splice(at, 1)[0];
    });
  }

  expectEvent(name) {
    return this.expect(name, ({ event }) => event === name);
  }

  /** The next message of a room. */
  async message(roomId) {
    const wanted = ({ event, data }) => event === "message:received" && data.roomId === roomId;
    return (await this.expect(`a message of ${roomId}`, wanted)).data;
  }

  /** Takes `count` messages of a room, and fails when there are already more. */
  async messages(roomId, count) {
    const wanted = ({ event, data }) => event === "message:received" && data.roomId === roomId;
    await this.until(`${count} messages of ${roomId}`, () => this.kept.filter(wanted).length >= count);
    const taken = this.kept.filter(wanted).map(({ data }) => data);
    this.kept = this.kept.filter((entry) => !wanted(entry));
    assert.equal(taken.length, count, `more than ${count} messages of ${roomId}`);
    return taken;
  }

  /** Fails when an event of that name is there, or comes before the answer to a ping. */
  async assertNo(name) {
    await this.call("ping", {});
    assert.deepEqual(this.kept.filter(({ event }) => event === name), []);
  }

  close() {
    this.socket.disconnect();
  }
}

/** A member that is still connecting. */
export function start(user, { to = url, namespace = "", token = tokenOf(user), ...more } = {}) {
  return new Member(io(`${to}${namespace}`, options(token, more)));
}

/** A connected member. */
export async function open(user, more = {}) {
  const member = start(user, more);
  await member.connected();
  return member;
}
