//! A backend that fails is left alone, and tried with care before it is trusted again.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{ended, reason, series, server};
use crate::support::backend::{Backend, Does};
use crate::support::{Server, eventually};

fn state(server: &Server) -> f64 {
    series(server, "backend_breaker_state{route=\"shop\"}")
}

#[test]
fn a_breaker_opens_probes_and_closes() {
    let backend = Backend::that(Does::Answers(500, String::new()));
    let server = server(&backend, "'*'", "breaker-failures = 3\nbreaker-open = '1s'");
    let mut ana = server.employee("ana");
    for _ in 0..3 {
        assert_eq!(state(&server), 0.0);
        assert_eq!(reason(&ana.fail("order:create", json!({}), "SERVER_ERROR")), "status");
    }
    assert_eq!(state(&server), 2.0);
    let opened = Instant::now();
    for _ in 0..5 {
        let began = Instant::now();
        assert_eq!(reason(&ana.fail("order:create", json!({}), "SERVER_ERROR")), "breaker_open");
        assert!(began.elapsed() < Duration::from_secs(1));
    }
    assert_eq!(backend.count(), 3, "it is left alone");
    assert_eq!(ended(&server, "breaker_open"), 5.0);

    // The first probe fails, and it is open for as long again.
    eventually("a probe is made", || {
        let error = ana.fail("order:create", json!({}), "SERVER_ERROR");
        (reason(&error) == "status").then_some(())
    });
    assert!(opened.elapsed() >= Duration::from_millis(900), "{:?}", opened.elapsed());
    assert_eq!((backend.count(), state(&server)), (4, 2.0));

    backend.becomes(Does::say(json!({"well": "again"})));
    eventually("the next one succeeds", || {
        let reply = ana.request("order:create", &json!({}));
        (!reply.is_error()).then_some(())
    });
    assert_eq!((backend.count(), state(&server)), (5, 0.0));
    for _ in 0..5 {
        ana.call("order:create", json!({}));
    }
}

#[test]
fn a_half_open_breaker_lets_one_probe_through() {
    let backend = Backend::that(Does::Resets);
    let lines = "breaker-failures = 1\nbreaker-open = '200ms'\ntimeout = '2s'";
    let server = server(&backend, "'*'", lines);
    let mut ana = server.employee("ana");
    assert_eq!(reason(&ana.fail("order:create", json!({}), "SERVER_ERROR")), "connection");
    backend.becomes(Does::AnswersAfter(Duration::from_secs(1), "{}".to_owned()));
    eventually("it is half-open", || (state(&server) == 1.0).then_some(()));
    let ids: Vec<String> = (0..10).map(|number| ana.post("order:create", &json!({"n": number}))).collect();
    let answered = ids.iter().map(|id| ana.reply(id)).filter(|reply| !reply.is_error()).count();
    assert_eq!((answered, backend.count()), (1, 2));
    assert_eq!(state(&server), 0.0);
}
