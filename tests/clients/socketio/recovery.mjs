// Connection state recovery when the transport is really cut: everything missed, in order, once; or nothing.

import assert from "node:assert/strict";
import { Manager } from "socket.io-client";
import { Member, inTime, open, options, range, tell, tokenOf, url } from "./harness.mjs";
import { Proxy } from "./proxy.mjs";

const contents = (messages) => messages.map(({ content }) => content);

/** Sends the numbers from `from` up to `to` one behind the other, without waiting; resolves when all are acknowledged. */
function stream(member, room, from, to) {
  return Promise.all(range(from, to).map((number) => member.say(room, number)));
}

async function cutInTheMidst(proxy, ana, ben) {
  const joined = await ben.join("story");
  await ana.join("story");
  for (const round of [1, 2, 3]) {
    const first = (round - 1) * 60;
    const id = ben.socket.id;
    // Some arrive, some are on their way, some come when nobody is there.
    const before = stream(ana, "story", first, first + 20);
    await ben.until("some messages", () => ben.kept.length >= 10);
    const during = stream(ana, "story", first + 20, first + 40);
    proxy.cut();
    await ben.lost();
    await Promise.all([before, during]);
    await stream(ana, "story", first + 40, first + 60);
    proxy.restore();
    assert.equal(await ben.reconnected(round + 1), true);
    assert.equal(ben.socket.id, id, "the same session");
    const missed = await ben.messages("story", 60);
    assert.deepEqual(contents(missed), range(first, first + 60));
    assert.deepEqual(missed.map(({ offset }) => offset), range(first + 1, first + 61));
    assert(missed.every(({ epoch }) => epoch === joined.epoch));
    assert.deepEqual(contents(await ana.messages("story", 60)), range(first, first + 60));
  }
  tell("cut three times: recovered, all in order, none twice");
  // The rooms were joined again with the session.
  await ben.say("story", "still a member");
  for (const member of [ana, ben]) assert.equal((await member.message("story")).content, "still a member");
  await ben.assertNo("message:received");
  tell("a member still, without joining again");
}

async function nothingReceivedYet(proxy, ana) {
  // Whoever joins last is told nothing but its reply.
  await ana.join("early");
  const cid = await open("cid", { to: proxy.url });
  await cid.join("early");
  assert.deepEqual(cid.kept, []);
  proxy.cut();
  await cid.lost();
  await stream(ana, "early", 0, 5);
  proxy.restore();
  assert.equal(await cid.reconnected(2), true);
  assert.deepEqual(contents(await cid.messages("early", 5)), range(0, 5));
  tell("recovered before any event was received");
  proxy.cut();
  await cid.lost();
  proxy.restore();
  assert.equal(await cid.reconnected(3), true);
  await cid.assertNo("message:received");
  tell("recovered when nothing was missed");
  cid.close();
}

async function unnoticed(proxy, ana) {
  const [one, two] = ["silent.one", "silent.two"];
  const ben = await open("ben", { to: proxy.url });
  for (const room of [one, two]) {
    await ben.join(room);
    await ana.join(room);
  }
  // The client's one offset must tell where it is in either room, between any two messages.
  for (const [room, number] of [[one, 0], [two, 0], [two, 1], [one, 1], [two, 2], [two, 3]]) {
    await ana.say(room, number);
    assert.equal((await ben.expectEvent("message:received")).data.content, number);
  }
  // The gateway has sent these, and its kernel has them acknowledged; ben never sees them.
  proxy.swallow();
  await Promise.all([stream(ana, one, 2, 24), stream(ana, two, 4, 24)]);
  proxy.cut();
  await ben.lost();
  proxy.restore();
  assert.equal(await ben.reconnected(2), true);
  assert.deepEqual(contents(await ben.messages(one, 22)), range(2, 24));
  assert.deepEqual(contents(await ben.messages(two, 20)), range(4, 24));
  tell("recovered what the network had swallowed");
  // The gateway believes ben to be there when it comes again.
  proxy.cutSilently();
  await ben.lost();
  await Promise.all([stream(ana, one, 24, 44), stream(ana, two, 24, 44)]);
  proxy.restore();
  assert.equal(await ben.reconnected(3), true);
  await Promise.all([ana.say(one, 44), ana.say(two, 44)]);
  for (const room of [one, two]) assert.deepEqual(contents(await ben.messages(room, 21)), range(24, 45));
  await ben.assertNo("message:received");
  tell("recovered before the gateway knew of the loss");
  ben.close();
}

