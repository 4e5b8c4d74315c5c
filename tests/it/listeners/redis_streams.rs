//! Streams of a Redis: events come from one, and go into others, while it is there and after it was away.

use std::collections::BTreeSet;

use serde_json::json;

use super::{Desk, config, emit, series};
use crate::support::{Redis, Server, eventually};

fn into_stream(redis: &Redis) -> String {
    format!(
        "[[listeners]]\nname = \"Report\"\non = \"report.*\"\nsink = \"redis-stream\"\nurl = \"{}\"\n\
         stream = \"reports:{{data.account}}\"\nbackoff = \"20ms\"\nbackoff-max = \"100ms\"\nmax-attempts = 10000\n\
         timeout = \"1s\"\nmax-length = 1000\n",
        redis.url()
    )
}

/// The numbers in a stream's entries.
fn numbers(redis: &Redis, stream: &str) -> BTreeSet<u64> {
    let text = redis.command(&["XRANGE", stream, "-", "+"]);
    let number = |line: &str| line.strip_prefix("{\"account\":1,\"n\":")?.strip_suffix('}')?.parse().ok();
    text.lines().filter_map(number).collect()
}

#[test]
fn events_go_through_streams_and_are_acknowledged() {
    let desk = Desk::start_with("streams", into_stream, Server::builder().shards(1));
    for n in 0..200 {
        desk.emit("report.made", &json!({"account": 1, "n": n}));
    }
    eventually("all are in the stream", || (numbers(&desk.redis, "reports:1").len() == 200).then_some(()));
    eventually("all are acknowledged", || {
        desk.redis.command(&["XPENDING", "events", "roomcast"]).starts_with('0').then_some(())
    });
    let entry = desk.redis.command(&["XRANGE", "reports:1", "-", "+", "COUNT", "1"]);
    assert!(entry.contains("report.made") && entry.contains("timestamp"), "{entry}");
}

#[test]
fn what_is_no_event_is_counted_and_does_not_stop_others() {
    let desk = Desk::start_with("unreadable", into_stream, Server::builder().shards(1));
    desk.redis.command(&["XADD", "events", "*", "what", "is this"]);
    desk.redis.command(&["XADD", "events", "*", "name", "report.made", "data", "[1,"]);
    desk.redis.command(&["XADD", "events", "*", "name", "gateway.connected", "data", "{}"]);
    desk.emit("report.made", &json!({"account": 1, "n": 1}));
    eventually("the good one is through", || (numbers(&desk.redis, "reports:1").len() == 1).then_some(()));
    assert_eq!(series(&desk.server, r#"domain_events_total{outcome="unreadable"}"#), 3.0);
    assert_eq!(series(&desk.server, r#"domain_events_total{outcome="taken"}"#), 1.0);
}

#[test]
fn what_another_consumer_left_is_taken_over() {
    let redis = Redis::start();
    redis.command(&["XGROUP", "CREATE", "events", "roomcast", "0", "MKSTREAM"]);
    for n in 0..5 {
        emit(&redis, "report.made", &json!({"account": 1, "n": n}));
    }
    redis.command(&["XREADGROUP", "GROUP", "roomcast", "dead", "STREAMS", "events", ">"]);
    let listeners = into_stream(&redis);
    let file = config("claims", &redis, &listeners);
    let text = std::fs::read_to_string(file.path()).expect("readable");
    let text = text.replace("consumer = \"one\"", "consumer = \"one\"\nclaim-after = \"200ms\"");
    std::fs::write(file.path(), text).expect("writable");
    let _server = Server::builder().shards(1).with(&["--config", file.path()]).start();
    eventually("all are taken over", || (numbers(&redis, "reports:1").len() == 5).then_some(()));
    eventually("and acknowledged", || {
        redis.command(&["XPENDING", "events", "roomcast"]).starts_with('0').then_some(())
    });
}

#[test]
fn a_redis_that_stops_answering_and_one_that_dies_come_back() {
    let source = Redis::start();
    let mut sink = Redis::start();
    let file = config("restart", &source, &into_stream(&sink));
    let server = Server::builder().shards(1).with(&["--config", file.path()]).start();
    emit(&source, "report.made", &json!({"account": 1, "n": 0}));
    eventually("the first is through", || (numbers(&sink, "reports:1").len() == 1).then_some(()));
    sink.kill();
    for n in 1..20 {
        emit(&source, "report.made", &json!({"account": 1, "n": n}));
    }
    eventually("it is missed", || {
        (series(&server, r#"listener_retries_total{listener="Report"}"#) >= 2.0).then_some(())
    });
    sink.restart();
    let expected: BTreeSet<u64> = (1..20).collect();
    eventually("what waited is through", || (numbers(&sink, "reports:1") == expected).then_some(()));
    sink.pause();
    emit(&source, "report.made", &json!({"account": 1, "n": 20}));
    let retries = series(&server, r#"listener_retries_total{listener="Report"}"#);
    eventually("it does not answer", || {
        (series(&server, r#"listener_retries_total{listener="Report"}"#) > retries).then_some(())
    });
    sink.resume();
    eventually("the last is through", || numbers(&sink, "reports:1").contains(&20).then_some(()));
}

#[test]
fn a_source_that_is_restarted_is_read_again() {
    let redis = Redis::start();
    let mut source = Redis::start();
    let file = config("source", &source, &into_stream(&redis));
    let _server = Server::builder().shards(1).with(&["--config", file.path()]).start();
    emit(&source, "report.made", &json!({"account": 1, "n": 0}));
    eventually("the first is through", || (numbers(&redis, "reports:1").len() == 1).then_some(()));
    source.restart();
    emit(&source, "report.made", &json!({"account": 1, "n": 1}));
    eventually("one after the restart is through", || {
        (numbers(&redis, "reports:1").len() == 2).then_some(())
    });
}
