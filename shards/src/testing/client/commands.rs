//! What clients do: the mishaps of all, and the commands of the event dialect.

use super::super::host::Around;
use super::super::scenario::{PATTERNS, ROOMS};
use super::super::wire;
use super::{Asked, Client, Position, Recovery, Stage};
use crate::protocol::profile::Dialect;

/// Texts that are no commands; each is answered with an error.
const NONSENSE: [&str; 7] = [
    "",
    "{",
    "[]",
    r#"{"event":"no:such","data":{}}"#,
    r#"{"event":"room:join","data":{"roomId":"not a room"}}"#,
    r#"{"event":"room:join","data":7}"#,
    r#"{"event":"message:send","requestId":{},"data":{}}"#,
];

impl Client {
    pub(super) fn act(&mut self, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        if link.stalled_until_ms > around.now.ms {
            return;
        }
        // Whoever resumes a session waits for what it missed before it says anything.
        let open = link.stage == Stage::Open && !link.hold.is_asked();
        if around.dice.permille(around.scenario.faults_permille) {
            self.suffer(around);
        } else if around.dice.permille(4) && self.may_take_over() {
            self.take_over(around);
        } else if around.dice.permille(3) && self.may_reenter() {
            self.reenter(around);
        } else if open && around.dice.percent(25) {
            match self.dialect {
                Dialect::Topic => self.topic_command(around),
                _ => self.command(around),
            }
        }
    }

    /// Something goes wrong at the client.
    fn suffer(&mut self, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        match around.dice.between(0, 9) {
            0..2 => self.vanish(around),
            2 => {
                around.network.sockets[link.socket].finish();
                self.lose(around);
            }
            3..5 if link.stage == Stage::Open => self.close(around),
            5 if link.stage == Stage::Open => {
                link.guilty = true;
                link.stage = Stage::Ending;
                around.ledger.totals.garbage += 1;
                if self.dialect == Dialect::SocketIo && around.dice.percent(60) {
                    return self.break_protocol(around);
                }
                let opcode = *around.dice.pick(&[wire::BINARY, 3, wire::CONTINUATION]);
                self.send_frame(opcode, b"garbage", around);
            }
            _ => {
                link.guilty = true;
                link.stalled_until_ms = around.now.ms + around.dice.between(200, 9_000);
            }
        }
    }

    /// Says goodbye, and waits for the answer.
    pub(super) fn close(&mut self, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        link.stage = Stage::Ending;
        around.ledger.totals.client_closes += 1;
        if self.dialect == Dialect::SocketIo && self.say_goodbye(around) {
            return;
        }
        self.send_frame(wire::CLOSE, &1000u16.to_be_bytes(), around);
    }

    fn command(&mut self, around: &mut Around<'_>) {
        match around.dice.between(0, 99) {
            0..14 => self.join(around),
            14..17 => self.leave(around),
            17..41 => self.send_message(around),
            41..45 => self.send_batch(around),
            45..49 => self.ask_history(around),
            49..51 => self.ask_something(around),
            51..56 => self.send_to_user(around),
            56..61 => self.several(around),
            61..63 => self.refresh(around),
            63..65 => self.ping(around),
            65..67 => self.nonsense(around),
            67..70 => self.repeat(around),
            70..77 => self.revise(around),
            77..82 => self.give_receipt(around),
            82..86 => self.say_typing(around),
            86..90 => self.be_present(around),
            90..94 => self.use_created(around),
            _ => self.use_session(around),
        }
    }

    /// Sends a command whose answer is awaited.
    pub(super) fn request(&mut self, event: &str, data: &str, asked: Asked, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        link.requests += 1;
        let id = if around.dice.percent(50) || self.dialect == Dialect::SocketIo {
            link.requests.to_string()
        } else {
            format!("\"r{}\"", link.requests)
        };
        link.talk.forgoes |= asked.is_lost();
        link.asked.insert(id.clone(), asked);
        self.say(event, data, Some(&id), around);
    }

