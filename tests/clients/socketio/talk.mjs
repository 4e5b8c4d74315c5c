// What every chat needs: a connection, a refusal, rooms, acks both ways, errors, bytes, namespaces.

import assert from "node:assert/strict";
import { Manager } from "socket.io-client";
import { Member, inTime, open, options, start, tell, tokenOf, transport, url } from "./harness.mjs";

const EXPECTED_TRANSPORTS = {
  websocket: ["websocket"],
  polling: ["polling"],
  pooled: ["polling"],
  upgrade: ["polling", "websocket"],
};

async function connecting() {
  const ana = await open("ana");
  if (transport === "upgrade") await ana.upgraded();
  assert.deepEqual(ana.transports, EXPECTED_TRANSPORTS[transport]);
  assert.equal(ana.socket.recovered, false);
  assert.notEqual(ana.socket.id, ana.socket.io.engine.id, "the ids of transport and socket differ");
  assert.equal((await ana.call("connection:session-info", {})).userId, "ana");
  tell("connected");
  await ana.call("ping", {});
  for (const where of [{ query: { token: tokenOf("ben") } }, { extraHeaders: { authorization: `Bearer ${tokenOf("ben")}` } }]) {
    const ben = await open("ben", { ...where, auth: {} });
    assert.equal((await ben.call("connection:session-info", {})).userId, "ben");
    ben.close();
  }
  tell("token in auth, query or header");
  return ana;
}

async function refusals() {
  for (const token of ["nonsense", "", 7, { a: 1 }, undefined]) {
    const stranger = start("ana", { auth: { token } });
    const { message, data } = await stranger.refused();
    assert(typeof message === "string" && message.length > 0, "a readable reason");
    assert.equal(data.code, "AUTH_FAILED", JSON.stringify(data));
    assert.equal(data.recoverable, false);
    assert.equal(stranger.socket.active, false, "the client does not try again by itself");
    // The same socket gets in with a better token.
    stranger.socket.auth = { token: tokenOf("ana") };
    stranger.socket.connect();
    await stranger.connected();
    stranger.close();
  }
  tell("bad token: connect_error with AUTH_FAILED, then a good one");
  const expired = start("late");
  assert.equal((await expired.refused()).data.code, "AUTH_FAILED");
  tell("expired token: connect_error with AUTH_FAILED");
}

async function chatting(ana, ben) {
  const joined = await ana.join("lobby");
  assert.deepEqual([joined.roomId, joined.offset, joined.members], ["lobby", 0, 1]);
  assert.equal((await ben.join("lobby")).members, 2);
  assert.deepEqual((await ana.expectEvent("room:member-joined")).data, { roomId: "lobby", userId: "ben" });
  tell("joined");
  const content = { text: "hello ü€😀\u2028", nested: [1, { a: null }] };
  const sent = await ana.say("lobby", content, { clientId: "c1" });
  assert.deepEqual([sent.roomId, sent.epoch, sent.offset, sent.clientId], ["lobby", joined.epoch, 1, "c1"]);
  for (const member of [ana, ben]) {
    const { data, last } = await member.expectEvent("message:received");
    assert.deepEqual([data.id, data.offset, data.senderId, data.content], [sent.id, 1, "ana", content]);
    assert.equal(typeof last, "string", "an opaque offset is the last argument");
  }
  const repeated = await ana.say("lobby", content, { clientId: "c1" });
  assert.deepEqual([repeated.id, repeated.duplicate], [sent.id, true]);
  tell("sent with an ack, received by both");
  ben.socket.emit("message:send", { roomId: "lobby", content: "quietly" });
  assert.equal((await ana.message("lobby")).content, "quietly");
  assert.equal((await ben.message("lobby")).content, "quietly");
  ben.socket.emit("room:info", { roomId: "lobby" });
  const { data, last } = await ben.expectEvent("room:info");
  assert.deepEqual([data.roomId, data.offset, typeof last], ["lobby", 2, "string"]);
  await ben.assertNo("message:sent");
  tell("without an ack: sends are silent, queries answered as events");
}

