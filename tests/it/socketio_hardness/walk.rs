//! A random walk: many clients that send anything over anything, and one pair that must not lose a message meanwhile.
//!
//! The seed is printed when it fails; `ROOMCAST_WALK_SEED` walks the same way again, as far as threads allow.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use serde_json::json;

use super::{Stage, auth};
use crate::support::engine::{Endpoint, EngineSocket, Polling};
use crate::support::line::Line;

const WALKERS: u64 = 6;
const TIME: Duration = Duration::from_secs(3);

/// What a walker sends, good and bad; `$T` is a good token, `$R` a random number.
const PACKETS: [&str; 36] = [
    r#"40{"token":"$T"}"#,
    r#"40/x,{"token":"$T"}"#,
    r#"40/unknown,{"token":"$T"}"#,
    r#"40{"token":"bad"}"#,
    r#"40{"token":"$T","pid":"$R","offset":"$R"}"#,
    "41",
    "41/x,",
    r#"42["room:join",{"roomId":"walk:$R"}]"#,
    r#"421["room:join",{"roomId":"walk:0"}]"#,
    r#"421["room:join",{"roomId":"chat"}]"#,
    r#"42["room:join",{"roomId":"chat","history":100}]"#,
    r#"42$R["message:send",{"roomId":"walk:0","content":"$R"}]"#,
    r#"42["message:send",{"roomId":"walk:0","content":$R,"ackRequested":true}]"#,
    r#"42/x,["room:join",{"roomId":"walk:0"}]"#,
    r#"42["room:leave",{"roomId":"walk:0"}]"#,
    r#"42["message:typing",{"roomId":"walk:0","isTyping":true}]"#,
    r#"421["connection:create-session",{}]"#,
    r#"421["presence:online-users",{}]"#,
    r#"451-["message:send",{"roomId":"walk:0","content":{"_placeholder":true,"num":0}}]"#,
    r#"452-7["message:send",{"roomId":"walk:0","content":[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]}]"#,
    r#"4510-["message:send",{"roomId":"walk:0","content":{"_placeholder":true,"num":9}}]"#,
    "43$R[]",
    r#"43[{"a":1}]"#,
    "42[]",
    "42{",
    "42[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "44{}",
    "4",
    "",
    "3",
    "2",
    "6",
    "1",
    "5",
    "2probe",
    "bAQID",
];

/// One that goes at random.
struct Walker {
    random: StdRng,
    endpoint: Endpoint,
    token: String,
}

impl Walker {
    fn one_in(&mut self, cases: u32) -> bool {
        self.random.random_range(0..cases) == 0
    }

    /// A packet, sometimes with a byte changed or the end cut off.
    fn packet(&mut self) -> String {
        let chosen = PACKETS[self.random.random_range(0..PACKETS.len())];
        let number = self.random.random_range(0..20_u32).to_string();
        let packet = chosen.replace("$T", &self.token).replace("$R", &number);
        if packet.is_empty() || !self.one_in(6) {
            return packet;
        }
        let mut bytes = packet.into_bytes();
        let at = self.random.random_range(0..bytes.len());
        if self.one_in(2) {
            bytes.truncate(at);
        } else {
            bytes[at] = u8::try_from(self.random.random_range(0x20..0x7F_u32)).expect("it is ASCII");
        }
        String::from_utf8(bytes).expect("it is ASCII")
    }

    /// One session over either transport, from its beginning to some end.
    fn session(&mut self) {
        if self.one_in(2) {
            let (socket, _) = self.endpoint.websocket();
            self.over_websocket(socket);
            return;
        }
        let mut session = self.endpoint.polling();
        if self.one_in(4) {
            session.send(format!("40{{\"token\":\"{}\"}}", self.token));
        }
        for _ in 0..self.random.random_range(1..12) {
            if !self.poll(&mut session) {
                return;
            }
        }
        if let Ok(mut socket) = session.try_socket() {
            if self.one_in(3) {
                session.begin_get();
            }
            socket.try_send("2probe");
            socket.try_send("5");
            self.over_websocket(socket);
        }
    }

