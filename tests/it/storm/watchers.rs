//! Those who stay: some watch, one speaks.

use serde_json::json;

use super::grid::{ROOM_USERS, account, all_rooms, names, rooms_of};
use crate::support::{Client, Server, Token};

/// Somebody who is told of some users when they come: each of these events, once a user.
pub(super) struct Watcher {
    pub(super) client: Client,
    pub(super) users: Vec<String>,
    pub(super) events: &'static [&'static str],
}

/// Somebody who is in all rooms, and says the same numbers in each: 1, 2, 3.
pub(super) struct Speaker {
    pub(super) client: Client,
    pub(super) users: usize,
    pub(super) said: u64,
}

impl Watcher {
    /// Watches the members of the `nth` room of that user.
    pub(super) fn of_room(server: &Server, users: usize, user: usize, nth: usize) -> Self {
        let room = &rooms_of(user, users)[nth];
        let mut client = server.member(&format!("watcher-of-{room}"), room);
        client.call("presence:watch", json!({"roomId": room}));
        let users = names(users, |other| rooms_of(other, users)[nth] == *room);
        Self { client, users, events: &["presence:changed", "room:member-joined"] }
    }

    /// Watches its account, which is that user's, as its profile wants it.
    pub(super) fn of_account(server: &Server, users: usize, user: usize) -> Self {
        let token = Token::employee("watcher-of-account").account(&account(user));
        let mut client = server.connect().token(&token).query("profile", "support").open();
        client.ping();
        let users = names(users, |other| account(other) == account(user));
        Self { client, users, events: &["user:online"] }
    }

    /// Watches everybody, and sees who is of its account.
    pub(super) fn of_everybody(server: &Server, users: usize, user: usize) -> Self {
        let mut client = server.open(&Token::employee("watcher-of-everybody").account(&account(user)));
        client.join("presence:global");
        let users = names(users, |other| account(other) == account(user));
        Self { client, users, events: &["presence:changed"] }
    }

    /// Watches some users by name, and sees those of them who are of its account.
    pub(super) fn of_users(server: &Server, users: usize, user: usize) -> Self {
        let mut client = server.open(&Token::employee("watcher-of-users").account(&account(user)));
        let is_seen = |other| account(other) == account(user);
        let watched = names(users, |other| is_seen(other) || other < ROOM_USERS);
        client.call("presence:watch", json!({"userIds": watched}));
        Self { client, users: names(users, is_seen), events: &["presence:changed"] }
    }

    /// Each of its users comes; that it is only once is seen by the silence behind it.
    pub(super) fn expect_everybody(&mut self) {
        for event in self.events {
            let mut heard: Vec<String> = Vec::new();
            for _ in &self.users {
                let frame = self.client.expect_event(event);
                if frame.name == "presence:changed" {
                    assert_eq!(frame.data()["status"], "online", "{}", frame.raw);
                }
                heard.push(frame.data()["userId"].as_str().expect("of somebody").to_owned());
            }
            heard.sort();
            assert_eq!(heard, self.users, "{event}");
        }
    }

    /// Its users count as there, although none of their devices is.
    pub(super) fn assert_all_within_grace(&mut self) {
        for user in &self.users {
            let status = self.client.call("presence:user-status", json!({"userId": user}));
            assert_eq!((&status["status"], &status["devices"]), (&json!("online"), &json!(0)), "{status}");
        }
    }
}

impl Speaker {
    pub(super) fn new(server: &Server, users: usize) -> Self {
        let mut client = server.employee("speaker");
        let joins: Vec<String> =
            all_rooms(users).map(|room| client.post("room:join", &json!({"roomId": room}))).collect();
        for id in &joins {
            assert_eq!(client.reply(id).name, "room:joined");
        }
        Self { client, users, said: 0 }
    }

    /// Says the next number in every room.
    pub(super) fn speak(&mut self) {
        let Self { client, users, said } = self;
        *said += 1;
        client.arrived("message:received");
        let sends: Vec<String> = all_rooms(*users)
            .map(|room| client.post("message:send", &json!({"roomId": room, "content": said})))
            .collect();
        for id in &sends {
            assert_eq!(client.reply(id).offset(), *said);
        }
    }
}
