// A backend that emits through a Redis: does the steps of STEPS, a JSON list, and says `done`.
import { Emitter } from "@socket.io/redis-emitter";
import { createClient } from "redis";

// What JSON has no form for.
const revive = (_, value) => {
  if (value && value.$bytes) return Buffer.from(value.$bytes);
  if (value && value.$time) return new Date(value.$time);
  return value;
};

const client = createClient({ url: process.env.REDIS });
await client.connect();
for (const step of JSON.parse(process.env.STEPS, revive)) {
  let io = new Emitter(client);
  if (step.of) io = io.of(step.of);
  if (step.to) io = io.to(step.to);
  if (step.except) io = io.except(step.except);
  if (step.volatile) io = io.volatile;
  if (step.emit) io.emit(...step.emit);
  if (step.join) io.socketsJoin(step.join);
  if (step.leave) io.socketsLeave(step.leave);
  if ("disconnect" in step) io.disconnectSockets(step.disconnect);
}
await client.quit();
console.log("done");
