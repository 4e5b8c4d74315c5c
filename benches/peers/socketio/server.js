// Socket.IO: its own rooms, and a message goes to a room by `io.to(room).emit`. WebSocket only, as the load is.
import { createServer } from "node:http";
import { Server } from "socket.io";
import { newestOffset, nextMessage } from "../message.js";

const http = createServer();
const io = new Server(http, { transports: ["websocket"], serveClient: false });

io.on("connection", (socket) => {
  socket.on("room:join", ({ roomId }, acknowledge) => {
    socket.join(roomId);
    acknowledge({ roomId, epoch: "e", offset: newestOffset(roomId) });
  });
  socket.on("message:send", ({ roomId, content }) => {
    io.to(roomId).emit("message:received", nextMessage(roomId, socket.id, content));
  });
});

http.listen(0, "127.0.0.1", () => console.log(`listening 127.0.0.1:${http.address().port}`));
