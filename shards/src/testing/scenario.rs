//! What one seed simulates: how many shards and clients, which limits, which faults.

use std::sync::Arc;

use super::dice::Dice;
use super::token::{self, Grant};
use crate::config::{
    AuthMode, Config, HistoryLimits, Limits, Rate, RoomClass, RoomClassRule, SocketIo, StoreMode,
};

/// Rooms in which clients meet; those of `eph.` are ephemeral, those of `queue.` queued.
pub(super) const ROOMS: [&str; 10] = [
    "room.a",
    "room.b",
    "room.c",
    "team:x:1",
    "team:y:1",
    "eph.one",
    "eph.two",
    "queue.a",
    "queue.b",
    "presence:global",
];
/// Namespaces of rooms and users, where there are any: the accounts, and those who have none.
pub(super) const TENANTS: [&str; 3] = ["one", "two", ""];
/// Patterns that clients subscribe to.
pub(super) const PATTERNS: [&str; 6] = ["room.*", "team:*:1", "**", "eph.*", "team:x:**", "made.*"];

/// The circumstances of a run.
#[derive(Debug)]
pub(super) struct Scenario {
    pub(super) config: Arc<Config>,
    pub(super) clients: usize,
    /// How long clients act, in milliseconds.
    pub(super) active_ms: u64,
    /// The users, when clients need tokens.
    pub(super) grants: Vec<Grant>,
    /// Whether histories hold everything that the run sends.
    pub(super) generous: bool,
    /// Whether rates are limited.
    pub(super) limited: bool,
    /// Longest delay of a ring in milliseconds.
    pub(super) ring_delay_ms: u64,
    /// Longest delay of bytes from a client in milliseconds.
    pub(super) network_delay_ms: u64,
    /// Bytes of a socket's send buffer.
    pub(super) send_buffer_bytes: usize,
    /// Most padding of a message's content.
    pub(super) padding_bytes_max: usize,
    /// How often shards pause, clients die and so on, in a thousand turns.
    pub(super) faults_permille: u32,
    /// When the process is killed, the first of them last.
    pub(super) crashes_ms: Vec<u64>,
}

impl Scenario {
    /// What the dice say; `durable` is one with a store, and with crashes that it survives, if the dice say so.
    pub(super) fn new(dice: &mut Dice, durable: bool) -> Self {
        let tenancy = dice.percent(20);
        let grants = if tenancy || dice.percent(60) { grants(dice, tenancy) } else { Vec::new() };
        let (generous, limited) = (dice.percent(50), dice.percent(10));
        let store = if durable {
            *dice.pick(&[StoreMode::Off, StoreMode::Batch, StoreMode::Batch, StoreMode::Async])
        } else {
            StoreMode::Off
        };
        let epoch_seeds = durable.then(|| std::array::from_fn(|_| dice.between(0, u64::MAX)));
        let config = config(dice, !grants.is_empty(), generous, limited);
        let config = Config { tenancy, store, epoch_seeds, ..config };
        let ring_delay_ms = if config.ring_items_max < 8 { 15 } else { *dice.pick(&[0, 5, 60, 300]) };
        // Where silence soon counts as death, a long answer must not take longer than that.
        let quick = config.ping_timeout_ms < 10_000;
        let send_buffer_bytes = if quick { dice.size(4_096, 16_384) } else { dice.size(64, 4_096) };
        let active_ms = dice.between(3_000, 9_000);
        let crashes = if store == StoreMode::Off { 0 } else { dice.size(0, 3) };
        let mut crashes_ms: Vec<u64> = (0..crashes).map(|_| dice.between(100, active_ms)).collect();
        crashes_ms.sort_unstable_by_key(|at| std::cmp::Reverse(*at));
        Self {
            config: Arc::new(config),
            clients: dice.size(3, 12),
            active_ms,
            crashes_ms,
            grants,
            generous,
            limited,
            ring_delay_ms,
            network_delay_ms: *dice.pick(&[0, 10, 80]),
            send_buffer_bytes,
            padding_bytes_max: *dice.pick(&[0, 100, 700]),
            faults_permille: *dice.pick(&[0, 2, 8]),
        }
    }

    /// Whether a room forgets its messages.
    pub(super) fn is_ephemeral(room: &str) -> bool {
        room.starts_with("eph.")
    }

    /// Whether a room keeps its messages for members who are away.
    pub(super) fn is_queued(room: &str) -> bool {
        room.starts_with("queue.") || room.starts_with("user:")
    }

