//! What the stand-in does with the events of chat clients: just enough of the gateway's pushes and replies.

use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Fault, Heard, Member, Room, Shared};

impl Shared {
    pub(super) fn on_chat(self: &Arc<Self>, id: u64, socket: &TcpStream, frame: &Value) {
        let heard = Heard { at: Instant::now(), id, frame: frame.clone() };
        self.lock().heard.push(heard);
        let data = &frame["data"];
        match frame["event"].as_str().unwrap_or_default() {
            "room:join" => self.join_side(id, socket, frame),
            "room:leave" => self.leave(id, &data["roomId"]),
            _ if self.fault == Fault::RefuseChat => self.refuse(socket, frame, "PROTOCOL_ERROR"),
            "presence:watch" => self.watch(id, socket, frame),
            "presence:update-status" => self.update(id, data),
            "message:typing" => self.typing(id, data),
            "message:read" => {
                let status = json!({ "roomId": data["roomId"], "userId": user(id), "status": "read", "upToOffset": data["upToOffset"] });
                self.push_to_others(id, &data["roomId"], "message:status", &status);
            }
            other => panic!("unexpected request {other:?}"),
        }
    }

    /// Joins a room in which no messages are; the first time is what `requestId` is "s" for.
    fn join_side(self: &Arc<Self>, id: u64, socket: &TcpStream, frame: &Value) {
        let room_id = &frame["data"]["roomId"];
        let edge = json!({ "roomId": room_id, "userId": user(id) });
        let is_member = {
            let mut state = self.lock();
            let members = &mut state.rooms.entry(room_id.to_string()).or_default().members;
            let is_member = members.iter().any(|member| member.id == id);
            if !is_member {
                members.push(Member::new(id, self.fault, socket));
            }
            is_member
        };
        assert!(!is_member, "connection {id} is in {room_id} already");
        self.push_to_others(id, room_id, "room:member-joined", &edge);
        let reply = json!({ "event": "room:joined", "data": { "roomId": room_id, "epoch": "e", "offset": 0 }, "requestId": frame["requestId"] });
        match self.fault {
            Fault::SlowJoin(ms) if frame["requestId"] != "s" => self.write_late(socket, &reply, ms),
            Fault::MuteJoin if frame["requestId"] != "s" => {}
            _ => self.write_late(socket, &reply, 0),
        }
    }

    fn leave(self: &Arc<Self>, id: u64, room_id: &Value) {
        self.push_to_others(
            id,
            room_id,
            "room:member-left",
            &json!({ "roomId": room_id, "userId": user(id) }),
        );
        let mut state = self.lock();
        let members = &mut state.rooms.get_mut(&room_id.to_string()).expect("it was joined").members;
        let at = members.iter().position(|member| member.id == id).expect("only a member leaves");
        let left = members.remove(at);
        self.write(&left.socket, &json!({ "event": "room:left", "data": { "roomId": room_id } }).to_string());
    }

    fn watch(&self, id: u64, socket: &TcpStream, frame: &Value) {
        let mut state = self.lock();
        let room = state.rooms.get_mut(&frame["data"]["roomId"].to_string()).expect("it was joined");
        room.members.iter_mut().filter(|member| member.id == id).for_each(|member| member.watches = true);
        let reply =
            json!({ "event": "presence:watch", "data": { "users": [] }, "requestId": frame["requestId"] });
        self.write(socket, &reply.to_string());
    }

    /// Tells all who watch, the user too.
    fn update(self: &Arc<Self>, id: u64, data: &Value) {
        let changed = json!({ "event": "presence:changed", "data": {
            "userId": user(id), "status": data["status"], "statusText": data["statusText"], "lastSeen": null,
        } });
        let late_ms = match self.fault {
            Fault::MutePresence => return,
            Fault::SlowPresence(ms) => ms,
            _ => 0,
        };
        let state = self.lock();
        let is_in = |room: &Room| room.members.iter().any(|member| member.id == id);
        let told = state.rooms.values().filter(|room| is_in(room) != (self.fault == Fault::MisroutePresence));
        for watcher in told.flat_map(|room| &room.members).filter(|member| member.watches) {
            self.write_late(&watcher.socket, &changed, late_ms);
        }
    }

    /// Pushes edges only.
    fn typing(&self, id: u64, data: &Value) {
        let is_typing = data["isTyping"] == true;
        let was_typing = {
            let mut state = self.lock();
            let room = state.rooms.get_mut(&data["roomId"].to_string()).expect("it was joined");
            let member = room.members.iter_mut().find(|member| member.id == id).expect("only members type");
            std::mem::replace(&mut member.types, is_typing)
        };
        if is_typing != was_typing {
            let typing = json!({ "roomId": data["roomId"], "userId": user(id), "isTyping": is_typing });
            self.push_to_others(id, &data["roomId"], "user:typing", &typing);
        }
    }

    fn push_to_others(&self, id: u64, room_id: &Value, event: &str, data: &Value) {
        let text = json!({ "event": event, "data": data, "version": "1" }).to_string();
        let state = self.lock();
        for member in &state.rooms.get(&room_id.to_string()).expect("it was joined").members {
            if member.id != id {
                self.write(&member.socket, &text);
            }
        }
    }

    fn refuse(&self, socket: &TcpStream, frame: &Value, code: &str) {
        let error = json!({ "event": "error", "data": { "code": code }, "requestId": frame["requestId"] });
        self.write(socket, &error.to_string());
    }

    /// Writes from a thread of its own, so that lateness delays nothing else.
    fn write_late(self: &Arc<Self>, socket: &TcpStream, frame: &Value, ms: u64) {
        let (shared, text) = (Arc::clone(self), frame.to_string());
        let socket = socket.try_clone().expect("clones");
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(ms));
            // So that no two frames mix.
            let _state = shared.lock();
            shared.write(&socket, &text);
        });
    }
}

fn user(id: u64) -> String {
    format!("u{id}")
}
