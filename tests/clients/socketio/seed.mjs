// The client of seed 000, unchanged: its nine events out, what it is told, on the `chat` profile.

import assert from "node:assert/strict";
import { open, start, tell } from "./harness.mjs";

const ROOM = { roomId: "support.7" };

/** The seed's error, with nothing else in it. */
function assertError(error, code) {
  const known = ["code", "details", "message", "recoverable"];
  assert(Object.keys(error).every((key) => known.includes(key)), JSON.stringify(error));
  assert.equal(error.code, code, JSON.stringify(error));
  assert.deepEqual([typeof error.message, typeof error.recoverable], ["string", "boolean"]);
}

async function tellsTheStory(more) {
  const stranger = start("ana", { ...more, auth: { token: "nonsense" } });
  const { message, data: refusal } = await stranger.refused();
  assert(message.length > 0);
  assertError(refusal, "AUTH_FAILED");
  tell("a bad token: the seed's error in connect_error");

  const [ana, ben] = [await open("ana", more), await open("ben", more)];
  const created = await ana.call("chat:room:create", { ...ROOM, visibility: "private", members: ["ben"] });
  assert.equal(created.roomId, ROOM.roomId);
  assert.equal((await ben.expectEvent("chat:room:created")).data.roomId, ROOM.roomId);
  const joined = await ben.call("chat:room:join", ROOM);
  assert.deepEqual([joined.roomId, joined.members], [ROOM.roomId, 2]);
  assert.deepEqual((await ana.expectEvent("chat:room:joined")).data, { ...ROOM, userId: "ben" });
  tell("a room created and joined");

  for (const [event, isTyping] of [["chat:typing:start", true], ["chat:typing:stop", false]]) {
    ben.socket.emit(event, ROOM);
    assert.deepEqual((await ana.expectEvent("chat:user:typing")).data, { ...ROOM, userId: "ben", isTyping });
  }
  tell("typing started and stopped");

  // With an ack and without one.
  const content = { text: "hello" };
  const sent = await ana.call("chat:message:send", { ...ROOM, content, metadata: { lang: "en" } });
  ana.socket.emit("chat:message:send", { ...ROOM, content });
  for (const member of [ana, ben]) {
    const { data } = await member.expectEvent("chat:message:received");
    const { id, type, roomId, senderId, deliveryStatus, metadata } = data;
    assert.deepEqual([id, type, roomId, senderId], [sent.id, "chat", ROOM.roomId, "ana"]);
    assert.deepEqual([data.content, deliveryStatus, metadata], [content, "streaming", { lang: "en" }]);
    assert.match(data.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.deepEqual((await member.expectEvent("chat:message:received")).data.content, content);
  }
  tell("sent and received");

  for (const event of ["chat:file:upload", "chat:robot:interact", "chat:escalation:create"]) {
    const error = await ana.request(event, ROOM);
    assertError(error, "SERVER_ERROR");
    assert.equal(error.details.component, "route");
    ana.socket.emit(event, ROOM);
    assertError((await ana.expectEvent("chat:error")).data, "SERVER_ERROR");
  }
  tell("what no route takes is refused with the seed's error");

  ben.socket.emit("chat:room:leave", ROOM);
  assert.deepEqual((await ben.expectEvent("chat:room:left")).data, ROOM);
  assert.deepEqual((await ana.expectEvent("chat:room:left")).data, { ...ROOM, userId: "ben" });
  ben.socket.emit("chat:message:send", { ...ROOM, content });
  assertError((await ben.expectEvent("chat:error")).data, "ROOM_ACCESS_DENIED");
  await ana.assertNo("chat:error");
  tell("a room left");
  for (const member of [ana, ben]) member.close();
}

/** With `--profile chat`, so that the client needs no word about it. */
export const seed = () => tellsTheStory({});

/** With the profile in the client's own query. */
export const seedByQuery = () => tellsTheStory({ query: { profile: "chat" } });
