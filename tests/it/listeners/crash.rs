//! What outlives the process: events that a webhook has not got yet, and dead letters.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::Api;
use crate::support::backend::{Backend, Does, Request};
use crate::support::{Server, TemporaryFile, eventually};

/// A folder for a store, removed with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("roomcast-test-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(Path::new(&self.0));
    }
}

/// A gateway whose listener posts to a backend, which keeps what it is yet to post.
struct Setting {
    folder: Folder,
    config: TemporaryFile,
    api: Api,
    backend: Backend,
    is_up: Arc<AtomicBool>,
}

impl Setting {
    fn new(name: &str, more: &str) -> Self {
        let is_up = Arc::new(AtomicBool::new(false));
        let up = Arc::clone(&is_up);
        let backend = Backend::with(move |_| match up.load(Ordering::SeqCst) {
            true => Does::say(json!({})),
            false => Does::Answers(503, "{}".to_owned()),
        });
        let listener = format!(
            "[[listeners]]\nname = \"Hook\"\non = \"order.*\"\nsink = \"webhook\"\nurl = \"{}\"\nbackoff = \"20ms\"\n\
             backoff-max = \"50ms\"\nbatch-events = 10\n{more}\n",
            backend.url()
        );
        let config = TemporaryFile::with(&format!("crash-{name}.toml"), &listener);
        Self {
            folder: Folder::new(&format!("crash-{name}")),
            config,
            api: Api::new(&format!("crash-{name}")),
            backend,
            is_up,
        }
    }

    fn start(&self) -> Server {
        let arguments = ["--config", self.config.path(), "--store", self.folder.path()];
        Server::builder().shards(1).with(&arguments).with(&self.api.arguments()).start()
    }

    fn post(&self, server: &Server, id: &str) {
        let body = json!({"id": id, "name": "order.paid", "data": {"order": id}});
        assert_eq!(self.api.post(server, "/v1/events", &body).status, 202, "{id}");
    }

    fn dead_letters(&self, server: &Server) -> Vec<Value> {
        let response = self.api.ask(server, "GET", "/v1/dead-letters", "");
        let answer: Value = serde_json::from_str(&response.body).expect("JSON");
        answer["deadLetters"].as_array().expect("a list").clone()
    }
}

fn ids(request: &Request) -> Vec<String> {
    let events = request.body["events"].as_array().expect("events");
    events.iter().map(|event| event["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn every_event_that_was_taken_arrives_after_a_kill() {
    let setting = Setting::new("kill", "max-attempts = 100000");
    for round in 0..3 {
        let server = setting.start();
        for n in 0..20 {
            setting.post(&server, &format!("{round}-{n}"));
        }
        // The process ends without a word, in the midst of its attempts.
        drop(server);
    }
    let tried = setting.backend.count();
    setting.is_up.store(true, Ordering::SeqCst);
    let mut server = setting.start();
    let (mut arrived, mut order, mut at) = (HashSet::new(), Vec::new(), tried);
    while arrived.len() < 60 {
        for id in ids(&setting.backend.request(at)) {
            if arrived.insert(id.clone()) {
                order.push(id);
            }
        }
        at += 1;
    }
    let expected: Vec<String> =
        (0..3).flat_map(|round| (0..20).map(move |n| format!("{round}-{n}"))).collect();
    assert_eq!(order, expected, "all of them, in the order in which they were taken");
    eventually("nothing waits any more", || {
        (super::series(&server, r#"listener_queue_events{listener="Hook"}"#) == 0.0).then_some(())
    });
    server.terminate();
    assert!(server.wait_for_exit().success());
    let delivered = setting.backend.count();
    let server = setting.start();
    setting.post(&server, "last");
    assert_eq!(ids(&setting.backend.request(delivered)), ["last"], "what was delivered is not kept");
}

#[test]
fn dead_letters_outlive_the_process_and_have_another_try() {
    let setting = Setting::new("dead", "max-attempts = 2");
    let server = setting.start();
    setting.post(&server, "a");
    setting.post(&server, "b");
    eventually("both are dead letters", || (setting.dead_letters(&server).len() == 2).then_some(()));
    drop(server);
    let server = setting.start();
    let letters = setting.dead_letters(&server);
    assert_eq!((&letters[0]["event"]["id"], &letters[0]["listener"]), (&json!("a"), &json!("Hook")));
    assert!(letters[0]["reason"].as_str().expect("a text").starts_with("503"), "{letters:?}");
    setting.is_up.store(true, Ordering::SeqCst);
    let tried = setting.backend.count();
    let path = format!("/v1/dead-letters/{}/retry", letters[0]["number"]);
    assert_eq!(setting.api.ask(&server, "POST", &path, "").status, 200);
    assert_eq!(ids(&setting.backend.request(tried)), ["a"]);
    eventually("one is left", || {
        let left = setting.dead_letters(&server);
        (left.len() == 1 && left[0]["event"]["id"] == "b").then_some(())
    });
    assert_eq!(setting.api.ask(&server, "POST", &path, "").status, 404, "it is none any more");
}
