//! Presence: who is there, on however many devices, told only to those who may see it (protocol §5).

use serde_json::{Value, json};

use crate::support::reply::{column, entry, sorted_column};
use crate::support::{Client, Frame, QUIET, Server, Token, eventually};

/// Shorter than [`QUIET`], so that what a grace hides would be heard within it.
const GRACE: &str = "200ms";

fn server(shards: usize, grace: &str) -> Server {
    Server::builder().shards(shards).with(&["--presence-grace", grace]).start()
}

/// An employee of the account whose members see each other, known to be there.
fn colleague(server: &Server, name: &str) -> Client {
    let mut client = server.open(&Token::employee(name).account("acme"));
    expect_devices(&mut client, name, |devices| devices > 0);
    client
}

/// Waits until a user has as many devices as `wanted` says.
fn expect_devices(asker: &mut Client, user: &str, wanted: impl Fn(u64) -> bool) {
    eventually(&format!("the devices of {user}"), || {
        status_of(asker, user)["devices"].as_u64().filter(|devices| wanted(*devices))
    });
}

/// A colleague who watches everybody visible.
fn watcher(server: &Server, name: &str) -> Client {
    let mut client = colleague(server, name);
    client.join("presence:global");
    client
}

/// The next change of that user, which must be to `status`; returns its data.
fn expect_change(client: &mut Client, user: &str, status: &str) -> Value {
    let change = client.expect(&format!("a change of {user}"), |frame| {
        frame.name == "presence:changed" && frame.data()["userId"] == user
    });
    assert_eq!(change.data()["status"], status, "{}", change.raw);
    change.data().clone()
}

/// Listens for a while and fails if anything about that user is told.
fn assert_silence_about(client: &mut Client, user: &str, why: &str) {
    client.stays_open_for(QUIET);
    let changes = client.arrived("presence:changed");
    assert!(!changes.iter().any(|change| change.data()["userId"] == user), "{why}: {changes:?}");
}

fn update(client: &mut Client, status: &str) -> Frame {
    let reply = client.request("presence:update-status", &json!({"status": status}));
    assert!(!reply.is_error(), "{}", reply.raw);
    reply
}

fn status_of(client: &mut Client, user: &str) -> Value {
    client.call("presence:user-status", json!({"userId": user}))
}

/// What is told of somebody who is not there, or may not be seen.
fn nobody(user: &str) -> Value {
    json!({"userId": user, "status": "offline", "lastSeen": null, "devices": 0, "availability": "unavailable"})
}

#[test]
fn three_devices_come_online_once_and_go_offline_once_after_the_grace() {
    for shards in [1, 3] {
        let server = server(shards, GRACE);
        let mut wendy = watcher(&server, "wendy");
        let mut devices: Vec<Client> = (0..3).map(|_| colleague(&server, "ana")).collect();
        expect_change(&mut wendy, "ana", "online");
        expect_devices(&mut wendy, "ana", |devices| devices == 3);
        devices.pop().expect("three").close();
        drop(devices.pop());
        assert_silence_about(&mut wendy, "ana", "one device is left");
        expect_devices(&mut wendy, "ana", |devices| devices == 1);
        devices.pop().expect("one").close();
        let offline = expect_change(&mut wendy, "ana", "offline");
        assert!(offline["lastSeen"].is_string(), "{offline}");
        let status = status_of(&mut wendy, "ana");
        assert_eq!((&status["status"], &status["devices"]), (&json!("offline"), &json!(0)), "{status}");
        assert!(status["lastSeen"].is_string(), "{status}");
        assert_silence_about(&mut wendy, "ana", "offline once");
    }
}

#[test]
fn a_reconnect_within_the_grace_does_not_flap() {
    for shards in [1, 3] {
        let server = server(shards, "1h");
        let mut wendy = watcher(&server, "wendy");
        let ana = colleague(&server, "ana");
        expect_change(&mut wendy, "ana", "online");
        drop(ana);
        let mut ana = colleague(&server, "ana");
        ana.ping();
        assert_silence_about(&mut wendy, "ana", "she came back in time");
        assert_eq!(status_of(&mut wendy, "ana")["status"], "online");
    }
}

