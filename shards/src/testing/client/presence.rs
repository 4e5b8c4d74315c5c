//! Presence: whom a client watches, what it is told of them, and what it says of itself.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::host::Around;
use super::super::scenario::Scenario;
use super::view::View;
use super::{Asked, Client, Link};
use crate::protocol::profile::Dialect;

/// What a connection watches, and what it believes.
#[derive(Debug, Default)]
pub(super) struct Watching {
    /// When the connection last entered or left rooms: whom it sees only because of that, of that nobody tells it.
    pub(super) moved_ms: u64,
    /// Whether the user itself was ever among them.
    own: bool,
    /// Users who are watched by name, and when that was last asked for.
    by_name: BTreeMap<String, u64>,
    /// Status and words of each user.
    beliefs: BTreeMap<String, (String, String)>,
}

/// A status of which nothing is known but that it is not offline.
const THERE: &str = "there";

fn shown(data: &Value) -> (String, String) {
    let text = |field: &str| data[field].as_str().unwrap_or_default().to_owned();
    (text("status"), text("statusText"))
}

impl Client {
    pub(super) fn be_present(&mut self, around: &mut Around<'_>) {
        // A Socket.IO client that watches somebody does not come back to its session.
        let rarely = self.dialect == Dialect::SocketIo && around.dice.percent(80);
        match around.dice.between(0, 9) {
            0..4 => self.say_status(around),
            _ if rarely => {}
            4..8 => self.watch_users(around),
            8 => self.watch_room(around),
            _ => self.unwatch(around),
        }
    }

