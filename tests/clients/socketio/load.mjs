// Many at once: connects in a row, a burst of acks, and an upgrade while messages flow both ways.

import assert from "node:assert/strict";
import { inTime, open, range, start, tell, transport, url } from "./harness.mjs";
import { Proxy } from "./proxy.mjs";

const CONNECTS = 300;
const BURST = 1_000;
const UPGRADES = 10;
const EVENT = 2;

/** An event right behind CONNECT, before any answer; the stock client has no public call for that. */
function sendBehindConnect(socket, event, data, ack) {
  socket.io.once("open", () => {
    const id = socket.ids++;
    socket.acks[id] = ack;
    socket.packet({ type: EVENT, data: [event, data], id, options: {} });
  });
}

async function connects() {
  const ana = await open("ana");
  await ana.join("door");
  const say = (content) => ["message:send", { roomId: "door", content }];
  for (const number of range(0, CONNECTS)) {
    // The token's rooms are joined with the connection, so a send may come first.
    const member = start("door");
    const { socket } = member;
    const answers = [
      new Promise((resolve) => sendBehindConnect(socket, ...say(`${number} behind`), resolve)),
      new Promise((resolve) => socket.emit(...say(`${number} buffered`), resolve)),
      new Promise((resolve) => socket.on("connect", () => socket.emit(...say(`${number} connected`), resolve))),
    ];
    const replies = await inTime(Promise.all(answers), `the acks of connection ${number}`);
    const offsets = replies.map(({ offset }) => offset);
    assert.deepEqual(offsets, range(3 * number + 1, 3 * number + 4), JSON.stringify(replies));
    member.close();
  }
  const told = (await ana.messages("door", 3 * CONNECTS)).map(({ content }) => content);
  const sent = range(0, CONNECTS).flatMap((number) => ["behind", "buffered", "connected"].map((how) => `${number} ${how}`));
  assert.deepEqual(told, sent);
  tell(`${CONNECTS} connects: no first event lost`);
  ana.close();
}

async function burst() {
  const [ana, ben] = [await open("ana"), await open("ben")];
  await ana.join("burst");
  await ben.join("burst");
  const acked = [];
  const all = range(0, BURST).map((number) => {
    const data = { roomId: "burst", content: number };
    return new Promise((resolve) => ana.socket.emit("message:send", data, ({ offset }) => resolve(acked.push(offset))));
  });
  await inTime(Promise.all(all), "all acks");
  assert.deepEqual(acked, range(1, BURST + 1));
  for (const member of [ana, ben]) {
    const messages = await member.messages("burst", BURST);
    assert.deepEqual(messages.map(({ content }) => content), range(0, BURST));
  }
  tell(`${BURST} acks at once: complete and in order`);
  for (const member of [ana, ben]) member.close();
}

/** Sends without a pause, always a few on their way, until told to end; returns how many. */
async function flow(member, room, window, isOver) {
  let count = 0;
  const lane = async () => {
    while (!isOver()) {
      const number = count++;
      await member.say(room, { from: member.socket.id, number, bytes: Buffer.from([number % 256]) });
    }
  };
  await Promise.all(range(0, window).map(lane));
  return count;
}

async function upgradeUnderLoad() {
  const proxy = await Proxy.before(url);
  const ben = await open("ben", { transports: ["websocket"] });
  for (const round of range(0, UPGRADES)) {
    const room = `upgrade.${round}`;
    proxy.holdsUpgrades = true;
    const ana = await open("ana", { to: proxy.url });
    await ana.join(room);
    await ben.join(room);
    let isOver = false;
    const flows = [ana, ben].map((member) => flow(member, room, 8, () => isOver));
    const count = () => ana.kept.filter(({ event }) => event === "message:received").length;
    await ana.until("traffic before the upgrade", () => count() >= 50);
    assert.deepEqual(ana.transports, ["polling"]);
    proxy.releaseUpgrades();
    await ana.upgraded();
    const then = count();
    await ana.until("traffic after the upgrade", () => count() >= then + 100);
    isOver = true;
    const sent = await inTime(Promise.all(flows), "the end of the flows");
    const total = sent[0] + sent[1];
    const seen = await ana.messages(room, total);
    assert.deepEqual(await ben.messages(room, total), seen);
    assert.deepEqual(seen.map(({ offset }) => offset), range(1, total + 1));
    for (const [index, member] of [ana, ben].entries()) {
      const own = seen.filter(({ content }) => content.from === member.socket.id);
      assert.deepEqual(own.map(({ content }) => content.number), range(0, sent[index]));
      assert(own.every(({ content }) => content.bytes[0] === content.number % 256), "bytes stay with their message");
    }
    assert.deepEqual([ana.transports, ana.reason], [["polling", "websocket"], undefined]);
    ana.close();
  }
  tell(`${UPGRADES} upgrades under load: nothing lost, nothing doubled`);
  ben.close();
  proxy.close();
}

export async function load() {
  await connects();
  await burst();
  if (transport === "upgrade") await upgradeUnderLoad();
}
