//! The stand-in as a NATS server over WebSocket. Every message comes with a heartbeat behind it in the same frame.

use std::net::TcpStream;

use serde_json::Value;

use super::Shared;

/// What the request of such a connection asks for.
pub(super) const PATH: &str = "GET /nats HTTP/1.1";
/// Opcode of a binary message.
pub(super) const BINARY: u8 = 0x2;

/// Whether the text is to travel in a binary frame.
pub(super) fn is_line(text: &str) -> bool {
    ["INFO ", "MSG ", "PONG\r\n"].iter().any(|word| text.starts_with(word))
}

impl Shared {
    /// Greets.
    pub(super) fn open_nats(&self, socket: &TcpStream) {
        self.write(socket, "INFO {\"server_id\":\"stand-in\",\"proto\":1}\r\n");
    }

    /// Takes the lines of a frame.
    pub(super) fn on_lines(&self, id: u64, socket: &TcpStream, frame: &str) {
        let mut lines = frame.strip_suffix("\r\n").expect("whole lines").split("\r\n");
        while let Some(line) = lines.next() {
            let words: Vec<&str> = line.split(' ').collect();
            match *words {
                ["CONNECT", options] => {
                    serde_json::from_str::<Value>(options).expect("options are JSON");
                }
                // The answer is that to the ping which follows.
                ["SUB", room, "1"] => self.join(id, socket, &Value::from(room), |_, _| "PONG\r\n".to_owned()),
                ["PING"] => {}
                ["PONG"] => self.lock().pongs += 1,
                ["PUB", room, size] => {
                    let content = lines.next().expect("a payload");
                    assert_eq!(content.len().to_string(), size);
                    self.publish(id, &Value::from(room), |_, _| {
                        format!("MSG {room} 1 {size}\r\n{content}\r\nPING\r\n")
                    });
                }
                _ => panic!("no line of NATS: {line}"),
            }
        }
    }
}
