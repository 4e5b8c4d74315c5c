//! A whole shard fed with bad Socket.IO clients: sessions over WebSockets and by polling, upgrades and namespaces. Whatever
//! they send, it does not panic, every answer is well-formed, and nothing of them is left when they are gone.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use roomcast_shards::clock::Now;
use roomcast_shards::config::{Config, HistoryLimits, Limits, SocketIo};
use roomcast_shards::connection::engine::read_sid;
use roomcast_shards::effect::SocketEffect;
use roomcast_shards::id::{ConnectionId, ShardId};
use roomcast_shards::metrics::Metrics;
use roomcast_shards::protocol::error_code::{CommandError, ErrorCode};
use roomcast_shards::protocol::socketio::Namespaces;
use roomcast_shards::shard::Shard;
use roomcast_shards::testing::{client_frame, upgrade_head};

use crate::fuzz::fuzz;
use crate::heard::Heard;

const TOKENS: [&[u8]; 48] = [
    b"\n",
    b"\x1e",
    b"a",
    b"b",
    b"p",
    b"q",
    b"g\n",
    b"\ng\n",
    b"u2probe\n",
    b"u5\n",
    b"x\n",
    b"c\n",
    b"t\n",
    b"T\n",
    b"n\n",
    b"1",
    b"3",
    b"5",
    b"6",
    b"40",
    b"40/chat,",
    b"41",
    b"41/chat,",
    b"42",
    b"42/chat,",
    b"43",
    b"45",
    b"451-",
    b"452-",
    b"430[]",
    b"[\"room:join\",{\"roomId\":\"a\"}]",
    b"[\"room:leave\",{\"roomId\":\"a\"}]",
    b"[\"message:send\",{\"roomId\":\"a\",\"content\":1}]",
    b"[\"message:send\",{\"roomId\":\"a\",\"content\":1,\"ackRequested\":true}]",
    b"{\"_placeholder\":true,\"num\":0}",
    b"{\"_base64\":\"AQID\"}",
    b"[\"ping\"]",
    b"[\"room:list\"]",
    b"[\"room:subscribe-multiple\",{\"patterns\":[\"**\"],\"rooms\":[\"a\",\"b\"]}]",
    b"[\"connection:create-session\"]",
    b"[\"auth:refresh\",{\"token\":\"x\"}]",
    b"{\"pid\":\"",
    b"\",\"offset\":\"0\"}",
    b"bAQID",
    b"hGET /socket.io/?EIO=4&transport=polling&sid=SID HTTP/1.1\rHost: a\r\r\n",
    b"hPOST /socket.io/?EIO=4&transport=polling&sid=SID HTTP/1.1\rHost: a\rContent-Length: 9\r\r4",
    b"hOPTIONS /socket.io/?EIO=4&transport=polling HTTP/1.1\rHost: a\r\r\n",
    b"PID",
];

/// Lines of an input that are played.
const LINES_MAX: usize = 100;

/// A shard, its clock, and what its clients read.
struct Bench {
    shard: Shard,
    now: Now,
    heard: Vec<(ConnectionId, Heard)>,
    /// The id of the latest session that polls, and its WebSocket.
    sid: String,
    probe: Option<ConnectionId>,
    /// The connection of the latest request.
    carrier: Option<ConnectionId>,
    /// The latest session that a client was told of.
    pid: String,
}

impl Bench {
    fn new(config: Arc<Config>) -> Self {
        let now = Now { ms: 0, unix_ms: 1_700_000_000_000 };
        let shard = Shard::new(ShardId(0), config, 7, [7; 32], now);
        let (sid, pid) = (String::new(), String::new());
        Self { shard, now, heard: Vec::new(), sid, probe: None, carrier: None, pid }
    }

    fn open(&mut self, bytes: &[u8], speaks: bool) -> ConnectionId {
        let id = self.shard.on_open(IpAddr::V4(Ipv4Addr::LOCALHOST), None, self.now);
        self.heard.push((id, Heard::new(speaks)));
        self.shard.on_bytes(id, bytes, self.now);
        self.settle();
        id
    }

    fn open_websocket(&mut self) -> ConnectionId {
        self.open(&upgrade_head("/socket.io/?EIO=4&transport=websocket", &[]), true)
    }