    fn say_status(&mut self, around: &mut Around<'_>) {
        let status = *around.dice.pick(&["online", "away", "busy", "away", "busy", "offline"]);
        let words = *around.dice.pick(&["", r#","statusText":"at \"lunch\"""#]);
        if let Some(user) = self.link.as_ref().and_then(|link| link.user.clone()) {
            around.ledger.comings.entry(user).or_default().said.insert(status.to_owned());
        }
        let data = format!(r#"{{"status":"{status}"{words}}}"#);
        self.request("presence:update-status", &data, Asked::Other, around);
    }

    fn watch_users(&mut self, around: &mut Around<'_>) {
        let mut users: Vec<String> = Vec::new();
        for _ in 0..around.dice.between(1, 3) {
            users.extend(around.dice.pick_any(&around.ledger.users).cloned());
        }
        users.dedup();
        if users.is_empty() {
            return;
        }
        if let Some(link) = &mut self.link {
            let own = link.user.as_ref();
            link.watching.own |= own.is_none_or(|own| users.contains(own));
        }
        let list = users.iter().map(|user| format!("\"{user}\"")).collect::<Vec<_>>().join(",");
        let data = format!(r#"{{"userIds":[{list}]}}"#);
        self.request(
            "presence:watch",
            &data,
            Asked::Watch { users, room: None, asked_ms: around.now.ms },
            around,
        );
    }

    fn watch_room(&mut self, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        let rooms: Vec<String> = link.rooms().into_iter().filter(|room| Scenario::is_common(room)).collect();
        let Some(room) = around.dice.pick_any(&rooms).cloned() else { return };
        let data = format!(r#"{{"roomId":"{room}"}}"#);
        let asked = Asked::Watch { users: Vec::new(), room: Some(room), asked_ms: around.now.ms };
        self.request("presence:watch", &data, asked, around);
    }

    fn unwatch(&mut self, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        let watched: Vec<String> = link.watching.by_name.keys().cloned().collect();
        let Some(user) = around.dice.pick_any(&watched).cloned() else { return };
        link.watching.by_name.remove(&user);
        link.watching.beliefs.remove(&user);
        let data = format!(r#"{{"userIds":["{user}"]}}"#);
        self.request("presence:unwatch", &data, Asked::Other, around);
    }

    /// These are watched from now on, and are so.
    pub(super) fn on_watched(
        &mut self,
        users: &[String],
        room: Option<&str>,
        asked_ms: u64,
        data: &Value,
        around: &mut Around<'_>,
    ) {
        let Some(link) = &mut self.link else { return };
        around.ledger.totals.watches += 1;
        let told = data["users"].as_array().map(Vec::as_slice).unwrap_or_default();
        if room.is_none() && told.len() != users.len() {
            around.ledger.violate("every part has its result", format!("{data} to {users:?}"));
        }
        for entry in told {
            let user = entry["userId"].as_str().unwrap_or_default().to_owned();
            link.watching.beliefs.insert(user, shown(entry));
        }
        for user in users {
            link.watching.by_name.insert(user.clone(), asked_ms);
        }
    }

    /// Somebody came, went, or says something else.
    pub(super) fn on_presence(&mut self, event: &str, data: &Value, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        let user = data["userId"].as_str().unwrap_or_default().to_owned();
        // The edges say nothing but that.
        let now = match event {
            "user:online" => (THERE.to_owned(), String::new()),
            "user:offline" => ("offline".to_owned(), String::new()),
            _ => shown(data),
        };
        around.ledger.totals.presence_changes += 1;
        let own = link.user.as_deref() == Some(&user) && !link.watching.own;
        if own {
            let what = format!("connection {}: {event} {data}", link.number);
            around.ledger.violate("presence is told of others", what);
        }
        // Who does not watch a user by name is not told where many are.
        let by_name = link.watching.by_name.contains_key(&user);
        let again = link.watching.beliefs.insert(user.clone(), now.clone()).as_ref() == Some(&now);
        let account = self.grant.as_ref().and_then(|grant| grant.account.as_deref());
        if again && by_name && account.is_some() && around.scenario.account_of(self.tenant, &user) == account
        {
            around.ledger.suspect("presence is told once a change", format!("{data}"));
        }
        if now.0 == "offline" {
            check_gone(&user, around);
        }
    }

    /// When all is quiet, it asks how those are whom it watches; and says in which rooms it is itself.
    pub(super) fn audit_presence(&mut self, around: &mut Around<'_>) {
        let Some(link) = &self.link else { return };
        if let Some(user) = &link.user {
            let rooms = link.views.iter().filter(|(room, view)| view.is_sure() && Scenario::is_common(room));
            around.ledger.present.extend(rooms.map(|(room, _)| (user.clone(), room.clone())));
        }
        let users: Vec<String> = link.watching.by_name.keys().cloned().collect();
        for user in users {
            let data = format!(r#"{{"userId":"{user}"}}"#);
            self.request("presence:user-status", &data, Asked::Presence { user }, around);
        }
    }

    /// How a watched user is in the end: as the watcher believes, and as the user's sockets are.
    pub(super) fn on_last_presence(&mut self, user: &str, data: &Value, around: &mut Around<'_>) {
        let Some(link) = &self.link else { return };
        let account = self.grant.as_ref().and_then(|grant| grant.account.as_deref());
        let by_account = account.is_some() && around.scenario.account_of(self.tenant, user) == account;
        let Some(since_ms) = link.watching.by_name.get(user) else { return };
        let is_own = link.user.as_deref() == Some(user);
        let still = link.watching.moved_ms <= *since_ms;
        if is_own || !(by_account || (still && link.shares_room(user, *since_ms, around))) {
            return;
        }
        around.ledger.totals.presence_checks += 1;
        let truth = shown(data);
        let belief = link.watching.beliefs.get(user);
        let there = belief.is_some_and(|belief| belief.0 == THERE) && truth.0 != "offline";
        let gone = belief.is_some_and(|belief| belief.0 == "offline") && truth.0 == "offline";
        if belief != Some(&truth) && !there && !gone {
            let what = format!("connection {} believes {belief:?} of {user}, who is {truth:?}", link.number);
            around.ledger.suspect("watchers believe what is true", what);
        }
        let Some(comings) = around.ledger.comings.get(user) else { return };
        let fits = match (comings.is_there(), comings.said.is_empty()) {
            (false, _) => truth.0 == "offline",
            (true, true) => truth.0 == "online" || around.scenario.grants.is_empty(),
            (true, false) if around.scenario.grants.is_empty() => true,
            (true, false) => truth.0 == "online" || comings.said.contains(&truth.0),
        };
        if !fits {
            let what = format!("{user} is {truth:?}, and in fact {comings:?}");
            around.ledger.violate("a user is there while it has a socket", what);
        }
    }
}

/// A user that is told to be gone has been without a socket for the grace, or says so itself.
fn check_gone(user: &str, around: &mut Around<'_>) {
    let grace_ms = around.scenario.config.presence_grace_ms;
    let Some(comings) = around.ledger.comings.get(user) else { return };
    // Who has no name says things of itself that nobody here can note.
    let named = !around.scenario.grants.is_empty();
    if named && !comings.said.contains("offline") && !comings.can_be_gone(grace_ms, around.now.ms) {
        // Perhaps the server has closed a connection, and its client does not know.
        let what = format!("at {} {user} is said to be gone, but {comings:?}", around.now.ms);
        around.ledger.flaps.push((user.to_owned(), what));
    }
}

impl Link {
    /// Whether the connection shares rooms with a user, all of them for longer than it watches it: whom it comes to
    /// see only because it enters a room itself, of that nobody tells it.
    fn shares_room(&self, user: &str, since_ms: u64, around: &Around<'_>) -> bool {
        let shared = |room: &str| around.ledger.present.contains(&(user.to_owned(), room.to_owned()));
        let mut views = self.views.iter().filter(|(room, view)| view.is_sure() && shared(room)).peekable();
        let before =
            |(_, view): (&String, &View)| view.since_ms.is_some_and(|entered_ms| entered_ms <= since_ms);
        views.peek().is_some() && views.all(before)
    }
}
