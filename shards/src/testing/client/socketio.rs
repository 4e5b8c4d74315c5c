//! Namespaces entered by a Socket.IO client, and sessions that it takes up again: whether it gets all that it missed
//! before it is let in, in order and once, or begins anew and gets nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::host::Around;
use super::super::ledger::Heard;
use super::super::scenario::Scenario;
use super::super::wire;
use super::answers::{heard, is_created};
use super::resumes::SESSIONS_MAX;
use super::sessions::{Hold, Session};
use super::talk;
use super::view::View;
use super::{Asked, Client, Link, Stage};

impl Client {
    /// Requests a session over a WebSocket, and says what the client will show to enter the namespace.
    pub(super) fn open_conversation(&mut self, resumes: bool, around: &mut Around<'_>) {
        if resumes {
            self.begin_resume(around);
        }
        let (mut target, mut headers) = ("/socket.io/?EIO=4&transport=websocket".to_owned(), Vec::new());
        let shown = around.dice.between(0, 99);
        let silent = self.grant.is_some() && shown < 4;
        let token = if self.grant.is_none() || silent { None } else { Some(self.token(true, around)) };
        let Some(link) = &mut self.link else { return };
        link.guilty |= silent;
        link.stage = Stage::Authenticating;
        match token {
            Some(token) if shown < 20 => headers.push(format!("Authorization: Bearer {token}")),
            Some(token) if shown < 40 => target.push_str(&format!("&token={token}")),
            token => link.talk.token = token,
        }
        self.send_head(&wire::upgrade_head(&target, &headers), false, around);
        // Who does not wait for the first packet enters all the same.
        if around.dice.percent(30) {
            self.ask_to_enter(around);
        }
    }

    pub(super) fn on_engine_open(&mut self, text: &str, around: &mut Around<'_>) {
        let open: Value = serde_json::from_str(text).unwrap_or_default();
        let settings = &around.scenario.config.socketio;
        let fits = open["sid"].as_str().is_some_and(|sid| sid.len() == 24)
            && open["upgrades"] == json!([])
            && open["pingInterval"] == settings.ping_interval_ms
            && open["pingTimeout"] == settings.ping_timeout_ms
            && open["maxPayload"] == settings.payload_bytes_max;
        if !fits {
            around.ledger.violate("a session tells its terms", text);
        }
        if self.link.as_ref().is_some_and(|link| !link.talk.asked) {
            self.ask_to_enter(around);
        }
    }

    /// Asks to enter the namespace, with the session that it wants to take up.
    pub(super) fn ask_to_enter(&mut self, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        link.talk.asked = true;
        let mut auth = serde_json::Map::new();
        if let Some(token) = &link.talk.token {
            auth.insert("token".to_owned(), token.as_str().into());
        }
        let session = self.session.as_mut().filter(|_| link.hold.is_asked());
        if let Some(session) = session {
            auth.insert("pid".to_owned(), session.token.as_str().into());
            let place = match around.dice.between(0, 19) {
                0 => None,
                1 => Some("00112233445566ff-7".to_owned()),
                2 => Some("nowhere".to_owned()),
                3 => Some("0".to_owned()),
                _ => self.seen.clone(),
            };
            // Whoever has named another place in between has thrown away how far the session was.
            session.inexact |= place != self.seen;
            link.talk.exact = !session.inexact && !self.named.1;
            self.named = (place.clone(), false);
            // And stands by it: whoever leaves what that brings unread, and then names an earlier place once more, has
            // told the server that it has got what was given in front of that since.
            self.seen.clone_from(&place);
            auth.extend(place.map(|place| ("offset".to_owned(), place.into())));
        } else if around.dice.percent(10) {
            let others = around.ledger.tokens.iter().filter(|(user, _)| link.user.as_ref() != Some(user));
            let others: Vec<&str> = others.map(|(_, token)| token.as_str()).collect();
            let foreign = link.user.as_ref().and_then(|_| around.dice.pick_any(&others).copied());
            link.talk.bogus = true;
            auth.insert("pid".to_owned(), foreign.unwrap_or("rs1.0.00.x").into());
            auth.extend(self.seen.clone().map(|place| ("offset".to_owned(), place.into())));
        }
        let auth = if auth.is_empty() { String::new() } else { Value::Object(auth).to_string() };
        self.send_text(&format!("40{auth}"), around);
    }

