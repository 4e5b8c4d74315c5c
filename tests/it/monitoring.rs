//! `monitoring:*`: the gateway's numbers, events and health for whoever may read them (protocol §5, §9).

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::support::reply::{entry, keys, list};
use crate::support::{Client, Server, Token, eventually, http};

const EVENTS: [&str; 4] =
    ["monitoring:metrics", "monitoring:events", "monitoring:stats", "monitoring:health"];

fn reader(server: &Server) -> Client {
    server.open(&Token::employee("mona").permissions(&["monitoring:read"]))
}

/// What was noted of a user's connections, oldest first.
fn events_of(client: &mut Client, user: &str) -> Vec<Value> {
    let events = client.call("monitoring:events", json!({}));
    list(&events, "events").iter().filter(|event| event["userId"] == user).cloned().collect()
}

#[test]
fn reading_needs_the_permission_or_a_supervisor() {
    let server = Server::builder().shards(3).start();
    let mut refused = [Token::employee("ana"), Token::guest("gil")].map(|token| server.open(&token));
    let guest = Token::guest("gus").permissions(&["monitoring:read"]);
    let mut allowed = [reader(&server), server.open(&Token::supervisor("sue")), server.open(&guest)];
    for event in EVENTS {
        for client in &mut refused {
            client.fail(event, json!({}), "PERMISSION_DENIED");
        }
        for client in &mut allowed {
            let reply = client.request(event, &json!({}));
            assert_eq!(reply.name, event, "{}", reply.raw);
        }
    }
}

#[test]
fn the_metrics_are_those_of_the_exposition() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.member(name, "lobby"));
        for n in 0..10 {
            ana.say("lobby", n);
            ben.expect_message("lobby");
        }
        let mut mona = reader(&server);
        let delivered = |metrics: &Value| {
            let metrics = metrics["metrics"].as_object().expect("an object");
            let mine = metrics.iter().filter(|(name, _)| name.starts_with("roomcast_deliveries"));
            mine.filter_map(|(_, value)| value.as_f64()).sum::<f64>()
        };
        let metrics = eventually("the deliveries are counted", || {
            let metrics = mona.call("monitoring:metrics", json!({}));
            (delivered(&metrics) >= 20.0).then_some(metrics)
        });
        let exposition = http::get(server.address, "/metrics").body;
        let lines = exposition.lines().filter(|line| !line.starts_with('#'));
        let series: HashSet<&str> =
            lines.filter_map(|line| line.rsplit_once(' ')).map(|(name, _)| name).collect();
        for (name, value) in metrics["metrics"].as_object().expect("an object") {
            assert!(value.is_number(), "{name} is {value}");
            assert!(series.contains(name.as_str()), "{name} is not in /metrics");
        }
    }
}

#[test]
fn connections_are_noted_as_they_come_and_go() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let mut mona = reader(&server);
        let agent = "story-client/1.0";
        let ana = server.connect().token(&Token::employee("ana")).header("User-Agent", agent).open();
        let come = eventually("her connection is noted", || {
            let events = events_of(&mut mona, "ana");
            (!events.is_empty()).then_some(events)
        });
        for event in &come {
            for key in ["timestamp", "type", "ip"] {
                assert!(event[key].is_string(), "{key} in {event}");
            }
        }
        assert!(
            come.iter().any(|event| event["userAgent"] == agent && event["ip"] == "127.0.0.1"),
            "{come:?}"
        );
        assert!(come.iter().any(|event| event["sessionId"].is_string()), "{come:?}");
        ana.close();
        let gone = eventually("its end is noted", || {
            let events = events_of(&mut mona, "ana");
            (events.len() > come.len()).then_some(events)
        });
        assert!(gone.starts_with(&come), "the newest is the last: {gone:?}");
        assert_ne!(gone.last().map(|event| &event["type"]), gone.first().map(|event| &event["type"]));
    }
}

#[test]
fn a_refused_token_is_noted_and_never_shown() {
    let server = Server::builder().shards(3).start();
    let mut mona = reader(&server);
    let token = Token::employee("ana").mint_with("another-secret-of-at-least-32-bytes-");
    let mut refused = server.connect().query("token", &token).open();
    refused.expect_event("error").assert_error("AUTH_FAILED");
    let events = eventually("the refusal is noted", || {
        let events = mona.call("monitoring:events", json!({}));
        let refusal = |event: &Value| event["code"] == "AUTH_FAILED" || event["code"] == 4401;
        list(&events, "events").iter().any(refusal).then(|| events.clone())
    });
    let signature = token.rsplit('.').next().expect("a JWT has parts");
    assert!(!events.to_string().contains(signature), "a token in the events");
}