async function errors(ana) {
  const cases = [
    ["ROOM_ACCESS_DENIED", "message:send", { roomId: "elsewhere", content: 1 }],
    ["INVALID_PAYLOAD", "message:send", { roomId: "lobby" }],
    ["INVALID_PAYLOAD", "message:send", "text"],
    ["INVALID_PAYLOAD", "message:send", [1]],
    ["INVALID_PAYLOAD", "message:send", { roomId: "lobby", content: 1 }, { more: 1 }],
    ["PROTOCOL_ERROR", "no:such:event", {}],
    ["SERVER_ERROR", "file:upload", { roomId: "lobby" }],
  ];
  for (const [code, event, ...args] of cases) {
    const error = await ana.request(event, ...args);
    assert.deepEqual([error.status, error.code], ["error", code], `${event} ${JSON.stringify(args)}`);
    assert.equal(typeof error.message, "string");
    assert.equal(typeof error.recoverable, "boolean");
    ana.socket.emit(event, ...args);
    const pushed = await ana.expectEvent("error");
    assert.deepEqual([pushed.data.code, typeof pushed.last], [code, "string"]);
  }
  assert.equal((await ana.call("ping", null)).code, undefined);
  assert.equal((await ana.call("ping")).code, undefined);
  tell("errors come in the ack, or as an event without one");
}

async function bytes(ana, ben) {
  const big = Buffer.alloc(200_000, "0123456789abcdef");
  const contents = [
    Buffer.from([0, 1, 2, 255]),
    { name: "two", parts: [Buffer.from("first"), { deep: Buffer.from("second") }] },
    { empty: Buffer.alloc(0), big },
    { typed: new Uint8Array([7, 8, 9]) },
  ];
  for (const content of contents) {
    await ana.say("lobby", content, { metadata: { thumb: Buffer.from("tiny") } });
    for (const member of [ana, ben]) {
      const message = await member.message("lobby");
      const expected = content.typed ? { typed: Buffer.from([7, 8, 9]) } : content;
      assert.deepEqual(message.content, expected);
      assert.deepEqual(message.metadata, { thumb: Buffer.from("tiny") });
    }
  }
  await ben.say("lobby", { back: Buffer.from("and back") });
  for (const member of [ana, ben]) {
    assert.deepEqual((await member.message("lobby")).content, { back: Buffer.from("and back") });
  }
  tell("bytes both ways");
  const { messages } = await ben.call("room:history", { roomId: "lobby", limit: 2 });
  const told = messages.map(({ content }) => content);
  assert.deepEqual(told[1], { back: { _base64: Buffer.from("and back").toString("base64") } });
  assert.deepEqual(told[0], { typed: { _base64: Buffer.from([7, 8, 9]).toString("base64") } });
  tell("bytes in a reply are base64");
  const parts = Array.from({ length: 10 }, (_, index) => Buffer.from([index]));
  await ana.say("lobby", parts);
  assert.deepEqual((await ben.message("lobby")).content, parts);
  assert.deepEqual((await ana.message("lobby")).content, parts);
  tell("ten attachments");
}

async function acksOfTheServer(ana, ben) {
  const asked = [];
  // A client may also answer with bytes, or not at all.
  const answers = [(ack) => ack(), (ack) => ack({ seen: true }), (ack) => ack(Buffer.from("seen"))];
  ben.socket.on("message:received", (data, ack) => {
    if (data.ackRequested) asked.push(data.id), answers.shift()(ack);
  });
  for (const content of ["one", { two: 2 }, Buffer.from("three")]) {
    const sent = await ana.say("lobby", content, { ackRequested: true });
    assert.deepEqual((await ben.message("lobby")).content, content);
    const wanted = ({ event, data }) => event === "message:status" && data.userId === "ben";
    const { data } = await ana.expect("ben's delivery", wanted);
    assert.deepEqual([data.roomId, data.status, data.messageId], ["lobby", "delivered", sent.id]);
    const { users } = await ana.call("message:delivery-status", { roomId: "lobby", messageId: sent.id });
    const entry = users.find(({ userId }) => userId === "ben");
    assert(entry.deliveredAt, JSON.stringify(users));
    assert.equal(asked.at(-1), sent.id);
    await ana.message("lobby");
  }
  assert.equal(asked.length, 3);
  tell("acks that the server asks for mark a message delivered");
}

