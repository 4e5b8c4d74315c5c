// Bun's WebSocket server, which is uWebSockets underneath, as its documentation does a chat: a room is a topic, and the
// server publishes to it.
import { newestOffset, nextMessage } from "../message.js";

let users = 0;

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch(request, server) {
    if (server.upgrade(request, { data: { userId: `u${(users += 1)}` } })) return;
    return new Response("a WebSocket is expected", { status: 426 });
  },
  websocket: {
    perMessageDeflate: false,
    message(socket, text) {
      const { event, data, requestId } = JSON.parse(text);
      if (event === "message:send") {
        const message = nextMessage(data.roomId, socket.data.userId, data.content);
        server.publish(data.roomId, JSON.stringify({ event: "message:received", data: message, version: "1" }));
      } else if (event === "room:join") {
        const { roomId } = data;
        socket.subscribe(roomId);
        const joined = { roomId, epoch: "e", offset: newestOffset(roomId) };
        socket.send(JSON.stringify({ event: "room:joined", data: joined, requestId, version: "1" }));
      }
    },
  },
});

console.log(`listening 127.0.0.1:${server.port}`);
