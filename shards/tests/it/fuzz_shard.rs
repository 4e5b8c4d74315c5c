//! A whole shard fed with bad clients: whatever they send, it does not panic, speaks JSON in frames, and keeps
//! nothing of them when they are gone.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use roomcast_shards::access::token::{KeySource, Verifier, VerifierSettings};
use roomcast_shards::clock::Now;
use roomcast_shards::config::{AuthMode, Config, HistoryLimits, Limits, Rate};
use roomcast_shards::effect::SocketEffect;
use roomcast_shards::id::{ConnectionId, ShardId};
use roomcast_shards::protocol::error_code::{CommandError, ErrorCode};
use roomcast_shards::shard::Shard;
use roomcast_shards::testing::{Reader, Received, client_frame, upgrade_head};

use crate::fuzz::fuzz;

const TOKENS: [&[u8]; 56] = [
    b"\n",
    b"{\"event\":\"",
    b"room:join",
    b"room:leave",
    b"message:send",
    b"room:subscribe-multiple",
    b"user:send",
    b"\"data\":{\"roomId\":\"a\"}",
    b"\"requestId\":1",
    b"\"clientId\":\"c\"",
    b"\"excludeSender\":true",
    b"\"patterns\":[\"**\"]",
    b"{\"type\":\"subscribe\",\"topic\":\"a\"}",
    b"\"content\":1",
    b"\"recover\":{\"epoch\":\"0123456789abcdef\",\"offset\":0}",
    b"\"history\":9",
    b"room:history",
    b"ping",
    b"message:send-batch",
    b"\"messages\":[",
    b"}",
    b"]",
    b"\\ud83d\\ude00",
    b"auth",
    b"room:create",
    b"room:close",
    b"\"visibility\":\"private\"",
    b"\"maxMembers\":1",
    b"room:subscription-details",
    b"message:edit",
    b"message:delete",
    b"message:read",
    b"message:delivered",
    b"\"upToOffset\":1",
    b"message:typing",
    b"\"isTyping\":false",
    b"message:stats",
    b"presence:update-status",
    b"\"status\":\"away\"",
    b"presence:watch",
    b"\"userIds\":[\"a\"]",
    b"presence:online-users",
    b"connection:create-session",
    b"connection:recover",
    b"monitoring:events",
    b"room:info",
    b"room:subscription-status",
    b"room:unsubscribe-multiple",
    b"message:typing-users",
    b"message:delivery-status",
    b"\"messageId\":\"018bcfe5-6800-7000-8000-000000000000\"",
    b"presence:unwatch",
    b"presence:user-status",
    b"connection:stats",
    b"\"positions\":[{\"roomId\":\"a\",\"offset\":0}]",
    b"auth:refresh",
];

/// A shard, its clock, and what its clients read.
struct Bench {
    shard: Shard,
    now: Now,
    readers: Vec<(ConnectionId, Reader)>,
    /// Not where texts are echoed.
    speaks_json: bool,
}

impl Bench {
    fn new(config: Arc<Config>) -> Self {
        let now = Now { ms: 0, unix_ms: 1_700_000_000_000 };
        Self {
            shard: Shard::new(ShardId(0), config, 7, [7; 32], now),
            now,
            readers: Vec::new(),
            speaks_json: true,
        }
    }

    fn connect(&mut self, target: &str) -> ConnectionId {
        let id = self.shard.on_open(IpAddr::V4(Ipv4Addr::LOCALHOST), None, self.now);
        self.readers.push((id, Reader::default()));
        self.shard.on_bytes(id, &upgrade_head(target, &[]), self.now);
        id
    }

    /// What the rim would do: everything is written, sockets that are let go are forgotten.
    fn flush(&mut self) {
        let mut scratch = Vec::new();
        while let Some(id) =
            self.shard.effects.dirty.pop_front().or_else(|| self.shard.effects.bulk.pop_front())
        {
            if !self.shard.begin_flush(id, self.now) {
                continue;
            }
            while let Some(queue) = self.shard.queue(id).filter(|queue| !queue.is_empty()) {
                let bytes = queue.next_write(&mut scratch, 4096).to_vec();
                let reader = self.readers.iter_mut().find(|(known, _)| *known == id);
                reader.expect("only connections that were opened").1.feed(&bytes);
                self.shard.on_written(id, bytes.len(), self.now);
            }
        }
        self.shard.effects.admissions.clear();
        for effect in std::mem::take(&mut self.shard.effects.sockets) {
            if let SocketEffect::Release(id, _) | SocketEffect::HandOver(id, _) = effect {
                self.readers.retain(|(known, _)| *known != id);
                self.shard.on_released(id, 0, self.now);
            }
        }
        for inquiry in std::mem::take(&mut self.shard.effects.inquiries) {
            let error = CommandError::new(ErrorCode::ServerError, "away");
            self.shard.on_control(&inquiry.caller, Err(error), self.now);
        }
        self.shard.flush_delayed(self.now);
        for (_, reader) in &mut self.readers {
            check_read(reader, self.speaks_json);
        }
    }

