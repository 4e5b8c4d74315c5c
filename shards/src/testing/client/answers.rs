//! The event dialect, as a client hears it: pushes, and exactly one answer to each request.

use serde_json::Value;

use super::super::host::Around;
use super::super::ledger::{Heard, Ledger, State, Told};
use super::topics::carries;
use super::{Asked, Client, Position, Scenario};

impl Client {
    pub(super) fn on_event(&mut self, text: &str, frame: &Value, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        let data = &frame["data"];
        let event = frame["event"].as_str().unwrap_or_default();
        if let Some(id) = frame.get("requestId") {
            return match link.asked.remove(&id.to_string()) {
                Some(asked) => self.on_answer(asked, event, data, around),
                None => around.ledger.violate("exactly one reply to a request", text),
            };
        }
        self.check_order_of_resume(event, around);
        let Some(link) = &mut self.link else { return };
        match event {
            "error" | "chat:error" => self.on_unasked_error(data, around),
            "message:received" | "chat:message:received" => self.on_event_message(text, data, around),
            "message:edited" | "message:deleted" => self.on_revision(text, data, around),
            "message:status" => self.on_status(data, around),
            "user:typing" | "chat:user:typing" | "conversation:typing" => self.on_typing(data, around),
            "presence:changed" | "user:online" | "user:offline" => self.on_presence(event, data, around),
            "room:created" | "chat:room:created" => self.on_created(data, around),
            "room:closed" => self.on_closed(data, around),
            "room:error" => self.on_room_error(&data["roomId"], &data["reason"], around),
            "connection:recovered" => self.on_recovered(data, around),
            "auth:ok" => {
                link.user = data["userId"].as_str().map(str::to_owned);
                self.open(around);
                self.settle_forced(around);
            }
            "pong" | "auth:expiring" | "server:draining" | "room:count" => {}
            "room:member-joined" | "room:member-left" | "chat:room:joined" | "chat:room:left" => {
                self.on_edge(data, around);
            }
            _ => around.ledger.violate("pushes are of known kinds", text),
        }
    }

    /// A user came or left: told to the room's other members only.
    fn on_edge(&mut self, data: &Value, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        let room = data["roomId"].as_str().unwrap_or_default();
        if link.user.is_some() && link.user.as_deref() == data["userId"].as_str() {
            around.ledger.violate("nobody is told of itself", format!("connection {}: {data}", link.number));
        }
        let forced = link.is_forced(room);
        let view = link.view(room);
        if !view.member && view.busy_parts == 0 && !forced {
            around
                .ledger
                .violate("edges come to members only", format!("connection {}: {data}", link.number));
        }
    }

    fn on_event_message(&mut self, text: &str, data: &Value, around: &mut Around<'_>) {
        let Some(heard) = heard(data, around.ledger) else {
            return around.ledger.violate("a message is complete", text);
        };
        if !carries(text, "content", &heard, around) {
            around.ledger.violate("content is carried byte for byte", text);
        }
        if data["deliveryStatus"] == "delivered" {
            return self.on_kept(&heard, around);
        }
        self.on_message(&heard, around);
    }

    fn on_unasked_error(&mut self, data: &Value, around: &mut Around<'_>) {
        around.ledger.totals.errors += 1;
        if data["code"] == "CONNECTION_LOST" {
            return self.on_resume_refused(data, around);
        }
        let Some(link) = &mut self.link else { return };
        let limited = data["code"] == "RATE_LIMITED" && around.scenario.limited;
        around.ledger.totals.rate_limited += u64::from(limited);
        if !limited && link.deserved_errors == 0 {
            around.ledger.violate("errors have a cause", format!("connection {}: {data}", link.number));
        }
        link.deserved_errors = link.deserved_errors.saturating_sub(u64::from(!limited));
    }

