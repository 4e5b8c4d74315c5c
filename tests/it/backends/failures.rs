//! Backends that fail, each in its own way: the client is told within the route's time, and which way it was.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{configured, echo, ended, reason, series, server};
use crate::support::backend::{Backend, Does};
use crate::support::{Client, eventually};

/// The route's time, and how much later a client on a busy machine may hear of it.
const TIME: Duration = Duration::from_millis(500);
const LATE: Duration = Duration::from_millis(1500);

/// The error that an order ends with, and how long that took.
fn order_fails(client: &mut Client) -> (Value, Duration) {
    let began = Instant::now();
    let error = client.fail("order:create", json!({}), "SERVER_ERROR");
    (error, began.elapsed())
}

#[test]
fn every_failure_has_its_reason_and_comes_in_time() {
    let backend = Backend::that(Does::Hangs);
    let lines = "timeout = '500ms'\nmax-response = '4KiB'\nbreaker-failures = 1000";
    let server = server(&backend, "'*'", lines);
    let mut ana = server.employee("ana");
    for (does, expected) in [
        (Does::Hangs, "timeout"),
        (Does::Trickles, "timeout"),
        (Does::AnswersAfter(TIME * 3, "{}".to_owned()), "timeout"),
        (Does::Resets, "connection"),
        (Does::Babbles, "connection"),
        (Does::Floods, "too_large"),
        (Does::say(json!({"a": "x".repeat(5000)})), "too_large"),
        (Does::Answers(500, "{}".to_owned()), "status"),
        (Does::Answers(302, "{}".to_owned()), "status"),
        (Does::Answers(200, "<html>".to_owned()), "malformed"),
        (Does::say(json!([1])), "malformed"),
    ] {
        let before = ended(&server, expected);
        backend.becomes(does.clone());
        let (error, took) = order_fails(&mut ana);
        assert_eq!(reason(&error), expected, "{does:?}");
        assert!(took < TIME + LATE, "{does:?} took {took:?}");
        assert_eq!(ended(&server, expected), before + 1.0, "{does:?}");
    }
    assert_eq!(ended(&server, "answered"), 0.0);
    backend.becomes(Does::say(json!({})));
    ana.call("order:create", json!({}));
}

#[test]
fn a_backend_that_is_not_there_or_never_accepts_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    // Connects, as the kernel accepts, but nobody reads.
    let server = configured(&format!(
        "[[routes]]\nname='shop'\nevents='order:*'\nurl='http://{address}/'\ntimeout='500ms'\n"
    ));
    let mut ana = server.employee("ana");
    let (error, took) = order_fails(&mut ana);
    assert_eq!(reason(&error), "timeout");
    assert!(took >= TIME && took < TIME + LATE, "{took:?}");
    drop(listener);
    let (error, _) = order_fails(&mut ana);
    assert_eq!(reason(&error), "connect");
}

#[test]
fn connections_that_the_backend_closes_are_made_anew() {
    let backend = Backend::that(Does::AnswersAndCloses("{}".to_owned()));
    let server = server(&backend, "'*'", "");
    let mut ana = server.employee("ana");
    for number in 0..20 {
        ana.call("order:create", json!({"n": number}));
        // Its end arrives before the next request is made.
        eventually("the answer is counted", || {
            (ended(&server, "answered") > f64::from(number)).then_some(())
        });
    }
    assert_eq!(backend.count(), 20);
}

#[test]
fn retries_are_made_where_they_do_no_harm_and_within_the_time() {
    let backend = Backend::that(Does::Answers(503, String::new()));
    let safe = server(&backend, "'*'", "idempotent = true\nretries = 2\nbreaker-failures = 1000");
    let mut ana = safe.employee("ana");
    let (error, _) = order_fails(&mut ana);
    assert_eq!((reason(&error), backend.count()), ("status", 3));
    let ids: Vec<Value> = (0..3).map(|number| backend.request(number).body["requestId"].clone()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "the same request each time: {ids:?}");
    assert_eq!(series(&safe, "backend_retries_total{route=\"shop\"}"), 2.0);
    for (does, calls) in [
        (Does::Answers(500, String::new()), 1),
        (Does::Answers(429, String::new()), 1),
        (Does::AnswersWith(429, "Retry-After: 0\r\n", String::new()), 3),
        (Does::AnswersWith(503, "Retry-After: 60\r\n", String::new()), 1),
        (Does::Answers(400, String::new()), 1),
        (Does::Resets, 1),
    ] {
        let before = backend.count();
        backend.becomes(does.clone());
        let reply = ana.request("order:create", &json!({}));
        assert!(reply.is_error(), "{}", reply.raw);
        assert_eq!(backend.count() - before, calls, "{does:?}");
    }
    backend.becomes(Does::Answers(503, String::new()));
    let before = backend.count();
    let unsafe_ = server(&backend, "'*'", "");
    order_fails(&mut unsafe_.employee("ben"));
    assert_eq!(backend.count() - before, 1);
}

#[test]
fn a_retry_that_succeeds_is_the_answer() {
    let calls = std::sync::atomic::AtomicUsize::new(0);
    let backend = Backend::with(move |_| match calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 => Does::Answers(502, String::new()),
        _ => Does::say(json!({"ok": true})),
    });
    let server = server(&backend, "'*'", "idempotent = true");
    assert_eq!(server.employee("ana").call("order:create", json!({})), json!({"ok": true}));
}

#[test]
fn a_backend_works_on_so_many_at_once_others_wait_and_the_rest_is_told() {
    let backend = Backend::that(Does::AnswersAfter(Duration::from_millis(300), "{}".to_owned()));
    let server = server(&backend, "'*'", "concurrency = 2\nqueue = 3");
    let mut ana = server.employee("ana");
    let ids: Vec<String> = (0..8).map(|number| ana.post("order:create", &json!({"n": number}))).collect();
    let replies: Vec<_> = ids.iter().map(|id| ana.reply(id)).collect();
    let refused: Vec<_> = replies.iter().filter(|reply| reply.is_error()).collect();
    assert_eq!(refused.len(), 3, "two are worked on, three wait");
    for reply in refused {
        assert_eq!(reason(reply.data()), "queue_full");
    }
    assert_eq!((backend.count(), backend.most_running()), (5, 2));
    assert_eq!(series(&server, "backend_queue_depth{route=\"shop\"}"), 0.0);
}

#[test]
fn tables_that_make_no_sense_are_refused_before_anything_starts() {
    let backend = echo();
    for (line, expected) in [
        ("timout = '1s'", "did you mean \"timeout\"?"),
        ("secret-file = '/nowhere'", "routes.shop.secret-file: cannot read /nowhere"),
        ("url = 'x'", "duplicate key"),
    ] {
        let route = format!("[[routes]]\nname='shop'\nevents='*'\nurl='{}'\n{line}", backend.url());
        let file = crate::support::TemporaryFile::with("bad-route.toml", &route);
        let end = crate::support::ProcessEnd::of(&["serve", "--auth", "off", "--config", file.path()]);
        assert_eq!(end.code, Some(64), "{}", end.stderr);
        assert!(end.stderr.contains(expected), "{} has no {expected}", end.stderr);
    }
}