    /// The namespace is not entered, or there is none.
    pub(super) fn on_connect_refused(&mut self, text: &str, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        around.ledger.totals.connects_refused += 1;
        if text.starts_with('/') {
            let is_stray = link.talk.strays > 0;
            link.talk.strays = link.talk.strays.saturating_sub(1);
            let limited = around.scenario.limited && text.contains("\"RATE_LIMITED\"");
            if !is_stray || (!limited && text != r#"/nowhere,{"message":"Invalid namespace"}"#) {
                around.ledger.violate("a namespace is one that there is", text);
            }
            return;
        }
        let error: Value = serde_json::from_str(text).unwrap_or_default();
        if around.scenario.limited && error["data"]["code"] == "RATE_LIMITED" {
            // It tries again over another connection.
            link.stage = Stage::Ending;
            return;
        }
        let told = error["message"].is_string() && error["data"]["code"] == "AUTH_FAILED";
        if !told || !link.guilty || link.stage != Stage::Authenticating {
            around.ledger.violate("a good token is accepted", format!("{}: {text}", link.number));
        }
        link.talk.refused += 1;
        // A token of the request itself counts for all that follow.
        if link.talk.token.is_none() || around.dice.percent(30) {
            link.stage = Stage::Ending;
            return;
        }
        if around.dice.percent(60) {
            let token = self.token(false, around);
            if let Some(link) = &mut self.link {
                link.talk.token = Some(token);
            }
        }
        self.ask_to_enter(around);
    }

    /// An event that comes before the client is let in: something that its session has missed.
    pub(super) fn on_early(&mut self, text: String, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        link.talk.replayed += 1;
        if !link.hold.is_asked() {
            return around.ledger.violate("who begins anew gets nothing before", text);
        }
        link.talk.early.push(text);
    }

    /// The client handles the events that came so far, or all: its session is further now, whether it is let in or not.
    pub(super) fn handle_early(&mut self, is_all: bool, around: &mut Around<'_>) {
        let (Some(link), Some(session)) = (&mut self.link, &mut self.session) else { return };
        if link.talk.deaf || !link.hold.is_asked() {
            return;
        }
        let early = std::mem::take(&mut link.talk.early);
        let mut missed: BTreeMap<String, Vec<Heard>> = BTreeMap::new();
        let mut all = Vec::new();
        let known = self.unplaced.clone();
        for text in early {
            let (id, arguments) = talk::split(&text[2..]).unwrap_or_default();
            let is_change = matches!(arguments[0].as_str(), Some("message:edited" | "message:deleted"));
            let Some(heard) = heard(&arguments[1], around.ledger) else {
                around.ledger.violate("a message is complete", text);
                continue;
            };
            match talk::place(&arguments) {
                Some(place) if id.is_empty() => {
                    self.seen = Some(place);
                    self.named.1 = self.seen == self.named.0;
                    self.unplaced.clear();
                }
                None if !id.is_empty() => {
                    self.unplaced.insert((heard.epoch.clone(), heard.offset));
                }
                _ => around.ledger.violate("every event tells its place", text),
            }
            let heard = Heard { change: is_change, ..heard };
            missed.entry(heard.room.clone()).or_default().push(heard.clone());
            all.push(heard);
        }
        for (room, missed) in missed {
            // Who comes without a token learns only so what its own room is.
            let own = self.grant.is_none() && room.starts_with("user:");
            if !own && !session.rooms.contains_key(&room) && !session.unsure.contains(&room) {
                let what = format!("connection {} was not in {room}: {missed:?}", link.number);
                around.ledger.violate("messages come to members only", what);
            }
            let new = || View::new(&room, link.number, session.session);
            let view = session.rooms.entry(room.clone()).or_insert_with(new);
            view.take_over(link.number, session.session);
            view.allow_again(known.iter().cloned());
            view.catch_up(&missed, (link.talk.exact, is_all), around.ledger);
        }
        around.ledger.totals.conversation_events += all.len() as u64;
        all.iter().for_each(|heard| self.get_queued(heard, false, around));
    }

