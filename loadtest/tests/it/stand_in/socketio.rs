//! The stand-in as a Socket.IO server over WebSocket: greets, connects the main namespace, acknowledges joins, and sends
//! a heartbeat after each. Strict, so that a client which takes liberties fails.

use std::net::TcpStream;

use serde_json::{Value, json};

use super::{Fault, Shared};

/// What the request of such a connection asks for.
pub(super) const PATH: &str = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1";

impl Shared {
    /// Greets.
    pub(super) fn open_engine(&self, socket: &TcpStream) {
        if self.fault == Fault::RefuseGreeting {
            return self.write(socket, r#"44{"message":"no"}"#);
        }
        let open = json!({ "sid": "engine", "upgrades": [], "pingInterval": 25000, "pingTimeout": 20000, "maxPayload": 1_000_000 });
        self.write(socket, &format!("0{open}"));
    }

    /// Takes a packet.
    pub(super) fn on_packet(&self, id: u64, socket: &TcpStream, packet: &str) {
        if packet == "3" {
            self.lock().pongs += 1;
        } else if packet == "40" {
            self.write(socket, r#"40{"sid":"socket"}"#);
        } else if let Some(event) = packet.strip_prefix("420") {
            let (name, data) = read(event);
            assert_eq!(name, "room:join", "the only event that is acknowledged: {packet}");
            self.join(id, socket, &data["roomId"], |room, offset| {
                format!(r#"430[{{"roomId":{room},"epoch":"e","offset":{offset}}}]"#)
            });
            // So that no two frames mix: the room's messages come to this socket from others' threads.
            let _state = self.lock();
            self.write(socket, "2");
        } else {
            let (name, data) =
                read(packet.strip_prefix("42").unwrap_or_else(|| panic!("no event: {packet}")));
            assert_eq!(name, "message:send", "{packet}");
            self.publish(id, &data["roomId"], |room, offset| {
                let content = &data["content"];
                format!(r#"42["message:received",{{"roomId":{room},"offset":{offset},"content":{content}}}]"#)
            });
        }
    }
}

/// Name and data of an event.
fn read(event: &str) -> (String, Value) {
    serde_json::from_str(event).unwrap_or_else(|error| panic!("no event: {event}: {error}"))
}