async function twoNamespaces(proxy, ana) {
  const other = await open("ana", { namespace: "/chat" });
  const manager = new Manager(proxy.url, options(undefined));
  const socket = (namespace, user) => new Member(manager.socket(namespace, { auth: { token: tokenOf(user) } }));
  const [root, chat] = [socket("/", "ben"), socket("/chat", "cid")];
  for (const [member, peer] of [[root, ana], [chat, other]]) {
    await member.connected();
    await member.join("both");
    await peer.join("both");
  }
  for (const round of [0, 1]) {
    await ana.say("both", `root seen ${round}`);
    await root.message("both");
    proxy.cut();
    for (const member of [root, chat]) await member.lost();
    for (const number of range(0, 5)) {
      await ana.say("both", `root ${number}`);
      await other.say("both", `chat ${number}`);
    }
    proxy.restore();
    for (const [member, name] of [[root, "root"], [chat, "chat"]]) {
      assert.equal(await member.reconnected(round + 2), true);
      assert.deepEqual(contents(await member.messages("both", 5)), range(0, 5).map((number) => `${name} ${number}`));
      await member.assertNo("message:received");
    }
  }
  tell("two namespaces of one connection recovered, each its own");
  for (const member of [other, root, chat]) member.close();
}

async function bytesAndRooms(proxy, ana) {
  const ben = await open("ben", { to: proxy.url });
  for (const room of ["one", "two"]) {
    await ben.join(room);
    await ana.join(room);
  }
  await ana.say("one", "seen");
  await ben.message("one");
  proxy.cut();
  await ben.lost();
  const sent = [];
  for (const number of range(0, 20)) {
    const room = number % 2 ? "one" : "two";
    sent.push([room, { number, bytes: Buffer.from([number]) }]);
    await ana.say(...sent.at(-1));
  }
  proxy.restore();
  assert.equal(await ben.reconnected(2), true);
  await ben.say("two", "last");
  await ben.expect("the last", ({ event, data }) => event === "message:received" && data.content === "last");
  const missed = ben.kept.filter(({ event }) => event === "message:received").map(({ data }) => [data.roomId, data.content]);
  assert.deepEqual(missed.filter(([room]) => room === "one"), sent.filter(([room]) => room === "one"));
  assert.deepEqual(missed.filter(([room]) => room === "two"), sent.filter(([room]) => room === "two"));
  tell("messages with bytes of two rooms recovered");
  ben.close();
}

async function asked(proxy, ana) {
  const ben = await open("ben", { to: proxy.url });
  // As an application has it: an ack is there whenever one was asked for.
  ben.socket.on("message:received", (data, ack) => data.ackRequested && ack());
  await ben.join("asked");
  await ana.join("asked");
  const delivered = () => ana.expect("ben's delivery", ({ event, data }) => event === "message:status" && data.userId === "ben");
  await ana.say("asked", 0);
  await ana.say("asked", 1, { ackRequested: true });
  await delivered();
  proxy.cut();
  await ben.lost();
  await ana.say("asked", 2, { ackRequested: true });
  await ana.say("asked", 3);
  proxy.restore();
  assert.equal(await ben.reconnected(2), true);
  // What asks for an ack bears no offset, but the ack tells as much.
  assert.deepEqual(contents(await ben.messages("asked", 4)), range(0, 4));
  await delivered();
  await ben.assertNo("message:received");
  tell("what asked for an ack is neither lost nor doubled");
  ben.close();
}