    /// The client is let in.
    pub(super) fn on_connected(&mut self, text: &str, around: &mut Around<'_>) {
        let reply: Value = serde_json::from_str(text).unwrap_or_default();
        let (Some(pid), Some(_)) = (reply["pid"].as_str(), reply["sid"].as_str()) else {
            return around.ledger.violate("who enters is told its session", text);
        };
        let Some(link) = &mut self.link else { return };
        around.ledger.totals.conversations += 1;
        let named = self.session.as_ref().filter(|_| link.hold.is_asked());
        match named.is_some_and(|session| session.token == pid) {
            true => self.resume_conversation(around),
            false => self.begin_conversation(pid.to_owned(), around),
        }
        self.open(around);
        self.settle_forced(around);
    }

    /// A session of its own, in no room that it had chosen.
    fn begin_conversation(&mut self, pid: String, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        if link.talk.replayed > 0 {
            let what = format!("connection {} got {} events", link.number, link.talk.replayed);
            around.ledger.violate("who begins anew gets nothing before", what);
        }
        if link.hold.is_asked() {
            around.ledger.totals.conversations_anew += 1;
            self.check_anew(around);
        }
        let Some(link) = &mut self.link else { return };
        if around.ledger.tokens.iter().any(|(_, known)| *known == pid) {
            around.ledger.violate("a session has one token", pid.clone());
        }
        around.ledger.tokens.push((link.user.clone().unwrap_or_default(), pid.clone()));
        self.stamps += 1;
        link.hold = Hold::Held(self.stamps);
        self.spare = None;
        self.session = Some(Session {
            token: pid,
            session: link.session,
            rooms: BTreeMap::new(),
            unsure: BTreeSet::new(),
            over: false,
            gone: false,
            inexact: false,
            asked: false,
            partial: false,
            stamp: self.stamps,
            sockets: vec![link.socket],
            holder: link.socket,
            unread: 0,
            left_ms: None,
        });
    }

    /// Whether it may be that the client does not come back to its session.
    fn check_anew(&self, around: &mut Around<'_>) {
        let (Some(link), Some(session)) = (&self.link, &self.session) else { return };
        let rooms = session.rooms.keys().chain(&session.unsure);
        let lossy = rooms.into_iter().any(|room| Scenario::is_ephemeral(room) || is_created(room));
        let told = session.rooms.values().any(View::may_hear_of_gap_again);
        let own = around.ledger.tokens.iter().filter(|(user, _)| Some(user) == link.user.as_ref());
        let crowded = own.count() > SESSIONS_MAX;
        let excused = lossy
            || told
            || session.asked
            || session.partial
            || crowded
            || !around.scenario.generous
            || session.over;
        if !excused && !session.is_expired(around) {
            let what = format!("connection {} of {session:?}", link.number);
            around.ledger.violate("what is kept can be recovered", what);
        }
    }

