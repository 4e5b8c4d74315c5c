// What the apps of Bun, ws and Socket.IO share: rooms that number their messages, and a message's members, which are
// those that the gateway sends, so that all have the same to encode and to deliver.
import { randomUUID } from "node:crypto";

const offsets = new Map();

/** The offset of a room's newest message. */
export function newestOffset(roomId) {
  return offsets.get(roomId) ?? 0;
}

/** The next message of a room. */
export function nextMessage(roomId, senderId, content) {
  const offset = newestOffset(roomId) + 1;
  offsets.set(roomId, offset);
  return {
    id: randomUUID(),
    roomId,
    epoch: "e",
    offset,
    senderId,
    type: "chat",
    content,
    timestamp: new Date().toISOString(),
    deliveryStatus: "streaming",
  };
}