    fn open_polling(&mut self) {
        let id = self.open(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n", true);
        let bodies = self.heard.iter().find(|(known, _)| *known == id).map(|(_, heard)| &heard.bodies);
        let sid = bodies.and_then(|bodies| sid_of(bodies.first()?));
        // There may be too many of them.
        if let Some(sid) = sid {
            assert!(read_sid(&sid).is_some(), "{sid}");
            (self.sid, self.probe) = (sid, None);
        }
    }

    fn say(&mut self, id: ConnectionId, opcode: u8, payload: &[u8]) {
        self.shard.on_bytes(id, &client_frame(opcode, true, payload, [9, 8, 7, 6]), self.now);
        self.settle();
    }

    fn request(&mut self, method: &str, body: &[u8], again: bool) {
        let head = format!(
            "{method} /socket.io/?EIO=4&transport=polling&sid={} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
            self.sid,
            body.len()
        );
        let bytes = [head.as_bytes(), body].concat();
        match self.carrier.filter(|id| again && self.shard.wants_bytes(*id)) {
            Some(id) => {
                self.shard.on_bytes(id, &bytes, self.now);
                self.settle();
            }
            None => self.carrier = Some(self.open(&bytes, true)),
        }
    }

    fn drop(&mut self, id: Option<ConnectionId>) {
        if let Some(id) = id {
            self.shard.on_gone(id, self.now);
            self.settle();
        }
    }

    /// What the rim would do until there is nothing more to do.
    fn settle(&mut self) {
        self.shard.flush_delayed(self.now);
        loop {
            self.apply_effects();
            let effects = &mut self.shard.effects;
            let Some(id) = effects.dirty.pop_front().or_else(|| effects.bulk.pop_front()) else { break };
            self.flush(id);
        }
        self.shard.effects.admissions.clear();
        for inquiry in std::mem::take(&mut self.shard.effects.inquiries) {
            let error = CommandError::new(ErrorCode::ServerError, "away");
            self.shard.on_control(&inquiry.caller, Err(error), self.now);
        }
        for (_, heard) in &mut self.heard {
            heard.check();
            self.pid = heard.pid.take().unwrap_or_else(|| std::mem::take(&mut self.pid));
        }
    }

    fn flush(&mut self, id: ConnectionId) {
        if !self.shard.begin_flush(id, self.now) {
            return;
        }
        let mut scratch = Vec::new();
        while let Some(queue) = self.shard.queue(id).filter(|queue| !queue.is_empty()) {
            let bytes = queue.next_write(&mut scratch, 4096).to_vec();
            let heard = self.heard.iter_mut().find(|(known, _)| *known == id);
            heard.expect("only sockets are written").1.feed(&bytes);
            self.shard.on_written(id, bytes.len(), self.now);
        }
    }

    fn apply_effects(&mut self) {
        for effect in std::mem::take(&mut self.shard.effects.sockets) {
            match effect {
                SocketEffect::Release(id, _) | SocketEffect::HandOver(id, _) => {
                    self.heard.retain(|(known, _)| *known != id);
                    self.shard.on_released(id, 0, self.now);
                }
                SocketEffect::Rebind { from, to } => {
                    let heard = self.heard.iter_mut().find(|(known, _)| *known == from);
                    heard.expect("a socket that moves is there").0 = to;
                    self.probe = Some(to);
                }
                SocketEffect::Move { id, .. } => panic!("{id:?} moves to another shard"),
                SocketEffect::ShutdownWrite(_) | SocketEffect::Resume(_) => {}
            }
        }
    }

    fn pass(&mut self, ms: u64, step_ms: u64) {
        for _ in 0..ms.div_ceil(step_ms) {
            self.now = Now { ms: self.now.ms + step_ms, unix_ms: self.now.unix_ms + step_ms };
            self.shard.on_tick(self.now);
            self.settle();
        }
    }

    /// Everybody goes, and time passes; what was counted.
    fn finish(mut self) -> Metrics {
        let ids: Vec<_> = self.heard.iter().map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.drop(Some(id)));
        self.pass(14_000, 1_000);
        assert!(self.shard.is_quiescent(), "{:?}", self.shard.snapshot());
        self.shard.snapshot()
    }
}

/// The id that an open packet tells.
fn sid_of(packet: &str) -> Option<String> {
    let open: serde_json::Value = serde_json::from_str(packet.strip_prefix('0')?).ok()?;
    open["sid"].as_str().map(str::to_owned)
}