    /// The session goes on.
    fn resume_conversation(&mut self, around: &mut Around<'_>) {
        self.handle_early(true, around);
        let (Some(link), Some(session)) = (&mut self.link, &mut self.session) else { return };
        around.ledger.totals.conversations_resumed += 1;
        // Over another transport it may overtake the news.
        if session.gone && link.talk.returns {
            around.ledger.violate("who has left does not come back", format!("{}", link.number));
        }
        self.stamps += 1;
        link.hold = Hold::Held(self.stamps);
        link.session = session.session;
        session.holder = link.socket;
        session.left_ms = None;
        let inexact = std::mem::take(&mut session.inexact);
        session.unread = 0;
        (session.over, session.gone) = (false, false);
        let mut sure = BTreeSet::new();
        for (room, mut view) in std::mem::take(&mut session.rooms) {
            view.take_over(link.number, session.session);
            view.go_on(inexact, around.now.ms);
            around.ledger.tell_of(&room, &view.epoch, link.user.as_deref(), "resumed");
            if !session.unsure.contains(&room) {
                sure.insert(room.clone());
            }
            link.views.insert(room, view);
        }
        let unsure = std::mem::take(&mut session.unsure);
        for room in &unsure {
            link.view(room).busy_parts += 1;
        }
        self.request("room:list", "{}", Asked::Rooms { sure, unsure }, around);
    }

    /// The rooms that the session has.
    pub(super) fn on_rooms(
        &mut self,
        sure: &BTreeSet<String>,
        unsure: &BTreeSet<String>,
        data: &Value,
        around: &mut Around<'_>,
    ) {
        let Some(link) = &mut self.link else { return };
        let rooms = data["rooms"].as_array().map(Vec::as_slice).unwrap_or_default();
        let has = |room: &String| rooms.iter().any(|entry| entry["roomId"] == **room);
        if let Some(room) = sure.iter().find(|room| !has(room) && !is_created(room)) {
            let what = format!("connection {} did not get {room} back", link.number);
            around.ledger.violate("a session's rooms come back", what);
        }
        for room in sure.iter().filter(|room| !has(room)) {
            // It was closed meanwhile, or while the client was away.
            link.view(room).leave();
        }
        for room in unsure {
            let view = link.view(room);
            view.busy_parts -= 1;
            if has(room) {
                view.enter_somewhere(around.now.ms);
            } else {
                view.leave();
            }
        }
    }

    /// Says goodbye by other means than a close frame; whether it has.
    pub(super) fn say_goodbye(&mut self, around: &mut Around<'_>) -> bool {
        let Some(link) = &mut self.link else { return false };
        match around.dice.between(0, 9) {
            0..3 => {
                self.send_text("1", around);
                true
            }
            3..5 => {
                // Whoever leaves the namespace is not missed, and misses nothing.
                link.talk.deaf = true;
                link.hold = Hold::None;
                if let Some(session) = &mut self.session {
                    session.over = true;
                    session.unsure = link.views.keys().cloned().collect();
                    session.rooms.clear();
                }
                if let Some(user) = &link.user {
                    // What was on its way counts as delivered to a client that leaves.
                    around.ledger.queues.sole.remove(user);
                }
                self.send_text("41", around);
                false
            }
            _ => false,
        }
    }
}

impl Link {
    /// Whether it waits to hear what a recovery has come to.
    pub(super) fn waits_for_recovery(&self) -> bool {
        self.asked.values().any(|asked| matches!(asked, Asked::Join { recover: Some(_), .. }))
    }

    /// Whether it was told that something is gone, in whichever room, and the server perhaps does not know that it knows.
    pub(super) fn may_hear_of_gap_again(&self) -> bool {
        self.views.values().any(View::may_hear_of_gap_again)
    }

    /// Rooms of which the client does not know whether its session has them.
    pub(super) fn unsure_rooms(&self) -> BTreeSet<String> {
        let sure = |room: &String| {
            self.views.get(room).is_some_and(|view| view.is_sure() && view.since_ms.is_some())
        };
        let touched = |view: &View| view.member || view.busy > 0 || view.busy_parts > 0 || view.leaving > 0;
        let rooms = self.views.iter().filter(|(_, view)| touched(view)).map(|(room, _)| room);
        rooms.chain(&self.forced).filter(|room| !sure(room)).cloned().collect()
    }
}