    /// Whether clients choose to be in a room, so that they are seen there.
    pub(super) fn is_common(room: &str) -> bool {
        !room.starts_with("user:") && !room.starts_with("account:")
    }

    /// The account of a user.
    pub(super) fn account_of(&self, tenant: usize, user: &str) -> Option<&str> {
        let mut grants = self.grants.iter().filter(|grant| grant.tenant == tenant && grant.user == user);
        grants.next()?.account.as_deref()
    }

    /// Milliseconds after which nothing may be left of connections, users and rooms.
    pub(super) fn forgetting_ms(&self) -> u64 {
        let config = &self.config;
        let sockets_ms = config.handshake_timeout_ms + config.ping_timeout_ms;
        let kept_ms = config.history.ttl_ms.max(config.queue_ttl_ms) + config.queue_ttl_ms;
        sockets_ms + config.presence_grace_ms + config.session_ttl_ms + kept_ms + 10_000
    }
}

/// A few users; with namespaces, some of the same name.
fn grants(dice: &mut Dice, tenancy: bool) -> Vec<Grant> {
    let count = dice.size(3, 8);
    let grant = |number: usize| {
        let tenant = if dice.percent(75) { dice.size(0, 1) } else { 2 };
        Grant {
            user: format!("u{}", if tenancy { number / 2 } else { number }),
            account: (tenant < 2).then(|| TENANTS[tenant].to_owned()),
            rooms: if dice.percent(50) { vec!["room.a".to_owned()] } else { Vec::new() },
            tenant: if tenancy { tenant } else { 0 },
        }
    };
    let mut grants: Vec<Grant> = (0..count).map(grant).collect();
    grants.sort_by(|a, b| (a.tenant, &a.user).cmp(&(b.tenant, &b.user)));
    grants.dedup_by(|a, b| (a.tenant, &a.user) == (b.tenant, &b.user));
    grants
}

fn config(dice: &mut Dice, authenticated: bool, generous: bool, limited: bool) -> Config {
    let rate = |count, interval_ms, burst| limited.then_some(Rate { count, interval_ms, burst });
    let history = if generous {
        HistoryLimits { ttl_ms: 60_000, ..HistoryLimits::default() }
    } else {
        HistoryLimits {
            messages_max: dice.size(1, 40),
            bytes_max: dice.size(2_000, 60_000),
            ttl_ms: dice.between(500, 8_000),
            total_bytes_max: dice.size(20_000, 400_000),
            replay_bytes_max: dice.size(500, 20_000),
        }
    };
    // A shard does not read while a ring is full: with small rings whoever waits would be taken for dead.
    let patient = dice.percent(50);
    let timeout_ms = if patient { 60_000 } else { 4_000 };
    Config {
        shards: dice.size(1, 4),
        auth: if authenticated { AuthMode::Required } else { AuthMode::Off },
        verifier: authenticated.then(token::verifier),
        auth_timeout_ms: timeout_ms,
        handshake_timeout_ms: timeout_ms,
        profile: (*dice.pick(&["native", "native", "chat", "support", "topic", "t3"])).to_owned(),
        ping_interval_ms: 1_500,
        ping_timeout_ms: timeout_ms,
        limits: Limits {
            messages: rate(20, 1_000, 10),
            typing: rate(10, 60_000, 10),
            presence: rate(30, 60_000, 30),
            events: rate(12, 1_000, 8),
            outbound_queue_bytes_max: dice.size(1_500, 24_000),
            ..Limits::default()
        },
        history,
        presence_grace_ms: *dice.pick(&[0, 300, 2_000]),
        presence_room_max: *dice.pick(&[2, 200]),
        room_classes: vec![
            RoomClassRule { pattern: "eph.*".to_owned(), class: RoomClass::Ephemeral },
            RoomClassRule { pattern: "queue.*".to_owned(), class: RoomClass::Queued },
        ],
        session_ttl_ms: *dice.pick(&[1_500, 8_000]),
        session_key: crate::config::SessionKey([7; 32]),
        socketio: SocketIo {
            ping_interval_ms: 1_500,
            ping_timeout_ms: timeout_ms,
            connect_timeout_ms: timeout_ms,
            ..SocketIo::default()
        },
        queue_ttl_ms: *dice.pick(&[2_000, 40_000]),
        ring_items_max: if patient { *dice.pick(&[1, 2, 8, 32]) } else { 4_096 },
        ..Config::default()
    }
}