fn config(limited: bool) -> Arc<Config> {
    let mut namespaces = Namespaces::default();
    namespaces.define("/chat").expect("a good name");
    let socketio = SocketIo {
        ping_interval_ms: 700,
        ping_timeout_ms: 500,
        connect_timeout_ms: 1_500,
        payload_bytes_max: 4_000,
        attachments_max: 3,
        namespaces,
        echo: false,
    };
    Arc::new(Config {
        limits: Limits {
            messages: None,
            events: None,
            outbound_queue_bytes_max: if limited { 1_500 } else { 20_000 },
            ..Limits::default()
        },
        history: HistoryLimits { ttl_ms: 1_000, ..HistoryLimits::default() },
        presence_grace_ms: 200,
        session_ttl_ms: 1_000,
        queue_ttl_ms: 1_500,
        socketio,
        ..Config::default()
    })
}

/// Each line of the input is something that one of the clients does: its first byte says what.
fn play(input: &[u8], config: &Arc<Config>) -> Metrics {
    let mut bench = Bench::new(Arc::clone(config));
    let (first, second) = (bench.open_websocket(), bench.open_websocket());
    bench.say(first, 1, b"40");
    bench.open_polling();
    for line in input.split(|byte| *byte == b'\n').take(LINES_MAX) {
        let line = replace(&replace(line, b"SID", bench.sid.as_bytes()), b"PID", bench.pid.as_bytes());
        match line.split_first() {
            None => {}
            Some((b'a', text)) => bench.say(second, 1, text),
            Some((b'b', data)) => bench.say(first, 2, data),
            Some((b'p', body)) => bench.request("POST", body, false),
            Some((b'q', body)) => bench.request("POST", body, true),
            Some((b'g', _)) => bench.request("GET", b"", line.len() > 1),
            Some((b'u', text)) => {
                let target = format!("/socket.io/?EIO=4&transport=websocket&sid={}", bench.sid);
                let probe = match bench.probe {
                    Some(probe) => probe,
                    None => bench.open(&upgrade_head(&target, &[]), true),
                };
                bench.probe = Some(probe);
                bench.say(probe, 1, text);
            }
            Some((b'x', _)) => {
                let carrier = bench.carrier.take();
                bench.drop(carrier);
            }
            Some((b'c', _)) => {
                let probe = bench.probe.take();
                bench.drop(probe);
            }
            Some((b't', _)) => bench.pass(300, 100),
            Some((b'T', _)) => bench.pass(1_500, 300),
            Some((b'n', _)) => bench.open_polling(),
            Some((b'h', bytes)) => drop(bench.open(&replace(bytes, b"\r", b"\r\n"), false)),
            _ => bench.say(first, 1, &line),
        }
    }
    bench.pass(500, 250);
    bench.finish()
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((byte, tail)) = rest.split_first() {
        match rest.strip_prefix(from) {
            Some(behind) => {
                out.extend_from_slice(to);
                rest = behind;
            }
            None => {
                out.push(*byte);
                rest = tail;
            }
        }
    }
    out
}

#[test]
fn fuzz_engine() {
    let (open, limited) = (config(false), config(true));
    fuzz("engine", &TOKENS, |input| {
        play(input, &open);
        play(input, &limited);
    });
}

/// What is fuzzed is worth it: its inputs come as far as they can.
#[test]
fn a_line_does_what_it_says() {
    let open = config(false);
    let upgraded = play(b"p40\ng\nu2probe\ng\nu5\nu421[\"ping\"]", &open);
    assert_eq!(upgraded.socketio_upgrades, 1);
    let recovered =
        play(b"421[\"room:join\",{\"roomId\":\"a\"}]\n1\nt\na40{\"pid\":\"PID\",\"offset\":\"0\"}", &open);
    assert_eq!((recovered.session_recoveries, recovered.session_recoveries_full), (1, 1));
    let attached = b"451-1[\"message:send\",{\"roomId\":\"b\",\"content\":{\"_placeholder\":true,\"num\":0}}]\nb\x01\x02";
    let further = [
        &b"40/chat,\n42/chat,1[\"room:join\",{\"roomId\":\"a\"}]\n422[\"room:join\",{\"roomId\":\"b\"}]\n"[..],
        attached,
    ];
    let messages = play(&further.concat(), &open);
    assert_eq!((messages.messages_received, messages.deliveries), (3, 1));
}
