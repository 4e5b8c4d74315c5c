// The server goes and comes back on the same port, first announced, then not; clients return by themselves.
//
// Whoever starts this restarts the server when it reads the lines that begin with "ready".

import assert from "node:assert/strict";
import { open, range, tell } from "./harness.mjs";

/** The delays of the stock client's default options. */
const PATIENT = { reconnectionDelay: 1_000, reconnectionDelayMax: 5_000 };

/** Sends without a pause until the connection is lost; the list of offsets that were acknowledged grows meanwhile. */
function flow(member, room) {
  const acked = [];
  let number = 0;
  const next = () => {
    if (!member.socket.connected) return;
    member.socket.emit("message:send", { roomId: room, content: number++ }, ({ offset }) => {
      acked.push(offset);
      next();
    });
  };
  for (let lane = 0; lane < 8; lane += 1) next();
  return acked;
}

async function comeBack(members, count) {
  for (const member of members) {
    assert.equal(await member.reconnected(count), false, "a new process knows no session");
    await member.join("lobby");
    member.kept = [];
  }
  await members[0].say("lobby", "after a restart");
  for (const member of members) assert.equal((await member.message("lobby")).content, "after a restart");
}

export async function restart() {
  const [ana, ben] = [await open("ana", PATIENT), await open("ben", PATIENT)];
  for (const member of [ana, ben]) await member.join("lobby");
  const acked = flow(ana, "lobby");
  await ben.until("traffic", () => ben.kept.length > 50);
  tell("ready for a drain");
  for (const member of [ana, ben]) {
    assert.match(await member.lost(), /^transport (close|error)$/);
    assert.equal(member.socket.active, true, "the client is to come back");
  }
  const received = ben.kept.filter(({ event }) => event === "message:received").map(({ data }) => data.offset);
  assert.deepEqual(received, range(1, received.length + 1));
  assert.deepEqual(acked, range(1, acked.length + 1));
  assert(received.length >= acked.length, `${acked.length} acknowledged, ${received.length} received`);
  const { data } = await ben.expectEvent("server:draining");
  assert.equal(typeof data.reconnectMs, "number");
  tell("drained: announced, and nothing acknowledged was lost");
  await comeBack([ana, ben], 2);
  tell("back by itself, and chatting");
  tell("ready for a crash");
  // A crash cuts a poll as an error, and a WebSocket as an end.
  for (const member of [ana, ben]) assert.match(await member.lost(), /^transport (close|error)$/);
  await comeBack([ana, ben], 3);
  tell("back by itself, and chatting");
  for (const member of [ana, ben]) member.close();
}
