//! Members that come back with a position, and a server that starts anew.

use std::net::TcpStream;

use serde_json::{Value, json};

use super::frame::{CLOSE, write_frame};
use super::{Fault, Member, PAST, Shared, State};

impl Shared {
    /// Answers a join that names a position: with everything since, as the gateway does.
    pub(super) fn come_back(&self, id: u64, socket: &TcpStream, frame: &Value) {
        let is_topic = frame["type"] == "subscribe";
        let data = if is_topic { frame } else { &frame["data"] };
        let name = if is_topic { &data["topic"] } else { &data["roomId"] };
        let recover = &data["recover"];
        let mut state = self.lock();
        state.joined += 1;
        let epoch = if state.gone.is_empty() { "e" } else { "f" };
        let recovered = recover["epoch"] == epoch;
        let room = state.rooms.entry(name.to_string()).or_default();
        let since = usize::try_from(recover["offset"].as_u64().expect("a position") - PAST).expect("small");
        let mut missed = if recovered { room.history[since..].to_vec() } else { Vec::new() };
        match self.fault {
            Fault::LoseRecovery => drop(missed.drain(..missed.len().min(1))),
            Fault::RepeatRecovery => missed.insert(0, room.history[since - 1].clone()),
            _ => {}
        }
        room.members.push(Member::new(id, self.fault, socket));
        let offset = PAST + room.messages;
        if is_topic {
            missed.iter().for_each(|text| self.write(socket, text));
            let answer = json!({
                "type": "subscribed", "topic": name, "epoch": epoch, "offset": offset, "recovered": recovered,
            });
            return self.write(socket, &answer.to_string());
        }
        let message =
            |text: &String| serde_json::from_str::<Value>(text).expect("our own frame")["data"].take();
        let messages: Vec<_> = missed.iter().map(message).collect();
        let answer = json!({
            "event": "room:joined",
            "data": {
                "roomId": name, "epoch": epoch, "offset": offset, "recovered": recovered, "messages": messages,
            },
            "requestId": frame["requestId"],
        });
        self.write(socket, &answer.to_string());
    }
}

impl State {
    /// Sends everybody away, to come back after 100 ms, and forgets all that was.
    pub(super) fn restart(&mut self) {
        for room in self.rooms.values_mut() {
            for member in room.members.drain(..) {
                let payload = [&1012_u16.to_be_bytes()[..], b"reconnect=100"].concat();
                write_frame(&member.socket, CLOSE, &payload);
                self.gone.insert(member.id);
            }
            room.history.clear();
            room.messages = 0;
        }
        self.joined = 0;
    }
}