#[test]
fn an_update_is_told_as_an_update_and_not_as_leave_and_join() {
    for shards in [1, 3] {
        let server = server(shards, GRACE);
        let [mut ana, mut ben, mut cid] = ["ana", "ben", "cid"].map(|name| server.member(name, "lobby"));
        let ana_elsewhere = server.member("ana", "lobby");
        let watched = ben.call("presence:watch", json!({"roomId": "lobby"}));
        assert_eq!(entry(&watched, "users", "userId", "ana")["status"], "online", "{watched}");
        for client in [&mut ben, &mut cid] {
            client.stays_open_for(QUIET);
            client.arrived("room:member-joined");
        }
        let reply = ana.request("presence:update-status", &json!({"status": "away", "statusText": "lunch"}));
        assert_eq!(reply.name, "presence:updated");
        let told = reply.data();
        assert_eq!([&told["userId"], &told["status"], &told["statusText"]], ["ana", "away", "lunch"]);
        assert_eq!(expect_change(&mut ben, "ana", "away")["statusText"], "lunch");
        for edge in ["room:member-left", "room:member-joined"] {
            ben.assert_no(edge, "she is still there");
        }
        cid.assert_no("presence:changed", "cid watches nobody");
        let status = status_of(&mut ben, "ana");
        assert_eq!(
            (&status["status"], &status["devices"]),
            (&json!("away"), &json!(2)),
            "of all her devices"
        );
        let online = cid.call("room:online", json!({"roomId": "lobby"}));
        assert_eq!(entry(&online, "users", "userId", "ana")["status"], "away");
        drop(ana_elsewhere);
        assert_silence_about(&mut ben, "ana", "a device less changes no status");
        update(&mut ana, "online");
        expect_change(&mut ben, "ana", "online");
    }
}

#[test]
fn whoever_shares_neither_room_nor_account_sees_nobody() {
    for shards in [1, 3] {
        let server = server(shards, GRACE);
        let mut ana = colleague(&server, "ana");
        let mut eve = server.open(&Token::employee("eve").account("other"));
        eve.join("presence:global");
        eve.call("presence:watch", json!({"userIds": ["ana"]}));
        update(&mut ana, "away");
        update(&mut ana, "online");
        let _ben = colleague(&server, "ben");
        assert_silence_about(&mut eve, "ana", "a stranger");
        assert_eq!(status_of(&mut eve, "ana"), nobody("ana"));
        assert_eq!(status_of(&mut eve, "ben"), nobody("ben"));
        assert_eq!(
            status_of(&mut eve, "never.seen"),
            nobody("never.seen"),
            "the same as if there were nobody"
        );
        let listed = sorted_column(&eve.call("presence:online-users", json!({})), "users", "userId");
        assert!(!listed.iter().any(|user| ["ana", "ben"].contains(&user.as_str())), "{listed:?}");
        let users = &eve.call("presence:stats", json!({}))["users"];
        assert!(users.as_u64().is_some_and(|users| users <= 1), "at most herself: {users}");
        for client in [&mut ana, &mut eve] {
            client.join("lobby");
        }
        eventually("a shared room makes visible", || {
            (status_of(&mut eve, "ana")["status"] == "online").then_some(())
        });
        update(&mut ana, "busy");
        // Whether becoming visible is told is nobody's promise; what changes then is.
        eve.expect("busy", |frame| frame.name == "presence:changed" && frame.data()["status"] == "busy");
    }
}

#[test]
fn a_watch_tells_how_things_are_and_what_changes_until_it_ends() {
    for shards in [1, 3] {
        let server = server(shards, GRACE);
        let mut wendy = colleague(&server, "wendy");
        let mut ben = colleague(&server, "ben");
        let watched = wendy.call("presence:watch", json!({"userIds": ["ana", "ben"]}));
        assert_eq!(entry(&watched, "users", "userId", "ana")["status"], "offline", "{watched}");
        assert_eq!(entry(&watched, "users", "userId", "ben")["status"], "online", "{watched}");
        let mut ana = colleague(&server, "ana");
        expect_change(&mut wendy, "ana", "online");
        update(&mut ben, "busy");
        expect_change(&mut wendy, "ben", "busy");
        wendy.call("presence:unwatch", json!({"userIds": ["ana"]}));
        update(&mut ana, "away");
        update(&mut ben, "away");
        expect_change(&mut wendy, "ben", "away");
        assert_silence_about(&mut wendy, "ana", "no longer watched");
    }
}

#[test]
fn a_watch_needs_somebody_and_its_room_needs_membership() {
    let server = server(3, GRACE);
    let mut ben = server.member("ben", "desk");
    ben.fail("presence:watch", json!({"roomId": "lobby"}), "ROOM_ACCESS_DENIED");
    ben.fail("presence:watch", json!({}), "INVALID_PAYLOAD");
    ben.fail("presence:watch", json!({"userIds": "ana"}), "INVALID_PAYLOAD");
    let mut ana = server.member("ana", "desk");
    ben.call("presence:watch", json!({"roomId": "desk"}));
    ben.call("presence:unwatch", json!({"roomId": "desk"}));
    update(&mut ana, "away");
    assert_silence_about(&mut ben, "ana", "the room is no longer watched");
}

#[test]
fn watching_an_accounts_room_watches_its_users() {
    for shards in [1, 3] {
        let server = server(shards, GRACE);
        let mut wendy = colleague(&server, "wendy");
        let account = wendy.call("room:list", json!({}));
        let rooms = sorted_column(&account, "rooms", "roomId");
        let room = rooms.iter().find(|room| room.starts_with("account:")).expect("colleagues have one");
        let mut ben = colleague(&server, "ben");
        let watched = wendy.call("presence:watch", json!({"roomId": room}));
        assert_eq!(entry(&watched, "users", "userId", "ben")["status"], "online", "{watched}");
        update(&mut ben, "busy");
        expect_change(&mut wendy, "ben", "busy");
        wendy.call("presence:unwatch", json!({"roomId": room}));
        update(&mut ben, "away");
        assert_silence_about(&mut wendy, "ben", "no longer watched");
    }
}