    fn on_answer(&mut self, asked: Asked, event: &str, data: &Value, around: &mut Around<'_>) {
        if matches!(event, "error" | "chat:error") {
            return self.on_refusal(&asked, data, around);
        }
        self.settle_forced(around);
        if let Some(link) = self.link.as_mut().filter(|_| asked.moves()) {
            link.watching.moved_ms = around.now.ms;
        }
        match asked {
            Asked::Join { room, recover, history, asked_ms } => {
                let messages = heard_list(&data["messages"], around.ledger);
                let at = position(data);
                let recovered = data["recovered"].as_bool();
                if recovered != Some(true) {
                    self.check_history(&room, &messages, history, Some(&at), around);
                }
                around.ledger.check_closed(&room, &at.epoch, asked_ms);
                around.ledger.count_members(&room, &at.epoch, data["members"].as_u64().unwrap_or(u64::MAX));
                self.on_joined(&room, &at, recover, recovered, &messages, around);
            }
            Asked::Revise { number, .. } => self.on_revised(number, data, around),
            Asked::Receipt { room, read, offset, epoch, ahead } => {
                if ahead {
                    around.ledger.violate("a receipt never lies ahead of its room", format!("{data}"));
                }
                self.on_receipted(&room, read, offset, &epoch, data, around);
            }
            Asked::Watch { users, room, asked_ms } => {
                self.on_watched(&users, room.as_deref(), asked_ms, data, around);
            }
            Asked::Presence { user } => self.on_last_presence(&user, data, around),
            Asked::Create { number, room } => self.on_created_own(number, room.as_deref(), data, around),
            Asked::Close { room, epoch } => self.on_closed_own(&room, &epoch, around),
            Asked::Look { room } => self.on_looked(&room, data, around),
            Asked::Session => self.on_session(data, around),
            Asked::Resume => self.on_recovered(data, around),
            Asked::Present => self.on_present(data, around),
            Asked::Rooms { sure, unsure } => self.on_rooms(&sure, &unsure, data, around),
            Asked::BadResume => {
                around.ledger.violate("a session is resumed by its own user", format!("{data}"));
            }
            Asked::Leave { room } => self.on_left(&room, around),
            Asked::Send { numbers, batch: false, .. } => self.on_sent(numbers[0], data, around),
            Asked::Send { numbers, sure, .. } => self.on_results(&numbers, sure, data, around),
            Asked::History { room, after, before, limit, last } => {
                let messages = heard_list(&data["messages"], around.ledger);
                if last {
                    messages.iter().for_each(|heard| around.ledger.hear_final(heard));
                }
                let outside = |heard: &Heard| {
                    after.is_some_and(|after| heard.offset <= after)
                        || before.is_some_and(|before| heard.offset >= before)
                };
                if messages.iter().any(outside) {
                    around.ledger.violate("a page stays within its bounds", format!("{data}"));
                }
                self.check_history(&room, &messages, limit, None, around);
            }
            Asked::Several { enter, rooms, patterns } => {
                self.on_several(enter, &rooms, &patterns, data, around)
            }
            Asked::Refresh { rooms } => self.on_refreshed(rooms, data, around),
            Asked::Info { room } => {
                if let (Some(room), Some(link)) = (room, &mut self.link) {
                    let view = link.view(&room);
                    view.busy_parts -= 1;
                    view.enter_somewhere(around.now.ms);
                }
            }
            Asked::Other => {}
        }
    }