    fn pass(&mut self, ms: u64) {
        self.now = Now { ms: self.now.ms + ms, unix_ms: self.now.unix_ms + ms };
        self.shard.on_tick(self.now);
        self.flush();
    }

    /// Everybody goes, and time passes.
    fn finish(mut self) {
        let ids: Vec<_> = self.readers.iter().map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.shard.on_gone(id, self.now));
        self.flush();
        for _ in 0..60 {
            self.pass(100);
        }
        assert!(self.shard.is_quiescent(), "{:?}", self.shard.snapshot());
    }
}

fn check_read(reader: &mut Reader, json: bool) {
    while let Some(received) = reader.next_frame().expect("whole frames") {
        if let Received::Text(text) = received {
            assert!(!json || serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok(), "{text}");
        }
    }
}

fn config(auth: AuthMode, limited: bool) -> Arc<Config> {
    // So many events that one command may be refused more often than a connection.
    let events = Some(Rate { count: 1_000, interval_ms: 1_000, burst: 1_000 });
    let limits = Limits { messages: None, events, outbound_queue_bytes_max: 6_000, ..Limits::default() };
    let secret = KeySource::Secret(b"a secret".to_vec());
    let verifier = Verifier::new(VerifierSettings {
        keys: vec![secret],
        algorithm: None,
        issuer: None,
        audience: Vec::new(),
        leeway_s: 0,
    });
    Arc::new(Config {
        auth,
        verifier: (auth == AuthMode::Required).then(|| verifier.expect("a secret is a key")),
        limits: if limited { limits } else { Limits { events: None, ..limits } },
        history: HistoryLimits { ttl_ms: 1_000, ..HistoryLimits::default() },
        presence_grace_ms: 200,
        session_ttl_ms: 1_000,
        queue_ttl_ms: 1_500,
        echo_path: Some("/echo".to_owned()),
        ..Config::default()
    })
}

/// Each line of the input is a text, sent in a frame by one of the clients.
fn play(input: &[u8], config: &Arc<Config>, targets: &[&str]) {
    let mut bench = Bench::new(Arc::clone(config));
    let ids: Vec<_> = targets.iter().map(|target| bench.connect(target)).collect();
    bench.flush();
    for (index, line) in input.split(|byte| *byte == b'\n').enumerate() {
        // Two lines in a row come from one client.
        let id = ids[index / 2 % ids.len()];
        bench.shard.on_bytes(id, &client_frame(1, true, line, [9, 8, 7, 6]), bench.now);
        if index % 3 == 0 {
            bench.flush();
        }
    }
    bench.pass(1_500);
    bench.finish();
}

#[test]
fn fuzz_shard() {
    let (open, closed) = (config(AuthMode::Off, false), config(AuthMode::Required, false));
    // Who is refused too often is sent away, be it in the midst of a command.
    let limited = config(AuthMode::Off, true);
    fuzz("shard", &TOKENS, |input| {
        play(input, &open, &["/ws", "/ws", "/ws?profile=topic"]);
        play(input, &closed, &["/ws"]);
        play(input, &limited, &["/ws"]);
    });
}

/// The input is what a socket gives from its first byte on.
#[test]
fn fuzz_shard_bytes() {
    let open = config(AuthMode::Off, false);
    fuzz("shard_bytes", &TOKENS, |input| {
        let mut bench = Bench::new(Arc::clone(&open));
        bench.speaks_json = !input.windows(5).any(|bytes| bytes == b"/echo");
        let witness = bench.connect("/ws");
        let id = bench.shard.on_open(IpAddr::V4(Ipv4Addr::LOCALHOST), None, bench.now);
        bench.readers.push((id, Reader::default()));
        for piece in input.chunks(100) {
            bench.shard.on_bytes(id, piece, bench.now);
        }
        bench.flush();
        assert!(bench.shard.wants_bytes(witness), "the others do not notice");
        bench.finish();
    });
}
