//! Drives the gateway with `rust_socketio`; `tests/it/socketio_rust.rs` starts it and compares what it prints.
//!
//! Both users come through proxies of that module. It cuts the second's when told "cut", mends it when told "mend",
//! and replaces the server by another when told "restart"; the clients are never told. The library neither tells the
//! session that it got nor lets one change what CONNECT carries, so recovery by session is not in this story.

mod bytes_sender;
mod peer;

use base64::Engine;
use peer::Peer;
use rust_socketio::TransportType;
use serde_json::{Value, json};

/// Without 0x1E: the library takes it for the separator of polling, on WebSocket too.
const BYTES: &[u8] = b"\x00\x01\xff and \x80";

struct Scenario {
    name: String,
    transport: TransportType,
    room: String,
    urls: [String; 2],
    tokens: [String; 2],
}

fn main() {
    let name = variable("TRANSPORT");
    let transport = match name.as_str() {
        "websocket" => TransportType::Websocket,
        "polling" => TransportType::Polling,
        "upgrade" => TransportType::WebsocketUpgrade,
        "default" => TransportType::Any,
        _ => panic!("no such transport: {name}"),
    };
    let room = format!("story-{name}");
    let urls = ["URL_ANA", "URL_BEN"].map(variable);
    let tokens = ["TOKEN_ANA", "TOKEN_BEN"].map(variable);
    Scenario { name, transport, room, urls, tokens }.run();
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

impl Scenario {
    fn tell(&self, line: &str) {
        println!("{}: {line}", self.name);
    }

    fn run(&self) {
        self.refusals();
        let [mut ana, mut ben] = [0, 1].map(|user| self.connect(user, "/"));
        self.chat(&mut ana, &mut ben);
        self.bytes(&mut ana, &mut ben);
        self.namespaces(&ana, &mut ben);
        self.cut(&ana, &mut ben);
        self.restart(&mut ana, &mut ben);
        ana.disconnect();
        let left = ben.event("room:member-left");
        self.tell(&format!("disconnected, so {} left", text(&left["userId"])));
        ben.disconnect();
    }

    fn connect(&self, user: usize, namespace: &str) -> Peer {
        Peer::connect(&self.urls[user], &self.tokens[user], self.transport.clone(), namespace)
    }

    fn refusals(&self) {
        let refused = Peer::refusal(&self.urls[0], "nonsense", self.transport.clone(), "/");
        assert!(!text(&refused["message"]).is_empty(), "{refused}");
        self.tell(&format!("refused without a good token: {}", text(&refused["data"]["code"])));
        let refused = Peer::refusal(&self.urls[0], &self.tokens[0], self.transport.clone(), "/nowhere");
        self.tell(&format!("refused in another namespace: {}", text(&refused["message"])));
    }

    fn join(&self, peer: &Peer) -> Value {
        peer.call("room:join", json!({"roomId": self.room}))
    }

    fn send(&self, peer: &Peer, content: Value) -> Value {
        let sent = peer.call("message:send", json!({"roomId": self.room, "content": content}));
        assert!(sent["id"].is_string(), "{sent}");
        sent
    }

    fn chat(&self, ana: &mut Peer, ben: &mut Peer) {
        self.tell(&format!("joined at offset {}", self.join(ana)["offset"]));
        self.join(ben);
        let sent = self.send(ana, json!("hello: ü€😀"));
        for peer in [&mut *ana, ben] {
            let message = peer.event("message:received");
            assert!(message["content"] == "hello: ü€😀" && message["senderId"] == "ana", "{message}");
            for key in ["id", "roomId", "epoch", "offset"] {
                assert_eq!(message[key], sent[key], "{key}");
            }
        }
        self.tell(&format!("sent and received at offset {}", sent["offset"]));
        let error = ana.call("message:send", json!({"roomId": "elsewhere", "content": 1}));
        self.tell(&format!("acknowledged with an error: {}", text(&error["code"])));
    }

    fn bytes(&self, ana: &mut Peer, ben: &mut Peer) {
        ana.emit_bytes("message:send", BYTES);
        let error = ana.event("error");
        self.tell(&format!("bytes are no data: {}", text(&error["code"])));
        bytes_sender::send(&self.urls[0], &self.tokens[0], &self.transport, &self.room, BYTES);
        for peer in [ana, &mut *ben] {
            assert_eq!(peer.bytes(), BYTES);
        }
        let history = ben.call("room:history", json!({"roomId": self.room, "limit": 1}));
        let in_text = base64::prelude::BASE64_STANDARD.encode(BYTES);
        assert_eq!(history["messages"][0]["content"], json!([{"_base64": in_text}]));
        self.tell("bytes received and found in the history");
    }

    fn namespaces(&self, ana: &Peer, ben: &mut Peer) {
        let [ana_there, mut ben_there] = [0, 1].map(|user| self.connect(user, "/chat"));
        assert_eq!(self.join(&ana_there)["offset"], 0);
        self.join(&ben_there);
        self.send(ana, json!("here"));
        ben.received("here");
        self.send(&ana_there, json!("there"));
        let message = ben_there.event("message:received");
        assert!(message["content"] == "there" && message["offset"] == 1, "{message}");
        self.tell("the room of that name in /chat is another");
    }

    fn cut(&self, ana: &Peer, ben: &mut Peer) {
        self.tell("cut");
        ben.closed();
        let missed: Vec<Value> = (0..3).map(|number| self.send(ana, json!(number))).collect();
        self.tell("mend");
        ben.connected();
        let before = missed[0]["offset"].as_u64().expect("an offset") - 1;
        let recover = json!({"epoch": missed[0]["epoch"], "offset": before});
        let joined = ben.call("room:join", json!({"roomId": self.room, "recover": recover}));
        let messages = joined["messages"].as_array().expect("messages");
        assert_eq!(joined["recovered"], true, "{joined}");
        assert!(
            messages.iter().map(|message| &message["id"]).eq(missed.iter().map(|sent| &sent["id"])),
            "{joined}"
        );
        self.send(ana, json!("after the cut"));
        ben.received("after the cut");
        self.tell("reconnected by itself, caught up on 3 and chatted on");
    }

    fn restart(&self, ana: &mut Peer, ben: &mut Peer) {
        self.tell("restart");
        for peer in [&mut *ana, ben] {
            peer.closed();
            peer.connected();
            assert_eq!(self.join(peer)["offset"], 0);
        }
        self.send(ana, json!("on another server"));
        ben.received("on another server");
        self.tell("reconnected by itself to another server and chatted on");
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}