    fn on_refusal(&mut self, asked: &Asked, data: &Value, around: &mut Around<'_>) {
        around.ledger.totals.errors += 1;
        if data["code"] == "CONNECTION_LOST" && matches!(asked, Asked::Resume) {
            return self.on_resume_refused(data, around);
        }
        let limited = data["code"] == "RATE_LIMITED" && around.scenario.limited;
        around.ledger.totals.rate_limited += u64::from(limited);
        if let (Asked::Resume, true) = (asked, limited) {
            return self.forget_resume();
        }
        let Some(link) = &mut self.link else { return };
        let surprising = match asked {
            Asked::Join { room, .. } | Asked::Leave { room } => {
                let view = link.view(room);
                view.busy = view.busy.saturating_sub(1);
                view.leaving = view.leaving.saturating_sub(u32::from(matches!(asked, Asked::Leave { .. })));
                // Leaving what the client is not in, or was put into, is refused.
                matches!(asked, Asked::Join { .. }) && !is_created(room)
            }
            Asked::Revise { number, sure } => *sure && !self.may_fail_to_revise(*number, data, around),
            Asked::Receipt { room, ahead, .. } => !ahead && !is_created(room),
            Asked::Watch { room: Some(room), .. } => !is_created(room),
            Asked::Watch { .. }
            | Asked::Presence { .. }
            | Asked::Session
            | Asked::Resume
            | Asked::Present => true,
            Asked::Create { room: Some(room), .. } => {
                link.view(room).busy_parts -= 1;
                false
            }
            Asked::BadResume => data["code"] != "CONNECTION_LOST",
            Asked::Create { .. } | Asked::Close { .. } | Asked::Look { .. } => false,
            Asked::Send { sure, .. } => *sure,
            Asked::Several { rooms, .. } => {
                rooms.iter().for_each(|room| link.view(room).busy_parts -= 1);
                rooms.iter().for_each(|room| link.view(room).leaving = 0);
                true
            }
            Asked::Refresh { rooms } => {
                rooms.iter().for_each(|room| link.view(room).busy_parts -= 1);
                true
            }
            Asked::Info { room: Some(room) } => {
                link.view(room).busy_parts -= 1;
                true
            }
            Asked::History { room, .. } => !is_created(room),
            // Where the rate is limited, nobody knows of these rooms.
            Asked::Rooms { .. } => true,
            Asked::Info { .. } | Asked::Other => false,
        };
        if surprising && !limited {
            around.ledger.violate("what is allowed is done", format!("{data} to {asked:?}"));
        }
    }

    fn on_sent(&mut self, number: usize, data: &Value, around: &mut Around<'_>) {
        let Some(link) = &self.link else { return };
        let (Some(room), Some(id)) = (data["roomId"].as_str(), data["id"].as_str()) else {
            return around.ledger.violate("an acknowledgement is complete", format!("{data}"));
        };
        let Position { epoch, offset } = position(data);
        let (state, change) = (State::New, false);
        let heard = Heard { room: room.to_owned(), epoch, offset, id: id.to_owned(), number, state, change };
        around.ledger.totals.user_sends += u64::from(room.starts_with("user:"));
        let duplicate = data["duplicate"] == true;
        around.ledger.acknowledge(&heard, duplicate, data["clientId"].as_str(), link.number);
    }

    fn on_results(&mut self, numbers: &[usize], sure: bool, data: &Value, around: &mut Around<'_>) {
        let results = data["results"].as_array().map(Vec::as_slice).unwrap_or_default();
        if results.len() != numbers.len() {
            around.ledger.violate("every part has its result", format!("{data} to {numbers:?}"));
        }
        for (number, result) in numbers.iter().zip(results) {
            if result["ok"] == true {
                self.on_sent(*number, result, around);
            } else if sure && result["error"]["code"] != "RATE_LIMITED" {
                around.ledger.violate("what is allowed is done", format!("{result}"));
            }
        }
    }

    fn on_several(
        &mut self,
        enter: bool,
        rooms: &[String],
        patterns: &[String],
        data: &Value,
        around: &mut Around<'_>,
    ) {
        let results = data["results"].as_array().cloned().unwrap_or_default();
        if results.len() != rooms.len() + patterns.len() {
            around.ledger.violate("every part has its result", format!("{data}"));
        }
        for (room, result) in rooms.iter().zip(&results) {
            let Some(link) = &mut self.link else { return };
            link.forget_room_news(room);
            let view = link.view(room);
            view.busy_parts -= 1;
            if !enter && result["ok"] == true {
                self.leave_queue(room, around);
            }
            let Some(link) = &mut self.link else { return };
            let view = link.view(room);
            match (enter, result["ok"] == true) {
                (true, true) => view.enter_somewhere(around.now.ms),
                (true, false) => around.ledger.violate("what is allowed is done", format!("{result}")),
                (false, true) => {
                    if let Some(position) = view.leave() {
                        self.positions.insert(room.clone(), position);
                    }
                }
                (false, false) => view.leaving -= 1,
            }
        }
        for pattern in patterns {
            if enter { self.on_covered(pattern, around) } else { self.on_uncovered(pattern) }
        }
    }

