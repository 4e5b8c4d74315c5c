// Pings of the server, in traffic and in silence; it is started with a short interval.

import assert from "node:assert/strict";
import { open, range, tell, url } from "./harness.mjs";
import { Proxy } from "./proxy.mjs";

const PINGS = 8;

export async function heartbeat() {
  const proxy = await Proxy.before(url);
  // A connection that is begun while the network swallows everything is given up soon.
  const [ana, ben] = [await open("ana"), await open("ben", { to: proxy.url, timeout: 1_000 })];
  await ana.join("beat");
  await ben.join("beat");
  const pings = [0, 0];
  for (const [index, member] of [ana, ben].entries()) {
    member.socket.io.on("ping", () => {
      pings[index] += 1;
      member.wake();
    });
  }
  // Traffic one way does not stand in for a ping; the other member stays silent.
  let sent = 0;
  while (pings[0] < PINGS) {
    await ana.say("beat", sent++);
  }
  await ben.until("pings", () => pings[1] >= PINGS);
  assert.deepEqual((await ben.messages("beat", sent)).map(({ content }) => content), range(0, sent));
  assert.deepEqual([ana.reason, ben.reason], [undefined, undefined]);
  tell("pinged in traffic and in silence");
  proxy.swallow();
  assert.equal(await ben.lost(), "ping timeout");
  await ana.say("beat", "missed");
  proxy.restore();
  assert.equal(await ben.reconnected(2), true);
  assert.equal((await ben.message("beat")).content, "missed");
  tell("a silent network is noticed, and the state recovered");
  for (const member of [ana, ben]) member.close();
  proxy.close();
}
