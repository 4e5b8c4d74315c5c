// What happens in the life of a long connection: large messages, messages for the absent, a token that ends.

import assert from "node:assert/strict";
import { open, tell, tokenOf } from "./harness.mjs";

async function large(ana, ben) {
  for (const member of [ana, ben]) await member.join("large");
  const content = "ü€😀x".repeat(90_000);
  for (const member of [ana, ben]) await member.say("large", content);
  for (const member of [ana, ben]) {
    for (const message of await member.messages("large", 2)) assert.equal(message.content, content);
  }
  tell("large messages both ways");
}

async function absent(ana, ben) {
  ben.close();
  const wanted = ({ event, data }) => event === "room:member-left" && data.userId === "ben";
  await ana.expect("ben's end", wanted);
  for (const content of ["one", { two: Buffer.from("2") }]) await ana.call("user:send", { userId: "ben", content });
  ben.socket.connect();
  assert.equal(await ben.reconnected(2), false);
  const contents = (await ben.messages("user:ben", 2)).map(({ content }) => content);
  assert.deepEqual(contents, ["one", { two: Buffer.from("2") }]);
  ben.close();
  ben.socket.connect();
  await ben.reconnected(3);
  await ben.assertNo("message:received");
  tell("messages for an absent user come once when it is back");
}

async function expiring() {
  const [short, refreshed] = [await open("short"), await open("short")];
  for (const member of [short, refreshed]) {
    const { data, last } = await member.expectEvent("auth:expiring");
    assert.deepEqual([typeof data.expiresAt, typeof last], ["string", "string"]);
  }
  const error = await refreshed.request("auth:refresh", { token: tokenOf("ana") });
  assert.equal(error.code, "CLIENT_ERROR", "somebody else's token");
  assert.equal((await refreshed.call("auth:refresh", { token: tokenOf("long") })).userId, "short");
  assert.equal(await short.lost(), "io server disconnect");
  assert.equal(short.socket.active, false, "a client must not come again with a token that ended");
  assert.equal((await refreshed.call("connection:session-info", {})).userId, "short");
  assert.equal(refreshed.reason, undefined);
  tell("a token ends: disconnected for good, unless it was refreshed");
  refreshed.close();
}

export async function life() {
  const [ana, ben] = [await open("ana"), await open("ben")];
  await Promise.all([large(ana, ben).then(() => absent(ana, ben)), expiring()]);
  for (const member of [ana, ben]) member.close();
}
