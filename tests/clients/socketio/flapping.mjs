// A network that breaks again and again, at any byte, while messages flow: nobody misses one or sees one twice.

import assert from "node:assert/strict";
import { inTime, open, range, tell, url } from "./harness.mjs";
import { Proxy } from "./proxy.mjs";

const ROOM = "flapping";
const CUTS = 12;
/** Messages that may be missed, and the bytes of many more. */
const AHEAD = 60;
const LONG = 60_000;
/** The client waits this long when a WebSocket ends before its first packet. */
const TIMEOUT_MS = 200;

/** A member behind a network of its own. */
async function openBehindProxy(user, more = {}) {
  const proxy = await Proxy.before(url);
  const member = await open(user, { to: proxy.url, timeout: TIMEOUT_MS, ...more });
  // The client keeps events that came before a CONNECT which a cut swallowed, and would show them twice.
  member.socket.io.on("open", () => (member.socket.receiveBuffer.length = 0));
  proxy.onCut = () => member.wake();
  return { proxy, member };
}

/** Breaks the network: every other time within the first requests, else behind a recovery and some traffic. */
async function flap({ proxy, member }) {
  for (const round of range(0, CUTS)) {
    proxy.budget = round % 2 ? LONG : (round * 487) % 2_400;
    await member.until("a cut", () => proxy.isCut);
    proxy.restore();
  }
  const { recovered } = member;
  await member.until("a connection", () => member.socket.connected);
  assert(recovered.length > CUTS / 4, `only ${recovered.length} of ${CUTS} connections came to be`);
  assert(recovered.slice(1).every((value) => value), `recovered: ${recovered}`);
}

/** Sends messages at its own pace, while it may, each again until it is acknowledged; returns how many. */
async function send({ socket }, may, isOver) {
  let number = 0;
  while (!isOver()) {
    if (may()) {
      const data = { roomId: ROOM, content: number, clientId: `c${number}` };
      const { offset, code } = await inTime(socket.emitWithAck("message:send", data), `the ack of ${number}`);
      assert(offset > 0, code);
      number += 1;
    } else {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
  return number;
}

export async function flapping() {
  const ana = await open("ana");
  const ben = await openBehindProxy("ben");
  const cid = await openBehindProxy("cid", { retries: 100, ackTimeout: 300 });
  const all = [ana, ben.member, cid.member];
  for (const { socket } of all) await inTime(socket.timeout(5_000).emitWithAck("room:join", { roomId: ROOM }), "a join");
  // Nobody runs ahead of the others by more than one cut lets through, or these would never come to the end.
  const may = () => all.every(({ kept }) => ana.kept.length - kept.length < AHEAD);
  let isOver = false;
  const sent = [send(ana, may, () => isOver), send(cid.member, may, () => isOver)];
  await Promise.all([flap(ben), flap(cid)]);
  isOver = true;
  const [byAna, byCid] = await Promise.all(sent);
  const seen = await ana.messages(ROOM, byAna + byCid);
  for (const [user, count] of [["ana", byAna], ["cid", byCid]]) {
    const own = seen.filter(({ senderId }) => senderId === user).map(({ content }) => content);
    assert.deepEqual(own, range(0, count));
  }
  for (const { member } of [ben, cid]) assert.deepEqual(await member.messages(ROOM, seen.length), seen);
  tell(`${CUTS} cuts at any byte: all in order, none twice`);
  ana.close();
  for (const { member, proxy } of [ben, cid]) {
    member.close();
    proxy.close();
  }
}
