//! Sessions that are resumed: asked for, given or refused, and whether what they give is what was missed.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::host::Around;
use super::super::scenario::Scenario;
use super::super::wire;
use super::answers::{heard_list, is_created, position};
use super::sessions::Hold;
use super::view::{Replay, View};
use super::{Asked, Client, Link};

/// Sessions that a user may have; of more, some are forgotten.
pub(super) const SESSIONS_MAX: usize = 16;

impl Client {
    /// The connection wants the client's session; the token.
    pub(super) fn begin_resume(&mut self, _around: &mut Around<'_>) -> String {
        let (Some(link), Some(session)) = (&mut self.link, &mut self.session) else { return String::new() };
        link.hold = Hold::Asked { by_command: false };
        link.wants = session.session;
        session.sockets.push(link.socket);
        session.token.clone()
    }

    pub(super) fn resume_by_command(&mut self, around: &mut Around<'_>) {
        let (Some(link), Some(session)) = (&mut self.link, &mut self.session) else { return };
        link.hold = Hold::Asked { by_command: true };
        link.wants = session.session;
        session.sockets.push(link.socket);
        let mut positions = Vec::new();
        link.named.clear();
        if around.dice.percent(50) {
            for (room, view) in &session.rooms {
                let Some(at) = view.position() else { continue };
                link.named.insert(room.clone(), at.clone());
                positions
                    .push(format!(r#"{{"roomId":"{room}","epoch":"{}","offset":{}}}"#, at.epoch, at.offset));
            }
        }
        let data = format!(r#"{{"token":"{}","positions":[{}]}}"#, session.token, positions.join(","));
        self.request("connection:recover", &data, Asked::Resume, around);
    }

    /// The server asks whether the client is there, or how far it has got.
    pub(super) fn on_ping(&mut self, payload: &[u8], around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        // A connection that another replaces is asked without having answered before.
        if !payload.is_empty() && !link.replaced && !link.contested {
            link.views.values_mut().for_each(View::note_progress);
        }
        self.send_frame(wire::PONG, payload, around);
    }

    /// Before the answer to a resume nothing is pushed.
    pub(super) fn check_order_of_resume(&mut self, event: &str, around: &mut Around<'_>) {
        let Some(link) = &self.link else { return };
        let first = matches!(
            event,
            "connection:recovered" | "error" | "chat:error" | "auth:ok" | "pong" | "server:draining"
        );
        if !first && link.hold.is_asked() && link.hold == (Hold::Asked { by_command: false }) {
            let what = format!("connection {} heard {event}", link.number);
            around.ledger.violate("what a session missed comes first", what);
        }
    }

    /// The rooms of the session as the client last had them, and whether they may come again because it still had
    /// another connection.
    fn rooms_to_resume(&self) -> (BTreeMap<String, View>, bool) {
        let Some(session) = &self.session else { return Default::default() };
        let stamp = |link: &&Link| match link.hold {
            Hold::Held(stamp) if link.session == session.session => Some(stamp),
            _ => None,
        };
        let held = self.ghosts.iter().filter(|ghost| stamp(ghost).is_some());
        let newest = held.max_by_key(|ghost| stamp(ghost));
        match newest.filter(|ghost| stamp(ghost) >= Some(session.stamp)) {
            Some(ghost) => (ghost.rooms_of_session(), true),
            None => (session.rooms.clone(), false),
        }
    }

    /// Whether the client has meanwhile had its session with a later connection, or has another.
    fn is_outdated(&self) -> bool {
        let (Some(link), Some(session)) = (&self.link, &self.session) else { return self.link.is_some() };
        link.wants != session.session || link.socket < session.holder
    }

    /// The session was resumed, and this is what was missed.
    pub(super) fn on_recovered(&mut self, data: &Value, around: &mut Around<'_>) {
        if self.is_outdated() {
            // It reads so late that nobody can say what it was then: as if it had not read the answer at all.
            return self.vanish(around);
        }
        let (mut past, twice) = self.rooms_to_resume();
        let (Some(link), Some(session)) = (&mut self.link, &mut self.session) else { return };
        let Hold::Asked { by_command } = link.hold else {
            return around.ledger.violate("only who asks resumes a session", format!("{data}"));
        };
        // The session that it had until now is left behind as it is at this moment.
        if let Some(left) =
            self.spare.as_mut().filter(|left| left.session == link.session && left.session != session.session)
        {
            left.rooms = link.rooms_of_session();
            left.left_ms = Some(around.now.ms);
        }
        session.left_ms = None;
        around.ledger.totals.resumed += 1;
        around.ledger.totals.resumed_unread += u64::from(session.unread > 0);
        self.stamps += 1;
        link.hold = Hold::Held(self.stamps);
        session.holder = link.socket;
        link.session = session.session;
        let before = session.sockets.iter().rev().nth(1);
        let accounted = before.and_then(|socket| around.network.sockets[*socket].accounted);
        let exact = session.unread == 0 && !twice && accounted == Some(true);
        around.ledger.totals.resumed_exactly += u64::from(exact);
        if by_command {
            link.views.values_mut().for_each(|view| view.take_session(session.session));
        }
        let number = link.number;
        let anonymous = self.grant.is_none();
        let (mut got, mut lost) = (Vec::new(), Vec::new());
        for entry in data["rooms"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let room = entry["roomId"].as_str().unwrap_or_default().to_owned();
            let had = past.remove(&room);
            let at = position(entry);
            let missed = heard_list(&entry["messages"], around.ledger);
            if entry.get("reason").is_some() {
                let fair = is_created(&room) || (anonymous && room.starts_with("user:"));
                if !fair || !missed.is_empty() {
                    let what = format!("connection {number}: {entry}");
                    around.ledger.violate("a session's rooms come back", what);
                }
                continue;
            }
            let recovered = entry["recovered"] == true;
            // What another connection got since it was named may come again.
            let had_at = had.as_ref().and_then(View::position);
            let exact = exact || (had_at.is_some() && had_at.as_ref() == link.named.get(&room));
            let replay = Replay { recovered, at: &at, missed: &missed, exact };
            around.ledger.note(|| format!("       {number} resumes {room}: {had:?} as {replay:?}"));
            around.ledger.tell_of(&room, &at.epoch, link.user.as_deref(), "resumed");
            let kept = |had: &View| had.epoch == at.epoch && !had.may_hear_of_gap_again();
            let possible = had.as_ref().is_some_and(kept)
                && around.scenario.generous
                && !Scenario::is_ephemeral(&room)
                && !is_created(&room);
            if possible && !recovered {
                let what = format!("connection {number}: {entry}");
                around.ledger.violate("what is kept can be recovered", what);
            }
            around.ledger.totals.resumed_gaps += u64::from(!recovered);
            link.forget_room_news(&room);
            let own = link.view(&room);
            if by_command && own.member {
                let past = had.unwrap_or_else(|| View::new(&room, number, session.session));
                own.merge(&past, &replay, around.ledger);
            } else {
                let mut view = had.unwrap_or_else(|| View::new(&room, number, session.session));
                view.take_over(number, session.session);
                view.resume(&replay, around.now.ms, around.ledger);
                *own = view;
            }
            if !recovered {
                lost.push(room);
            }
            got.extend(missed);
        }
        got.iter().for_each(|heard| self.get_queued(heard, false, around));
        lost.iter().for_each(|room| self.note_resync(room, around));
        // Who comes without a token is another user each time.
        let foreign = |room: &str| anonymous && room.starts_with("user:");
        if let Some((room, view)) = past.into_iter().find(|(room, _)| !is_created(room) && !foreign(room)) {
            let what = format!("connection {number} did not get {room} back: {view:?}");
            around.ledger.violate("a session's rooms come back", what);
        }
    }

    /// The session is the connection's own: everything is where it is.
    pub(super) fn on_present(&mut self, data: &Value, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        let rooms = data["rooms"].as_array().map(Vec::as_slice).unwrap_or_default();
        for (room, view) in link.views.iter_mut().filter(|(_, view)| view.is_sure()) {
            let Some(entry) = rooms.iter().find(|entry| entry["roomId"] == *room.as_str()) else {
                let what = format!("connection {} lacks {room} in {data}", link.number);
                around.ledger.violate("a session's rooms come back", what);
                continue;
            };
            view.enter(&position(entry), around.now.ms, around.ledger);
        }
    }

    /// The session cannot be resumed: the connection goes on without.
    pub(super) fn on_resume_refused(&mut self, data: &Value, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        if !std::mem::take(&mut link.hold).is_asked() {
            return around.ledger.violate("errors have a cause", format!("{data}"));
        }
        around.ledger.totals.resumes_refused += 1;
        let wants = link.wants;
        let Some(session) = self.session.take_if(|session| session.session == wants) else { return };
        let details = if data["details"].is_object() { &data["details"] } else { &data["data"] };
        let own = around.ledger.tokens.iter().filter(|(user, _)| Some(user) == link.user.as_ref());
        let crowded = own.count() > SESSIONS_MAX;
        if details["reason"] != "expired" || !(session.is_expired(around) || crowded) {
            let what = format!("connection {}: {data} for {session:?}", link.number);
            around.ledger.violate("a session can be resumed in its time", what);
        }
    }

    /// The command was not carried out at all.
    pub(super) fn forget_resume(&mut self) {
        let (Some(link), Some(session)) = (&mut self.link, &mut self.session) else { return };
        link.hold = Hold::None;
        session.sockets.pop();
    }
}
