// Native clients that reset their connections amid a fan-out and come back to their sessions at once; tests/it/sessions.rs
// starts it and compares what it prints. A gateway that forgets the end of one of them answers it never again.

import WebSocket from "ws";

const { URL: url, TOKENS, TOKEN_SPEAKER } = process.env;
const ROUNDS_MS = 2_500;
const PATIENCE_MS = 8_000;

const over = Date.now() + ROUNDS_MS;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const send = (socket, event, data, requestId) => socket.send(JSON.stringify({ event, data, requestId }));

/** A connection of that user; with the session of its last one, if there was any. */
function connect(token, session) {
  const query = session ? `?session=${session}` : "";
  const socket = new WebSocket(url + query, ["roomcast.event.v1", `roomcast.bearer.${token}`]);
  socket.on("error", () => {});
  return socket;
}

/** Asks for something, and waits for the answer. */
function ask(socket, event, data) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`${event} was not answered`)), PATIENCE_MS);
    socket.on("message", (text) => {
      const frame = JSON.parse(text);
      if (frame.requestId !== event) return;
      clearTimeout(late);
      resolve(frame.data);
    });
    const write = () => send(socket, event, data, event);
    if (socket.readyState === WebSocket.OPEN) write();
    else socket.once("open", write);
  });
}

async function comeAndGo(token) {
  let session;
  while (Date.now() < over) {
    const socket = connect(token, session);
    await ask(socket, "room:join", { roomId: "crowd" });
    session = (await ask(socket, "connection:create-session", {})).token ?? session;
    await sleep(20 + Math.random() * 80);
    socket._socket?.resetAndDestroy();
  }
}

const speaker = connect(TOKEN_SPEAKER);
await ask(speaker, "room:join", { roomId: "crowd" });
const speaking = setInterval(() => {
  for (let n = 0; n < 4; n += 1) send(speaker, "message:send", { roomId: "crowd", content: n });
}, 4);
await Promise.all(TOKENS.split(" ").map(comeAndGo));
clearInterval(speaking);
speaker.close();
console.log("whoever came back was answered");
process.exit(0);