    /// One request of a session over polling; whether that goes on.
    fn poll(&mut self, session: &mut Polling) -> bool {
        match self.random.random_range(0..12) {
            0 => {
                session.begin_get();
                session.cut_get();
            }
            1 => {
                let whole = session.post_request(self.packet());
                let cut = self.random.random_range(0..whole.len());
                Line::to(self.endpoint.address).send(&whole[..cut]);
            }
            2 => {
                let mut lines = [(); 2].map(|()| Line::to(self.endpoint.address));
                for line in &mut lines {
                    line.send(session.get_request());
                }
            }
            3 => {
                session.begin_get();
                if !session.get_ends_within(Duration::from_millis(20)) {
                    session.cut_get();
                    return false;
                }
                session.finish_get();
            }
            _ => {
                let count = self.random.random_range(1..4);
                let packets: Vec<String> = (0..count).map(|_| self.packet()).collect();
                let status = session.post(packets.join("\x1e")).status;
                assert!(matches!(status, 200 | 400), "{status} for {packets:?}");
                return status == 200;
            }
        }
        true
    }

    /// Packets over a WebSocket, until it or the walker has had enough.
    fn over_websocket(&mut self, mut socket: EngineSocket) {
        if self.one_in(2) {
            socket.try_send(&format!("40{{\"token\":\"{}\"}}", self.token));
        }
        for _ in 0..self.random.random_range(0..20) {
            let sent = match self.random.random_range(0..10) {
                0 => {
                    let mut bytes = vec![0; self.random.random_range(0..200)];
                    self.random.fill_bytes(&mut bytes);
                    socket.try_send_binary(&bytes)
                }
                1 if socket.stirs_within(Duration::from_millis(5)) => socket.next().is_some(),
                _ => {
                    let packet = self.packet();
                    socket.try_send(&packet)
                }
            };
            if !sent {
                return;
            }
        }
        if self.one_in(3) {
            socket.try_send("1");
        }
    }
}

#[test]
fn whatever_others_send_a_well_behaved_client_loses_nothing() {
    let seed = std::env::var("ROOMCAST_WALK_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(rand::random);
    let times = ["--socketio-ping-interval", "1s", "--socketio-ping-timeout", "2s", "--session-ttl", "1s"];
    let mut stage = Stage::new(4, &[&times[..], &["--socketio-namespaces", "/x"]].concat());
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| walk(&mut stage, seed)));
    if let Err(panic) = result {
        eprintln!("it failed with ROOMCAST_WALK_SEED={seed}");
        std::panic::resume_unwind(panic);
    }
}

/// Lets the walkers go, with the well-behaved chatting on, and looks at what is left.
fn walk(stage: &mut Stage, seed: u64) {
    let end = Instant::now() + TIME;
    let endpoint = stage.endpoint.clone();
    let mut listeners = [false, true].map(|polling| stage.connected(polling));
    for listener in &mut listeners {
        listener.call("room:join", json!({"roomId": "chat"}));
    }
    let mut heard = 0;
    std::thread::scope(|scope| {
        let mut walkers = Vec::new();
        for number in 0..WALKERS {
            let token = auth(&format!("walker{number}"))["token"].as_str().expect("text").to_owned();
            let random = StdRng::seed_from_u64(seed.wrapping_add(number));
            let mut walker = Walker { random, endpoint: endpoint.clone(), token };
            walkers.push(scope.spawn(move || {
                while Instant::now() < end {
                    walker.session();
                }
            }));
        }
        while walkers.iter().any(|walker| !walker.is_finished()) {
            stage.assert_serving();
            heard += 1;
            for listener in &mut listeners {
                assert_eq!(listener.event("message:received").data[1]["content"], heard);
            }
        }
    });
    for mut listener in listeners {
        listener.assert_no("message:received");
    }
    stage.assert_nothing_left();
}
