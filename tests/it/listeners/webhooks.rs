//! Webhooks as listeners: signed, in batches, in order for each key, again until they arrive or are given up.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Desk, config, emit, series};
use crate::support::backend::{Backend, Does, Request};
use crate::support::{Redis, Server, TemporaryFile, eventually};

/// A listener that posts what happens in conversations.
fn hook(backend: &Backend, more: &str) -> String {
    format!(
        "[[listeners]]\nname = \"Hook\"\non = \"conversation.*\"\nsink = \"webhook\"\nurl = \"{}\"\n\
         key = \"{{data.id}}\"\nbackoff = \"20ms\"\nbackoff-max = \"100ms\"\ntimeout = \"500ms\"\n{more}\n",
        backend.url()
    )
}

fn numbers(request: &Request) -> Vec<u64> {
    let events = request.body["events"].as_array().expect("events");
    events.iter().map(|event| event["data"]["n"].as_u64().expect("a number")).collect()
}

fn emit_numbers(desk: &Desk, numbers: impl Iterator<Item = u64>) {
    for n in numbers {
        desk.emit("conversation.updated", &json!({"id": 1, "n": n}));
    }
}

/// The numbers of all events of the first requests, until that many different ones have come.
fn all_numbers(backend: &Backend, count: usize) -> Vec<u64> {
    let (mut all, mut at) = (Vec::new(), 0);
    while all.iter().collect::<HashSet<_>>().len() < count {
        all.extend(numbers(&backend.request(at)));
        at += 1;
    }
    all
}

fn metric(server: &Server, outcome: &str) -> f64 {
    series(server, &format!(r#"listener_events_total{{listener="Hook",outcome="{outcome}"}}"#))
}

#[test]
fn a_webhook_gets_signed_events_with_what_it_knows_them_by() {
    let backend = Backend::that(Does::say(json!({})));
    let secret = TemporaryFile::with("listeners-secret", "hush\n");
    let desk = Desk::start("signed", &hook(&backend, &format!("secret-file = \"{}\"", secret.path())));
    let id = desk.emit("conversation.created", &json!({"id": 1, "n": 7}));
    let request = backend.request(0);
    let event = &request.body["events"][0];
    assert_eq!((&event["id"], &event["name"]), (&json!(id), &json!("conversation.created")));
    assert_eq!((&event["data"]["n"], &request.body["listener"]), (&json!(7), &json!("Hook")));
    request.verify("hush");
}

#[test]
fn what_fails_comes_again_in_order_and_once() {
    let mut failures = [
        Does::Answers(500, "{}".to_owned()),
        Does::Resets,
        Does::Hangs,
        Does::Answers(429, "{}".to_owned()),
        Does::Babbles,
    ]
    .into_iter();
    let failures = std::sync::Mutex::new(move || failures.next());
    let backend = Backend::with(move |_| {
        let next = (failures.lock().expect("not poisoned"))();
        next.unwrap_or_else(|| Does::say(json!({})))
    });
    let desk = Desk::start("again", &hook(&backend, "batch-events = 2"));
    emit_numbers(&desk, 0..10);
    eventually("all are delivered", || (metric(&desk.server, "delivered") == 10.0).then_some(()));
    let mut delivered = all_numbers(&backend, 10);
    delivered.dedup();
    let in_order: Vec<u64> = delivered.iter().copied().filter(|n| *n >= 2).collect();
    assert!(in_order.windows(2).all(|pair| pair[0] < pair[1]), "{delivered:?}");
    assert_eq!(metric(&desk.server, "dead"), 0.0);
}

#[test]
fn a_webhook_that_hangs_delays_nobody_else() {
    let hanging = Backend::that(Does::Hangs);
    let good = Backend::that(Does::say(json!({})));
    let others = format!(
        "timeout = \"10s\"\n[[listeners]]\nname = \"Good\"\non = \"conversation.*\"\nsink = \"webhook\"\nurl = \"{}\"\n\
         [[listeners]]\nname = \"Rooms\"\non = \"conversation.*\"\nsink = \"rooms\"\nrooms = \"lobby\"",
        good.url()
    );
    let listeners = hook(&hanging, "").replace("timeout = \"500ms\"\n", "") + &others;
    let desk = Desk::start("hangs", &listeners);
    let mut ana = desk.server.member("ana", "lobby");
    desk.emit("conversation.updated", &json!({"id": 1, "n": 0}));
    hanging.request(0);
    let began = Instant::now();
    for n in 1..50 {
        desk.emit("conversation.updated", &json!({"id": 1, "n": n}));
        ana.expect_event("conversation.updated");
    }
    all_numbers(&good, 50);
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
}

#[test]
fn what_is_refused_or_never_arrives_is_a_dead_letter() {
    let backend = Backend::with(|request| match &numbers(request)[..] {
        [3] => Does::Answers(422, "{}".to_owned()),
        several if several.contains(&3) => Does::Answers(422, "{}".to_owned()),
        several if several.contains(&5) => Does::Answers(503, "{}".to_owned()),
        _ => Does::say(json!({})),
    });
    let desk = Desk::start("dead", &hook(&backend, "batch-events = 3\nmax-attempts = 3"));
    emit_numbers(&desk, [1, 2, 3, 4].into_iter());
    eventually("three are delivered", || (metric(&desk.server, "delivered") == 3.0).then_some(()));
    emit_numbers(&desk, [5].into_iter());
    eventually("two are dead", || (metric(&desk.server, "dead") == 2.0).then_some(()));
    assert_eq!(series(&desk.server, "dead_letters"), 2.0);
    assert_eq!(metric(&desk.server, "delivered"), 3.0);
}

#[test]
fn a_webhook_that_is_away_gets_everything_when_it_is_back() {
    let place = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = place.local_addr().expect("it is bound");
    drop(place);
    let redis = Redis::start();
    let listener = format!(
        "[[listeners]]\nname = \"Hook\"\non = \"conversation.*\"\nsink = \"webhook\"\nurl = \"http://{address}/\"\n\
         backoff = \"20ms\"\nbackoff-max = \"100ms\"\nmax-attempts = 10000"
    );
    let file = config("away", &redis, &listener);
    let server = Server::builder().shards(1).with(&["--config", file.path()]).start();
    for n in 0..20 {
        emit(&redis, "conversation.updated", &json!({"n": n}));
    }
    eventually("it has been tried", || {
        (series(&server, r#"listener_retries_total{listener="Hook"}"#) >= 3.0).then_some(())
    });
    let backend = Backend::at(address, |_| Does::say(json!({})));
    assert_eq!(all_numbers(&backend, 20), (0..20).collect::<Vec<_>>());
}

#[test]
fn unusable_tables_are_refused_with_their_names() {
    let file = TemporaryFile::with(
        "listeners-bad.toml",
        "[[listeners]]\nname = \"A\"\nsink = \"webhok\"\non = \"a\"",
    );
    let end = crate::support::ProcessEnd::of(&["check", "--config", file.path()]);
    assert_eq!(end.code, Some(64), "{end:?}");
    let said = end.stdout + &end.stderr;
    assert!(said.contains("listeners.A.sink"), "{said}");
}
