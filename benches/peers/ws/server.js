// Node's `ws`: a room is a set of sockets, and a message is encoded once and sent to each.
import { createServer } from "node:http";
import { WebSocketServer } from "ws";
import { newestOffset, nextMessage } from "../message.js";

const rooms = new Map();
let users = 0;

function membersOf(roomId) {
  if (!rooms.has(roomId)) rooms.set(roomId, new Set());
  return rooms.get(roomId);
}

const http = createServer();
const server = new WebSocketServer({ server: http, perMessageDeflate: false });

server.on("connection", (socket) => {
  const userId = `u${(users += 1)}`;
  const joined = new Set();
  socket.on("message", (text) => {
    const { event, data, requestId } = JSON.parse(text);
    if (event === "message:send") {
      const message = nextMessage(data.roomId, userId, data.content);
      const push = Buffer.from(JSON.stringify({ event: "message:received", data: message, version: "1" }));
      for (const member of membersOf(data.roomId)) member.send(push, { binary: false });
    } else if (event === "room:join") {
      const { roomId } = data;
      membersOf(roomId).add(socket);
      joined.add(roomId);
      const answer = { roomId, epoch: "e", offset: newestOffset(roomId) };
      socket.send(JSON.stringify({ event: "room:joined", data: answer, requestId, version: "1" }));
    }
  });
  socket.on("close", () => {
    for (const roomId of joined) membersOf(roomId).delete(socket);
  });
  socket.on("error", () => socket.terminate());
});

http.listen(0, "127.0.0.1", () => console.log(`listening 127.0.0.1:${http.address().port}`));