#[test]
fn a_limit_gives_the_newest_events_only() {
    let server = Server::builder().shards(3).start();
    let mut mona = reader(&server);
    for n in 0..5 {
        server.employee(&format!("user{n}")).ping();
    }
    let all = eventually("all have gone", || {
        let events = mona.call("monitoring:events", json!({}));
        let gone = list(&events, "events").iter().filter(|event| event["reason"].is_string()).count();
        (gone == 5).then_some(events)
    });
    let limited = mona.call("monitoring:events", json!({"limit": 3}));
    let [all, limited] = [&all, &limited].map(|events| list(events, "events"));
    let times =
        |events: &[Value]| events.iter().map(|event| event["timestamp"].to_string()).collect::<Vec<_>>();
    assert!(times(all).is_sorted(), "the newest is the last: {all:?}");
    // Which of two comes first that shards noted within one millisecond is nobody's promise.
    assert!(times(all).ends_with(&times(limited)), "{limited:?} in {all:?}");
    assert!(limited.len() == 3 && limited.iter().all(|event| all.contains(event)), "{limited:?} in {all:?}");
    mona.fail("monitoring:events", json!({"limit": "all"}), "INVALID_PAYLOAD");
}

#[test]
fn statistics_and_health_describe_the_process() {
    for shards in [1, 3] {
        let server = Server::builder().shards(shards).start();
        let mut mona = reader(&server);
        let stats = mona.call("monitoring:stats", json!({}));
        for name in ["connections", "authenticated", "users", "rooms", "subscriptions", "bytesReceived"] {
            assert!(stats[name].as_u64() > Some(0), "{name} in {stats}");
        }
        assert_eq!(stats["shards"], shards, "{stats}");
        assert!(stats["uptimeMs"].is_u64(), "{stats}");
        let health = mona.call("monitoring:health", json!({}));
        let status = health["status"].as_str().unwrap_or_default();
        assert!(["ok", "degraded"].contains(&status), "{health}");
        assert!(!list(&health, "checks").is_empty(), "{health}");
        for check in list(&health, "checks") {
            assert_eq!(keys(check), ["flag", "limit", "name", "ratio", "value"], "{check}");
        }
        assert_eq!(list(&health, "recommendations").is_empty(), status == "ok", "{health}");
    }
}

#[test]
fn health_says_which_limit_is_near_and_which_flag_moves_it() {
    let server = Server::builder().shards(3).with(&["--max-connections", "10"]).start();
    let mut mona = reader(&server);
    let others: Vec<Client> = (1..9).map(|n| server.employee(&format!("user{n}"))).collect();
    let health = mona.call("monitoring:health", json!({}));
    assert_eq!(health["status"], "degraded", "{health}");
    let check = entry(&health, "checks", "name", "connections");
    let expected =
        json!({"name": "connections", "value": 9, "limit": 10, "ratio": 0.9, "flag": "--max-connections"});
    assert_eq!(*check, expected);
    let advice = list(&health, "recommendations").iter().filter_map(Value::as_str);
    assert!(advice.clone().any(|advice| advice.contains("--max-connections")), "{health}");
    others.into_iter().for_each(Client::close);
    eventually("there is room again", || {
        let health = mona.call("monitoring:health", json!({}));
        (entry(&health, "checks", "name", "connections")["value"] == 1).then_some(())
    });
}

#[test]
fn of_a_flood_each_inquiry_is_answered_and_nobody_else_waits() {
    let server = Server::builder().shards(2).start();
    let (mut ana, mut mona) = (server.member("ana", "lobby"), reader(&server));
    let asked: Vec<String> = (0..2_000).map(|_| mona.post("monitoring:stats", &json!({}))).collect();
    ana.say("lobby", "meanwhile");
    ana.expect_message("lobby");
    let refused = asked.iter().filter(|id| {
        let reply = mona.reply(id);
        if reply.name == "monitoring:stats" {
            return false;
        }
        reply.assert_error("SERVER_ERROR");
        assert_eq!(reply.value["data"]["details"]["component"], "control", "{}", reply.raw);
        true
    });
    let refused = refused.count() as u64;
    let overflows = |metrics: &Value| {
        let metrics = metrics["metrics"].as_object().expect("an object");
        let mine = metrics.iter().filter(|(name, _)| name.starts_with("roomcast_control_overflows_total"));
        mine.filter_map(|(_, value)| value.as_u64()).sum::<u64>()
    };
    assert_eq!(overflows(&mona.call("monitoring:metrics", json!({}))), refused);
    assert!(refused < 2_000, "some are answered");
}