async function namespaces() {
  const manager = new Manager(url, options(undefined));
  const socket = (namespace, user) => new Member(manager.socket(namespace, { auth: { token: tokenOf(user) } }));
  const [root, chat, nowhere] = [socket("/", "ana"), socket("/chat", "ben"), socket("/nowhere", "ana")];
  const refusal = await nowhere.refused();
  assert.deepEqual([refusal.message, refusal.data], ["Invalid namespace", undefined]);
  await root.connected();
  await chat.connected();
  tell("unknown namespace: Invalid namespace");
  const other = await open("ana", { namespace: "/chat" });
  const who = (member) => member.call("connection:session-info", {}).then(({ userId }) => userId);
  assert.deepEqual([await who(root), await who(chat), await who(other)], ["ana", "ben", "ana"]);
  assert.notEqual(root.socket.id, chat.socket.id);
  const [first, second] = [await root.join("isolated"), await chat.join("isolated")];
  assert.notEqual(first.epoch, second.epoch);
  assert.deepEqual([first.members, second.members], [1, 1]);
  assert.equal((await other.join("isolated")).members, 2);
  assert.equal((await root.say("isolated", "of the root")).offset, 1);
  assert.equal((await other.say("isolated", { of: Buffer.from("the chat") })).offset, 1);
  assert.deepEqual((await root.messages("isolated", 1))[0].content, "of the root");
  for (const member of [chat, other]) {
    assert.deepEqual((await member.messages("isolated", 1))[0].content, { of: Buffer.from("the chat") });
    await member.assertNo("message:received");
  }
  await root.assertNo("message:received");
  tell("namespaces are apart");
  // Leaving one namespace leaves the others on the same connection alone.
  chat.close();
  await other.expect("ben's end", ({ event, data }) => event === "room:member-left" && data.userId === "ben");
  await root.say("isolated", "still here");
  assert.equal((await root.message("isolated")).content, "still here");
  chat.socket.connect();
  await chat.connected();
  assert.equal(chat.socket.recovered, false, "nothing is recovered after a client's own goodbye");
  tell("a namespace can be left and entered again");
  for (const member of [root, chat, other]) member.close();
}

async function reconnecting(ana, ben) {
  ana.close();
  assert.equal(await ana.lost(), "io client disconnect");
  // A disconnect by the client is an explicit end: the others see it at once.
  await ben.expect("ana's end", ({ event, data }) => event === "room:member-left" && data.userId === "ana");
  ana.socket.connect();
  assert.equal(await ana.reconnected(2), false);
  assert.equal((await ana.request("message:send", { roomId: "lobby", content: 1 })).code, "ROOM_ACCESS_DENIED");
  await ana.join("lobby");
  await ana.say("lobby", "again");
  assert.equal((await ana.message("lobby")).content, "again");
  tell("disconnected and connected again, fresh");
  // The transport alone ends: the client comes back by itself.
  ana.socket.io.engine.close();
  assert.equal(await ana.lost(), "forced close");
  await inTime(ana.reconnected(3), "a reconnect");
  await ana.call("ping", {});
  tell("reconnected by itself");
}

export async function talk() {
  const ana = await connecting();
  await refusals();
  const ben = await open("ben");
  await chatting(ana, ben);
  await errors(ana);
  await bytes(ana, ben);
  await acksOfTheServer(ana, ben);
  await namespaces();
  await reconnecting(ana, ben);
  for (const member of [ana, ben]) member.close();
}