#[test]
fn everybody_visible_is_listed_in_pages() {
    for shards in [1, 3] {
        let server = server(shards, GRACE);
        let names = ["ana", "ben", "cid", "dan", "eli"];
        let mut colleagues = names.map(|name| colleague(&server, name));
        update(&mut colleagues[1], "away");
        update(&mut colleagues[2], "offline");
        let mut wendy = colleague(&server, "wendy");
        let mut request = json!({"limit": 2});
        let mut listed = Vec::new();
        loop {
            let page = wendy.call("presence:online-users", request.clone());
            assert!(column(&page, "users", "userId").len() <= 2, "{page}");
            listed.extend(page["users"].as_array().cloned().unwrap_or_default());
            match page.get("next").filter(|next| !next.is_null()) {
                Some(next) => request["cursor"] = next.clone(),
                None => {
                    assert_eq!(page["total"], listed.len(), "{page}");
                    break;
                }
            }
            assert!(listed.len() <= names.len() + 1, "the cursor does not advance");
        }
        let listed = json!({"users": listed});
        let mut users = sorted_column(&listed, "users", "userId");
        users.retain(|user| user != "wendy");
        assert_eq!(users, ["ana", "ben", "dan", "eli"], "cid looks offline");
        assert_eq!(entry(&listed, "users", "userId", "ben")["status"], "away");
        assert_eq!(entry(&listed, "users", "userId", "ana")["status"], "online");
    }
}

#[test]
fn statistics_count_the_visible_users_by_status() {
    let server = server(3, GRACE);
    let mut colleagues = ["ana", "ben", "cid", "ben"].map(|name| colleague(&server, name));
    expect_devices(&mut colleagues[0], "ben", |devices| devices == 2);
    let _stranger = server.employee("eve");
    update(&mut colleagues[1], "away");
    update(&mut colleagues[2], "busy");
    let stats = colleagues[0].call("presence:stats", json!({}));
    assert_eq!([&stats["online"], &stats["away"], &stats["busy"]], [1, 1, 1], "{stats}");
    assert_eq!([&stats["users"], &stats["devices"]], [3, 4], "{stats}");
    assert_eq!(stats["offline"], 0, "{stats}");
}

#[test]
fn whoever_appears_offline_is_offline_to_others_and_available_when_back() {
    for shards in [1, 3] {
        let server = server(shards, GRACE);
        let mut wendy = watcher(&server, "wendy");
        let mut ana = colleague(&server, "ana");
        expect_change(&mut wendy, "ana", "online");
        assert_eq!(status_of(&mut wendy, "ana")["availability"], "available");
        update(&mut ana, "offline");
        expect_change(&mut wendy, "ana", "offline");
        let status = status_of(&mut wendy, "ana");
        assert_eq!([&status["status"], &status["availability"]], ["offline", "unavailable"], "{status}");
        ana.close();
        assert_silence_about(&mut wendy, "ana", "offline already");
        let _ana = colleague(&server, "ana");
        expect_change(&mut wendy, "ana", "online");
    }
}

#[test]
fn an_update_is_checked_and_limited_for_the_user() {
    let server = Server::builder().shards(3).with(&["--limit-presence", "2/1h"]).start();
    let mut devices = [(); 3].map(|()| colleague(&server, "ana"));
    for data in [json!({}), json!({"status": "asleep"}), json!({"status": 1})] {
        let error = colleague(&server, "ben").fail("presence:update-status", data, "INVALID_PAYLOAD");
        assert_eq!(error["details"]["field"], "status", "{error}");
    }
    update(&mut devices[0], "away");
    update(&mut devices[1], "busy");
    let error = devices[2].fail("presence:update-status", json!({"status": "away"}), "RATE_LIMITED");
    assert!(error["details"]["retryAfterMs"].as_u64().is_some_and(|wait| wait > 0), "{error}");
    assert_eq!(status_of(&mut devices[2], "ana")["status"], "busy");
}

#[test]
fn who_enters_a_room_sees_those_whom_it_watches_there() {
    for shards in [1, 3] {
        let server = server(shards, "100ms");
        let mut ben = server.member("ben", "desk");
        update(&mut ben, "busy");
        let mut ana = server.employee("ana");
        let watched = ana.call("presence:watch", json!({"userIds": ["ben"]}));
        assert_eq!(watched["users"][0]["status"], "offline", "nothing is shared: {watched}");
        ana.join("desk");
        expect_change(&mut ana, "ben", "busy");
        ben.join("hall");
        ana.join("hall");
        ana.assert_no("presence:changed", "he was in sight");
    }
}
