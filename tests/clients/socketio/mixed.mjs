// One room for all dialects: the same messages, ids, epoch and offsets, in the same order.

import assert from "node:assert/strict";
import { open, range, tell } from "./harness.mjs";
import { Native } from "./native.mjs";

const ROOM = "mixed.room";
const EACH = 50;

/** What everybody must agree on, of a message in the event dialect. */
const facts = ({ id, epoch, offset, senderId, content }) => ({ id, epoch, offset, senderId, content });

/** The same of a topic message. */
function topicFacts({ topic, data, metadata: { id, epoch, offset, senderId } }) {
  assert.equal(topic, ROOM);
  return { id, epoch, offset, senderId, content: data };
}

/** What somebody has seen of the room, when it was `count`. */
const views = {
  socketio: async (member, count) => (await member.messages(ROOM, count)).map(facts),
  event: async (client, count) => {
    const seen = [];
    while (seen.length < count) seen.push(facts(await client.expectEvent("message:received")));
    return seen;
  },
  topic: async (client, count) => {
    const seen = [];
    while (seen.length < count) seen.push(topicFacts(await client.expect("a message", ({ type }) => type === "message")));
    return seen;
  },
};

function assertSame(seen, what) {
  const [first, ...others] = seen;
  for (const other of others) assert.deepEqual(other, first);
  tell(what);
  return first;
}

export async function mixed() {
  const [ana, dan] = [await open("ana"), await open("dan")];
  const [ben, cid] = [await Native.open("ben", "event"), await Native.open("cid", "topic")];
  const look = async (count) => {
    const [one, two] = [await views.socketio(ana, count), await views.socketio(dan, count)];
    return [one, two, await views.event(ben, count), await views.topic(cid, count)];
  };
  const { epoch } = await ana.join(ROOM);
  await dan.join(ROOM);
  assert.equal((await ben.request("room:join", { roomId: ROOM })).epoch, epoch);
  cid.send({ type: "subscribe", topic: ROOM });
  assert.equal((await cid.expect("a subscription", ({ type }) => type === "subscribed")).epoch, epoch);

  // All at once: whatever order the room gives them is everybody's order.
  for (const number of range(0, EACH)) {
    for (const member of [ana, dan]) member.socket.emit("message:send", { roomId: ROOM, content: { number } });
    ben.send({ event: "message:send", data: { roomId: ROOM, content: { number } } });
    cid.send({ type: "message", topic: ROOM, data: { number } });
  }
  const seen = assertSame(await look(4 * EACH), "four clients in three dialects see the same");
  assert.deepEqual(seen.map((message) => message.offset), range(1, 4 * EACH + 1));
  assert(seen.every((message) => message.epoch === epoch));
  for (const user of ["ana", "ben", "cid", "dan"]) {
    const own = seen.filter(({ senderId }) => senderId === user).map(({ content }) => content.number);
    assert.deepEqual(own, range(0, EACH));
  }
  tell("each sender's messages in the order sent");

  const bytes = Buffer.from([0, 127, 128, 255]);
  const sent = await ana.say(ROOM, { file: bytes, name: "x" }, { metadata: { thumb: bytes } });
  const base64 = { _base64: bytes.toString("base64") };
  const received = await dan.message(ROOM);
  assert.deepEqual([received.content, received.metadata], [{ file: bytes, name: "x" }, { thumb: bytes }]);
  assert.deepEqual((await ana.message(ROOM)).content, { file: bytes, name: "x" });
  const event = await ben.expectEvent("message:received");
  assert.deepEqual([event.id, event.content, event.metadata], [sent.id, { file: base64, name: "x" }, { thumb: base64 }]);
  const topic = await cid.expect("a message", ({ type }) => type === "message");
  assert.deepEqual([topic.metadata.id, topic.data, topic.metadata.thumb], [sent.id, { file: base64, name: "x" }, base64]);
  const { messages } = await ben.request("room:history", { roomId: ROOM, limit: 1 });
  assert.deepEqual(messages[0].content, { file: base64, name: "x" });
  tell("bytes are bytes here and base64 there");

  const edit = { roomId: ROOM, messageId: sent.id, content: "edited" };
  const edited = await ana.call("message:edit", edit);
  for (const change of [(await dan.expectEvent("message:edited")).data, await ben.expectEvent("message:edited")]) {
    assert.deepEqual([change.messageId, change.offset, change.content], [sent.id, edited.offset, "edited"]);
  }
  const change = await cid.expect("an edit", ({ eventType }) => eventType === "message.edited");
  assert.deepEqual([change.metadata.offset, change.data], [edited.offset, "edited"]);
  tell("an edit is seen by all");
  for (const client of [ana, ben, cid, dan]) client.close();
}
