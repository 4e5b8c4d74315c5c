// Drives the gateway with Node's ws; tests/it/foreign_clients.rs starts it and compares what it prints.

import assert from "node:assert/strict";
import WebSocket from "ws";

const { URL: url, TOKEN_ANA, TOKEN_BEN } = process.env;
const tokens = { ana: TOKEN_ANA, ben: TOKEN_BEN };
const DEADLINE_MS = 20_000;

const tell = (line) => process.stdout.write(`${line}\n`);

/** Fails when `promise` takes too long. */
function inTime(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come`)), DEADLINE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** One connection; what is not asked for now is kept for later. */
class Client {
  constructor(socket) {
    this.socket = socket;
    this.kept = [];
    this.wake = () => {};
    this.closed = new Promise((resolve) => socket.on("close", resolve));
    socket.on("message", (data, isBinary) => {
      assert(!isBinary, "no binary frame is ever sent on /ws");
      this.kept.push(JSON.parse(data.toString()));
      this.wake();
    });
  }

  send(value) {
    this.socket.send(JSON.stringify(value));
  }

  sendInFragments(value) {
    // Cut as bytes: a fragment may end within a character.
    const bytes = Buffer.from(JSON.stringify(value));
    const third = Math.floor(bytes.length / 3);
    this.socket.send(bytes.subarray(0, third), { binary: false, fin: false });
    this.socket.ping();
    this.socket.send(bytes.subarray(third, 2 * third), { binary: false, fin: false });
    this.socket.send(bytes.subarray(2 * third), { binary: false, fin: true });
  }

  async expect(wanted) {
    for (;;) {
      const at = this.kept.findIndex(wanted);
      if (at >= 0) return this.kept.splice(at, 1)[0];
      await inTime(new Promise((resolve) => (this.wake = resolve)), wanted.toString());
    }
  }

  async request(event, data, requestId) {
    this.send({ event, data, requestId });
    const reply = await this.expect((value) => value.requestId === requestId);
    assert.notEqual(reply.event, "error", JSON.stringify(reply));
    return reply.data;
  }

  message() {
    return this.expect((value) => value.event === "message:received" || value.type === "message");
  }

  closeCode() {
    return inTime(this.closed, "a close");
  }

  close() {
    this.socket.close(1000);
    return this.closeCode();
  }
}

function open(user, dialect = "event") {
  const headers = user ? { Authorization: `Bearer ${tokens[user]}` } : {};
  const socket = new WebSocket(url, [`roomcast.${dialect}.v1`], { headers });
  const client = new Client(socket);
  return inTime(
    new Promise((resolve, reject) => {
      socket.on("open", () => resolve(client));
      socket.on("error", reject);
    }),
    "an upgrade",
  );
}

function refusedStatus() {
  const socket = new WebSocket(url, { headers: { Authorization: "Bearer nonsense" } });
  return inTime(
    new Promise((resolve) => {
      socket.on("unexpected-response", (_, response) => resolve(response.statusCode));
    }),
    "a refusal",
  );
}

async function eventDialect() {
  tell(`event: refused without a good token: ${await refusedStatus()}`);
  const ana = await open("ana");
  let ben = await open("ben");
  tell(`event: subprotocol ${ana.socket.protocol}`);
  let joined = await ana.request("room:join", { roomId: "story" }, "join");
  tell(`event: joined at offset ${joined.offset}`);
  await ben.request("room:join", { roomId: "story" }, 1);
  const sent = await ana.request("message:send", { roomId: "story", content: "hello" }, "send");
  for (const client of [ana, ben]) {
    const { data } = await client.message();
    assert.deepEqual([data.content, data.id], ["hello", sent.id]);
  }
  tell("event: sent and received");
  let content = "in three pieces: ü€😀".repeat(10);
  ana.sendInFragments({ event: "message:send", data: { roomId: "story", content } });
  assert.equal((await ben.message()).data.content, content);
  tell("event: fragmented message received");
  content = "x".repeat(500_000);
  ana.send({ event: "message:send", data: { roomId: "story", content } });
  assert.equal((await ben.message()).data.content, content);
  tell("event: large message received");
  const pong = new Promise((resolve) => ana.socket.on("pong", (data) => data.toString() === "payload" && resolve()));
  ana.socket.ping("payload");
  await inTime(pong, "a pong");
  await ana.request("ping", {}, "ping");
  tell("event: ping answered");
  await ben.close();
  let last;
  for (let number = 0; number < 3; number += 1) {
    last = await ana.request("message:send", { roomId: "story", content: number }, `gap${number}`);
  }
  ben = await open("ben");
  const recover = { epoch: joined.epoch, offset: last.offset - 3 };
  joined = await ben.request("room:join", { roomId: "story", recover }, "recover");
  assert.equal(joined.recovered, true);
  assert.deepEqual(joined.messages.map((message) => message.content), [0, 1, 2]);
  tell(`event: left a gap of 3 and recovered ${joined.messages.length}`);
  ben.socket.send(Buffer.from("binary"));
  tell(`event: binary closes with ${await ben.closeCode()}`);
  const pending = await open();
  for (let attempt = 0; attempt < 3; attempt += 1) {
    pending.send({ event: "auth", data: { token: "nonsense" } });
  }
  tell(`event: bad message closes with ${await pending.closeCode()}`);
  ben = await open("ben");
  ben.send({ event: "ping", data: { fill: "x".repeat(1 << 20) } });
  tell(`event: too large closes with ${await ben.closeCode()}`);
  tell(`event: closed with ${await ana.close()}`);
}

async function topicDialect() {
  const isType = (type) => (value) => value.type === type;
  let ana = await open(undefined, "topic");
  tell(`topic: subprotocol ${ana.socket.protocol}`);
  ana.send({ type: "auth", token: tokens.ana });
  assert.equal((await ana.expect(isType("auth_success"))).userId, "ana");
  tell("topic: authenticated by a first message");
  ana.send({ type: "subscribe", topic: "tale.one" });
  let subscribed = await ana.expect(isType("subscribed"));
  tell(`topic: subscribed at offset ${subscribed.offset}`);
  const ben = await open("ben", "topic");
  ben.send({ type: "subscribe", topic: "tale.*" });
  await ben.expect(isType("subscribed"));
  ana.send({ type: "message", topic: "tale.one", data: { n: 1 }, metadata: { lang: "en" } });
  const message = await ana.message();
  assert.deepEqual(message.data, { n: 1 });
  assert.equal(message.metadata.lang, "en");
  tell("topic: sent and received");
  assert.equal((await ben.message()).metadata.id, message.metadata.id);
  tell("topic: pattern received");
  for (const content of ["in three pieces: ü€😀".repeat(10), "x".repeat(500_000)]) {
    ben.sendInFragments({ type: "message", topic: "tale.one", data: content });
    assert.equal((await ana.message()).data, content);
    assert.equal((await ben.message()).data, content);
  }
  tell("topic: fragmented and large messages received");
  await ana.close();
  let last;
  for (let number = 0; number < 3; number += 1) {
    ben.send({ type: "message", topic: "tale.one", data: number });
    last = (await ben.message()).metadata;
  }
  ana = await open("ana", "topic");
  const recover = { epoch: last.epoch, offset: last.offset - 3 };
  ana.send({ type: "subscribe", topic: "tale.one", recover });
  subscribed = await ana.expect(isType("subscribed"));
  const contents = ana.kept.filter(isType("message")).map((value) => value.data);
  assert.equal(subscribed.recovered, true);
  assert.deepEqual(contents, [0, 1, 2]);
  tell(`topic: left a gap of 3 and recovered ${contents.length}`);
  await ben.close();
  tell(`topic: closed with ${await ana.close()}`);
}

await eventDialect();
await topicDialect();
