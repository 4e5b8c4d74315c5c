//! Shards without sockets: bytes are handed in, and what is queued is taken out as the rim would.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use roomcast_shards::clock::Now;
use roomcast_shards::config::{Config, HistoryLimits, Limits};
use roomcast_shards::effect::SocketEffect;
use roomcast_shards::id::{ConnectionId, ShardId};
use roomcast_shards::mesh::Router;
use roomcast_shards::mesh::item::Item;
use roomcast_shards::shard::Shard;
use rtrb::{Consumer, Producer, RingBuffer};

/// As in the rim: bytes of one write that many frames share.
const WRITE_BYTES_MAX: usize = 64 << 10;
/// Items that a ring holds.
const RING_ITEMS: usize = 1024;
/// Messages that a room keeps: few, so that its history is soon as full as it will ever be.
const HISTORY_MESSAGES: usize = 100;
const MESH_SEED: u64 = 7;
/// 2026-01-01.
pub const START_UNIX_MS: u64 = 1_767_225_600_000;

/// A connection, on whichever shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    shard: usize,
    id: ConnectionId,
}

/// One direction between two shards.
struct Ring {
    producer: Producer<Item>,
    consumer: Consumer<Item>,
}

/// All shards of a process.
pub struct Gateway {
    shards: Vec<Shard>,
    /// By sender and receiver.
    rings: Vec<Vec<Ring>>,
    router: Router,
    now: Now,
    send_buffer: Vec<u8>,
    writes: u64,
    /// What was written to the client that is listened to.
    heard: Option<(Client, Vec<u8>)>,
}

