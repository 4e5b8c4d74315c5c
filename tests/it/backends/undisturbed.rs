//! While a backend hangs, nothing else in the gateway does.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{configured, series};
use crate::support::backend::{Backend, Does};

const MESSAGES: u32 = 200;

#[test]
fn other_clients_and_other_backends_notice_nothing_of_one_that_hangs() {
    let (hung, fine) = (Backend::that(Does::Hangs), Backend::that(Does::say(json!({}))));
    let server = configured(&format!(
        "[[routes]]\nname='hung'\nevents='order:*'\nurl='{}'\ntimeout='30s'\nconcurrency=4\n\
         [[routes]]\nname='fine'\nevents='file:upload'\nurl='{}'\n",
        hung.url(),
        fine.url()
    ));
    let [mut ana, mut ben] = ["ana", "ben"].map(|name| server.member(name, "lobby"));
    let mut traffic = |what: &str| {
        let began = Instant::now();
        for number in 0..MESSAGES {
            ana.say("lobby", format!("{what} {number}"));
            assert_eq!(ben.expect_message("lobby").data()["content"], format!("{what} {number}"));
            ana.expect_message("lobby");
        }
        ana.call("file:upload", json!({}));
        ben.call("file:upload", json!({}));
        began.elapsed()
    };
    let before = traffic("before");
    let mut crowd: Vec<_> = (0..8).map(|number| server.employee(&format!("user{number}"))).collect();
    for client in &mut crowd {
        for number in 0..20 {
            client.post("order:create", &json!({"n": number}));
        }
    }
    hung.request(3);
    let during = traffic("during");
    // The machine is not ours alone; what must not happen is that anybody waits for the backend, whose time is 30 s.
    assert!(during < before * 4 + Duration::from_secs(2), "{before:?} before, {during:?} during");
    assert_eq!(series(&server, "backend_requests_running{route=\"hung\"}"), 4.0);
    assert_eq!(series(&server, "backend_queue_depth{route=\"hung\"}"), 156.0);
    crowd[0].ping();
}