    /// The token is accepted: the rooms that it names are being entered, before anything else is asked of them.
    fn on_refreshed(&mut self, rooms: Vec<String>, data: &Value, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        let Some(user) = data["userId"].as_str() else {
            return around.ledger.violate("an auth:ok names the user", format!("{data}"));
        };
        link.user = Some(user.to_owned());
        if link.forced.is_empty() {
            // Without tokens the connection has been in its own room from the start.
            link.forced = vec![format!("user:{user}")];
            link.settled = false;
            self.open(around);
            self.settle_forced(around);
        }
        for room in rooms {
            let data = format!(r#"{{"roomId":"{room}"}}"#);
            self.request("room:info", &data, Asked::Info { room: Some(room) }, around);
        }
    }

    /// Messages of a history: ascending, none missing between them but the session's own excluded ones.
    fn check_history(
        &mut self,
        room: &str,
        messages: &[Heard],
        limit: usize,
        until: Option<&Position>,
        around: &mut Around<'_>,
    ) {
        let Some(link) = &self.link else { return };
        around.ledger.totals.history_messages += messages.len() as u64;
        let misplaced = messages.iter().any(|heard| heard.room != room);
        if messages.len() > limit || misplaced || (Scenario::is_ephemeral(room) && !messages.is_empty()) {
            around
                .ledger
                .violate("a history is what was asked for", format!("{limit} of {room}: {messages:?}"));
        }
        for heard in messages {
            around.ledger.receive(heard, link.number, link.session);
        }
        for pair in messages.windows(2) {
            if pair[0].offset >= pair[1].offset || pair[0].epoch != pair[1].epoch {
                around.ledger.violate("a history ascends", format!("{pair:?}"));
            }
            let between = pair[0].offset + 1..pair[1].offset;
            around.ledger.miss(link.number, room, &pair[0].epoch, between, Told::History);
        }
        if let (Some(last), Some(at)) = (messages.last(), until) {
            around.ledger.miss(link.number, room, &at.epoch, last.offset + 1..at.offset + 1, Told::History);
        }
    }
}

/// Where an answer says that a stream stands.
pub(super) fn position(data: &Value) -> Position {
    Position {
        epoch: data["epoch"].as_str().unwrap_or_default().to_owned(),
        offset: data["offset"].as_u64().unwrap_or_default(),
    }
}

/// The message, or change of one, that a frame tells of; a deleted one is known by its id alone.
pub(super) fn heard(data: &Value, ledger: &Ledger) -> Option<Heard> {
    let Position { epoch, offset } = position(data);
    let id = data["id"].as_str().or_else(|| data["messageId"].as_str())?;
    let (number, state) = heard_content(&data["content"], id, ledger)?;
    let room = data["roomId"].as_str()?.to_owned();
    Some(Heard { room, epoch, offset, id: id.to_owned(), number, state, change: false })
}

/// Which message a content is of, and what has become of that.
pub(super) fn heard_content(content: &Value, id: &str, ledger: &Ledger) -> Option<(usize, State)> {
    let index = |value: &Value| usize::try_from(value.as_u64()?).ok();
    if content.is_null() {
        return Some((ledger.number_of(id)?, State::Deleted));
    }
    if content["t"].as_str() != Some(&ledger.tenant) {
        return None;
    }
    Some((index(&content["n"])?, index(&content["e"]).map_or(State::New, State::Edited)))
}

/// The messages of an answer.
pub(super) fn heard_list(messages: &Value, ledger: &Ledger) -> Vec<Heard> {
    let list = messages.as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(|message| heard(message, ledger)).collect()
}

/// Whether a room is one that clients create and close, so that much may be refused there.
pub(super) fn is_created(room: &str) -> bool {
    room.starts_with("made.") || room.starts_with("room:")
}