impl Gateway {
    /// As many shards as the configuration says, with nobody in them.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let now = Now { ms: 1_000_000, unix_ms: START_UNIX_MS };
        let router = Router::new(config.shards, MESH_SEED);
        let config = Arc::new(config);
        let ids: Vec<ShardId> = router.all().collect();
        let ring = |_: &ShardId| {
            let (producer, consumer) = RingBuffer::new(RING_ITEMS);
            Ring { producer, consumer }
        };
        Self {
            shards: ids
                .iter()
                .zip(1_u8..)
                .map(|(id, seed)| Shard::new(*id, Arc::clone(&config), MESH_SEED, [seed; 32], now))
                .collect(),
            rings: ids.iter().map(|_| ids.iter().map(ring).collect()).collect(),
            router,
            now,
            send_buffer: Vec::with_capacity(WRITE_BYTES_MAX),
            writes: 0,
            heard: None,
        }
    }

    /// The moment of the next input.
    #[must_use]
    pub fn now(&self) -> Now {
        self.now
    }

    /// Lets a millisecond pass.
    pub fn pass_time(&mut self) {
        self.now.ms += 1;
        self.now.unix_ms += 1;
    }

    /// Writes that were made so far: system calls, had there been sockets.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.writes
    }

    /// Messages that were queued for members so far.
    #[must_use]
    pub fn deliveries(&self) -> u64 {
        self.shards.iter().map(|shard| shard.metrics.deliveries).sum()
    }

    /// The name of a room that the shard owns.
    #[must_use]
    pub fn room_of(&self, shard: u16) -> String {
        let mut names = (0..).map(|number| format!("room-{number}"));
        names.find(|name| self.router.owner(name) == ShardId(shard)).expect("hashes reach every shard")
    }

    /// A socket that was accepted for a shard.
    pub fn open(&mut self, shard: usize) -> Client {
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Client { shard, id: self.shards[shard].on_open(peer, None, self.now) }
    }

    /// A client that is connected, and has been told so.
    pub fn connect(&mut self, shard: usize, head: &[u8]) -> Client {
        let client = self.open(shard);
        self.receive(client, head);
        self.settle();
        client
    }

    /// The socket of a client is gone.
    pub fn disconnect(&mut self, client: Client) {
        self.shards[client.shard].on_gone(client.id, self.now);
        self.settle();
    }

    /// Bytes that came from a client.
    pub fn receive(&mut self, client: Client, bytes: &[u8]) {
        self.shards[client.shard].on_bytes(client.id, bytes, self.now);
    }

    /// Turns of all shards until nothing is left to do: rings are filled and drained, queues are written out.
    pub fn settle(&mut self) {
        while self.fill_rings() {
            self.drain_rings();
        }
        for shard in 0..self.shards.len() {
            self.flush(shard);
            self.release(shard);
            self.shards[shard].effects.admissions.clear();
        }
    }

    /// What is written to a client from here on is kept for [`Gateway::heard`].
    pub fn listen_to(&mut self, client: Client) {
        self.heard = Some((client, Vec::new()));
    }

    /// What was written to the client that was listened to.
    ///
    /// # Panics
    /// When nobody was listened to.
    pub fn heard(&mut self) -> String {
        let (_, bytes) = self.heard.take().expect("somebody is listened to");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Moves what waits for other shards into the rings; whether there was anything.
    fn fill_rings(&mut self) -> bool {
        let mut any = false;
        for (shard, rings) in self.shards.iter_mut().zip(&mut self.rings) {
            for (outbox, ring) in shard.effects.outboxes.iter_mut().zip(rings) {
                while let Some(item) = outbox.pop() {
                    any = true;
                    if let Err(rtrb::PushError::Full(item)) = ring.producer.push(item) {
                        outbox.unpop(item);
                        break;
                    }
                }
            }
        }
        any
    }

    fn drain_rings(&mut self) {
        for (rings, from) in self.rings.iter_mut().zip(self.router.all()) {
            for (ring, shard) in rings.iter_mut().zip(&mut self.shards) {
                while let Ok(item) = ring.consumer.pop() {
                    shard.on_ring(from, item, self.now);
                }
            }
        }
    }

    fn flush(&mut self, shard: usize) {
        while let Some(id) = self.next_dirty(shard) {
            if self.shards[shard].begin_flush(id, self.now) {
                self.write(shard, id);
            }
        }
    }

    fn next_dirty(&mut self, shard: usize) -> Option<ConnectionId> {
        let effects = &mut self.shards[shard].effects;
        effects.dirty.pop_front().or_else(|| effects.bulk.pop_front())
    }

    /// Lets sockets go that are to be let go; nothing of what was written to them is known to have arrived.
    fn release(&mut self, shard: usize) {
        let shard = &mut self.shards[shard];
        while let Some(effect) = shard.effects.sockets.pop() {
            if let SocketEffect::Release(id, _) = effect
                && shard.awaits_release(id)
            {
                shard.on_released(id, u64::MAX, self.now);
            }
        }
    }

    /// Writes what waits for a connection into a socket that takes everything.
    fn write(&mut self, shard: usize, id: ConnectionId) {
        while let Some(queue) = self.shards[shard].queue(id).filter(|queue| !queue.is_empty()) {
            let bytes = queue.next_write(&mut self.send_buffer, WRITE_BYTES_MAX);
            if let Some((client, heard)) = &mut self.heard
                && *client == (Client { shard, id })
            {
                heard.extend_from_slice(bytes);
            }
            let written = bytes.len();
            self.writes += 1;
            self.shards[shard].on_written(id, written, self.now);
        }
    }
}

/// A configuration without authentication and without limits, on so many shards.
#[must_use]
pub fn open_config(shards: usize) -> Config {
    Config {
        shards,
        limits: Limits {
            messages: None,
            typing: None,
            presence: None,
            connects: None,
            events: None,
            connections_per_ip_max: None,
            pending_per_ip_max: None,
            ..Limits::default()
        },
        history: HistoryLimits { messages_max: HISTORY_MESSAGES, ..HistoryLimits::default() },
        ..Config::default()
    }
}

/// The head of an upgrade request, with the subprotocols offered.
#[must_use]
pub fn upgrade_head(protocols: &str) -> Vec<u8> {
    format!(
        "GET /ws HTTP/1.1\r\nHost: chat.example.org\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) Chrome/142.0\r\n\
         Accept-Encoding: gzip, deflate\r\nAccept-Language: en-GB,en;q=0.9\r\nCache-Control: no-cache\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {protocols}\r\n\r\n"
    )
    .into_bytes()
}

/// A client's text frame, masked as RFC 6455 §5.3 wants it.
///
/// # Panics
/// When the text does not fit a frame with a length of 16 bits.
#[must_use]
pub fn client_frame(text: &str) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![0x81];
    match u16::try_from(text.len()).expect("a small frame") {
        len @ 0..126 => frame.push(0x80 | len.to_be_bytes()[1]),
        len => {
            frame.push(0x80 | 126);
            frame.extend(len.to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(text.bytes().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}