async function ownGoodbye(proxy, ana) {
  const ben = await open("ben", { to: proxy.url });
  await ben.join("bye");
  await ana.join("bye");
  await ana.say("bye", "seen");
  await ben.message("bye");
  ben.close();
  await ana.expect("ben's end", ({ event, data }) => event === "room:member-left" && data.roomId === "bye");
  await ana.say("bye", "missed");
  ben.socket.connect();
  assert.equal(await ben.reconnected(2), false);
  await ben.assertNo("message:received");
  assert.equal((await ben.request("message:send", { roomId: "bye", content: 1 })).code, "ROOM_ACCESS_DENIED");
  tell("nothing is recovered after a goodbye");
  ben.close();
}

async function retries(proxy, ana) {
  // The client sends again what was not acknowledged, under another ack id; `clientId` makes that harmless.
  const ben = await open("ben", { to: proxy.url, retries: 20, ackTimeout: 500 });
  await ana.join("again");
  await inTime(ben.socket.emitWithAck("room:join", { roomId: "again" }), "a join");
  const send = (number) => ben.socket.emitWithAck("message:send", { roomId: "again", content: number, clientId: `c${number}` });
  const replies = Promise.all(range(0, 60).map(send));
  await ana.until("some messages", () => ana.kept.filter(({ data }) => data.roomId === "again").length >= 20);
  proxy.cut();
  await ben.lost();
  proxy.restore();
  const offsets = (await inTime(replies, "all acks")).map(({ offset }) => offset);
  assert.deepEqual(offsets, range(1, 61));
  for (const member of [ana, ben]) assert.deepEqual(contents(await member.messages("again", 60)), range(0, 60));
  tell("sends that the client repeats after a cut are published once");
  ben.close();
}

/** With the default times of `--session-ttl`. */
export async function recovery() {
  const proxy = await Proxy.before(url);
  const ana = await open("ana");
  const ben = await open("ben", { to: proxy.url });
  await cutInTheMidst(proxy, ana, ben);
  ben.close();
  await nothingReceivedYet(proxy, ana);
  await unnoticed(proxy, ana);
  await twoNamespaces(proxy, ana);
  await bytesAndRooms(proxy, ana);
  await asked(proxy, ana);
  await ownGoodbye(proxy, ana);
  await retries(proxy, ana);
  ana.close();
  proxy.close();
}

/** Waits until so many sessions are without a connection. */
async function parked(observer, count) {
  let isOver = false;
  const watch = async () => {
    while (!isOver && (await observer.call("connection:stats", {})).parked !== count);
  };
  await inTime(watch(), `${count} parked sessions`).finally(() => (isOver = true));
}

/** With `--session-ttl 1s`. */
export async function expiry() {
  const proxy = await Proxy.before(url);
  const ana = await open("ana");
  const ben = await open("ben", { to: proxy.url });
  const joined = await ben.join("story");
  await ana.join("story");
  await ana.say("story", "seen");
  await ben.message("story");
  proxy.cut();
  await ben.lost();
  await stream(ana, "story", 0, 3);
  await parked(ana, 1);
  await parked(ana, 0);
  proxy.restore();
  assert.equal(await ben.reconnected(2), false);
  await ben.assertNo("message:received");
  assert.equal((await ben.request("message:send", { roomId: "story", content: 1 })).code, "ROOM_ACCESS_DENIED");
  tell("after the window: not recovered, and nothing came");
  // The client still names the offset of its lost session beside the id of the new one.
  await ben.join("story");
  proxy.cut();
  await ben.lost();
  await stream(ana, "story", 3, 6);
  proxy.restore();
  assert.equal(await ben.reconnected(3), true);
  assert.deepEqual(contents(await ben.messages("story", 3)), range(3, 6));
  tell("an offset of an earlier session does no harm");
  await ben.call("room:leave", { roomId: "story" });
  const again = await ben.join("story", { recover: { epoch: joined.epoch, offset: 1 } });
  assert.equal(again.recovered, true);
  assert.deepEqual(contents(again.messages), range(0, 6));
  tell("the room itself recovers what was missed");
  for (const member of [ana, ben]) member.close();
  proxy.close();
}