    /// Sends a command, or the event that it is to Socket.IO; without an id its answer is not awaited.
    pub(super) fn say(&mut self, event: &str, data: &str, id: Option<&str>, around: &mut Around<'_>) {
        if self.dialect == Dialect::SocketIo {
            return self.emit(event, data, id, around);
        }
        let id = id.map(|id| format!(r#","requestId":{id},"version":"1""#)).unwrap_or_default();
        self.send_text(&format!(r#"{{"event":"{event}","data":{data}{id}}}"#), around);
    }

    fn join(&mut self, around: &mut Around<'_>) {
        let room = (*around.dice.pick(&ROOMS)).to_owned();
        self.join_room(room, around);
    }

    pub(super) fn join_room(&mut self, room: String, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        let covered = link.is_covered();
        let view = link.view(&room);
        if view.busy_parts > 0 {
            return;
        }
        let fresh = view.busy == 0 && !view.member && !covered;
        let from = self.positions.get(&room).filter(|_| fresh).cloned();
        let recover = from.and_then(|from| recovery(from, around));
        let history = if around.dice.percent(30) { around.dice.size(1, 30) } else { 0 };
        let position = recover.as_ref().map(|recovery| {
            format!(r#","recover":{{"epoch":"{}","offset":{}}}"#, recovery.from.epoch, recovery.from.offset)
        });
        let position = position.unwrap_or_default();
        let data = format!(r#"{{"roomId":"{room}","history":{history}{position}}}"#);
        let event = *around.dice.pick(&["room:join", "room:join", "join:chat"]);
        view_of(self, &room, |view| view.busy += 1);
        self.request(event, &data, Asked::Join { room, recover, history, asked_ms: around.now.ms }, around);
    }

    fn leave(&mut self, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        let Some(room) = around.dice.pick_any(&link.rooms()).cloned() else { return };
        let view = link.view(&room);
        view.busy += 1;
        view.leaving += 1;
        self.leave_queue(&room, around);
        self.request("room:leave", &format!(r#"{{"roomId":"{room}"}}"#), Asked::Leave { room }, around);
    }

    fn ask_history(&mut self, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        let Some(room) = around.dice.pick_any(&link.rooms()).cloned() else { return };
        let last = link.view(&room).position().map_or(5, |position| position.offset);
        let after = around.dice.percent(40).then(|| around.dice.between(0, last));
        let before = around.dice.percent(40).then(|| around.dice.between(0, last + 1));
        let limit = around.dice.size(1, 50);
        let bound =
            |name: &str, bound: Option<u64>| bound.map(|at| format!(r#","{name}":{at}"#)).unwrap_or_default();
        let bounds = bound("after", after) + &bound("before", before);
        let data = format!(r#"{{"roomId":"{room}","limit":{limit}{bounds}}}"#);
        let asked = Asked::History { room, after, before, limit, last: false };
        self.request("room:history", &data, asked, around);
    }

    fn ask_something(&mut self, around: &mut Around<'_>) {
        let room = *around.dice.pick(&ROOMS);
        let data = format!(r#"{{"roomId":"{room}"}}"#);
        match around.dice.between(0, 3) {
            0 => self.request("room:list", "{}", Asked::Other, around),
            1 => self.request("room:online", &data, Asked::Other, around),
            _ => self.request("room:info", &data, Asked::Info { room: None }, around),
        }
    }

    fn several(&mut self, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        let enter = around.dice.percent(65);
        let mut rooms: Vec<String> = Vec::new();
        for _ in 0..around.dice.between(0, 3) {
            let room = *around.dice.pick(&ROOMS);
            let view = link.view(room);
            if view.busy == 0 && view.busy_parts == 0 && !rooms.iter().any(|known| known == room) {
                view.busy_parts += 1;
                view.leaving += u32::from(!enter);
                rooms.push(room.to_owned());
            }
        }
        let mut patterns = Vec::new();
        let pattern = *around.dice.pick(&PATTERNS);
        let rare = link.dialect == Dialect::SocketIo && around.dice.percent(85);
        if !rare && (around.dice.percent(40) || rooms.is_empty()) && link.expect_pattern(pattern, enter) {
            patterns.push(pattern.to_owned());
        }
        if rooms.is_empty() && patterns.is_empty() {
            return;
        }
        if !enter {
            rooms.iter().for_each(|room| self.leave_queue(room, around));
        }
        let list =
            |names: &[String]| names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(",");
        let data = format!(r#"{{"rooms":[{}],"patterns":[{}]}}"#, list(&rooms), list(&patterns));
        let event = if enter { "room:subscribe-multiple" } else { "room:unsubscribe-multiple" };
        self.request(event, &data, Asked::Several { enter, rooms, patterns }, around);
    }

    /// Presents a later token, perhaps with a room more in it; without tokens it learns its name so.
    fn refresh(&mut self, around: &mut Around<'_>) {
        // Before its rooms are settled it could not tell which token brought which.
        if self.grant.is_some() && self.link.as_ref().is_none_or(|link| !link.settled) {
            return;
        }
        let mut token = "none".to_owned();
        let mut rooms = Vec::new();
        if let (Some(grant), Some(link)) = (&mut self.grant, &mut self.link) {
            let room = (*around.dice.pick(&["room.b", "room.c"])).to_owned();
            if around.dice.percent(50) && !grant.rooms.contains(&room) {
                grant.rooms.push(room);
            }
            token = grant.sign(around.now.unix_ms / 1_000 + 3_600);
            rooms = grant.forced_rooms();
            link.forced.extend(rooms.iter().cloned());
            rooms.retain(|room| link.view(room).busy == 0 && link.view(room).busy_parts == 0);
            rooms.iter().for_each(|room| link.view(room).busy_parts += 1);
        }
        let data = format!(r#"{{"token":"{token}"}}"#);
        self.request("auth:refresh", &data, Asked::Refresh { rooms }, around);
    }

    fn ping(&mut self, around: &mut Around<'_>) {
        match around.dice.between(0, 2) {
            0 => self.send_frame(wire::PING, b"are you there?", around),
            1 => self.request("ping", "null", Asked::Other, around),
            _ => self.say("ping", "null", None, around),
        }
    }

    fn nonsense(&mut self, around: &mut Around<'_>) {
        self.deserve_error(true);
        around.ledger.totals.garbage += 1;
        if self.dialect == Dialect::SocketIo {
            return self.emit_nonsense(around);
        }
        let text = *around.dice.pick(&NONSENSE);
        self.send_text(text, around);
    }

    pub(super) fn deserve_error(&mut self, deserved: bool) {
        if let Some(link) = &mut self.link {
            link.deserved_errors += u64::from(deserved);
        }
    }
}

/// A recovery from where the client was, or from a place that never was.
pub(super) fn recovery(from: Position, around: &mut Around<'_>) -> Option<Recovery> {
    Some(match around.dice.between(0, 9) {
        0 => return None,
        1 => Recovery { from: Position { epoch: "00112233445566".to_owned(), ..from }, bogus: true },
        2 => Recovery { from: Position { offset: from.offset + 100_000, ..from }, bogus: true },
        _ => Recovery { from, bogus: false },
    })
}

fn view_of(client: &mut Client, room: &str, change: impl FnOnce(&mut super::View)) {
    if let Some(link) = &mut client.link {
        change(link.view(room));
    }
}
