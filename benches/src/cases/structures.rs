//! Data structures on the path of every message: patterns, timers, outbound queues.

use std::hint::black_box;

use bytes::Bytes;
use roomcast_shards::connection::outbound_queue::{FrameClass, OutboundQueue, Pushed};
use roomcast_shards::room::pattern::{Pattern, PatternTrie};
use roomcast_shards::timer_wheel::{TICK_MS, TimerWheel};

use super::{Case, warm};

/// Finding the patterns that a room's name matches: four, however many there are.
pub struct MatchPatterns {
    trie: PatternTrie<usize>,
}

const LOOKUPS: u32 = 10;
const MATCHING: [&str; 4] = ["orders.**", "orders.eu.*", "*.eu.4711", "orders.eu.4711"];

impl MatchPatterns {
    /// Among so many patterns.
    ///
    /// # Panics
    /// When those that match are not found.
    #[must_use]
    pub fn among(patterns: usize) -> Self {
        let mut trie = PatternTrie::new();
        let others = (MATCHING.len()..patterns).map(|number| match number % 4 {
            0 => format!("orders.{number}.*"),
            1 => format!("shops.{}.items.{number}", number % 1000),
            2 => format!("*.{number}.4711"),
            _ => format!("orders.eu.{number}.**"),
        });
        for text in MATCHING.iter().map(|text| (*text).to_owned()).chain(others) {
            *trie.entry(&Pattern::parse(&text).expect("a good pattern")) += 1;
        }
        assert_eq!(trie.len(), patterns);
        let case = warm(Self { trie }, 3);
        assert_eq!(case.matches(), MATCHING.len());
        case
    }

    fn matches(&self) -> usize {
        let mut found = 0;
        self.trie.for_each_match(black_box("orders.eu.4711"), |count| found += count);
        found
    }
}

impl Case for MatchPatterns {
    fn run(&mut self) {
        for _ in 0..LOOKUPS {
            black_box(self.matches());
        }
    }

    fn times(&self) -> u32 {
        LOOKUPS
    }
}

/// A round of timers: each comes once and is scheduled again for half a minute later.
pub struct TurnWheel {
    wheel: TimerWheel<u64>,
    due: Vec<u64>,
    now_ms: u64,
}

const TIMERS: u32 = 10_000;
const PERIOD_MS: u64 = 30_000;

impl TurnWheel {
    /// The case.
    #[must_use]
    pub fn new() -> Self {
        let mut wheel = TimerWheel::new(0);
        for timer in 0..u64::from(TIMERS) {
            wheel.schedule(1 + timer * PERIOD_MS / u64::from(TIMERS), timer);
        }
        // The wheel's round is 102.4 s: four of ours until every slot has been used.
        warm(Self { wheel, due: Vec::new(), now_ms: 0 }, 8)
    }
}

impl Default for TurnWheel {
    fn default() -> Self {
        Self::new()
    }
}

impl Case for TurnWheel {
    fn run(&mut self) {
        let end_ms = self.now_ms + PERIOD_MS;
        while self.now_ms < end_ms {
            self.now_ms += TICK_MS;
            self.wheel.advance(self.now_ms, &mut self.due);
            for timer in self.due.drain(..) {
                self.wheel.schedule(self.now_ms + PERIOD_MS, timer);
            }
        }
    }

    fn times(&self) -> u32 {
        TIMERS
    }
}

/// Queueing frames for a connection and writing them out: some alone, some together.
pub struct PassQueue {
    queue: OutboundQueue,
    frame: Bytes,
    buffer: Vec<u8>,
}

const ROUNDS: u32 = 100;
const TOGETHER: u32 = 4;
const FRAME_BYTES: usize = 350;
const QUEUE_BYTES_MAX: usize = 4 << 20;
const WRITE_BYTES_MAX: usize = 64 << 10;

impl PassQueue {
    /// The case.
    #[must_use]
    pub fn new() -> Self {
        let queue = OutboundQueue::default();
        let case = Self { queue, frame: vec![b'x'; FRAME_BYTES].into(), buffer: Vec::new() };
        warm(case, 3)
    }

    fn pass(&mut self, frames: u32) {
        for _ in 0..frames {
            let pushed = self.queue.push(self.frame.clone(), FrameClass::Reliable, QUEUE_BYTES_MAX);
            assert_eq!(pushed, Pushed::Queued);
        }
        while !self.queue.is_empty() {
            let written = black_box(self.queue.next_write(&mut self.buffer, WRITE_BYTES_MAX)).len();
            self.queue.advance(written);
        }
    }
}

impl Default for PassQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl Case for PassQueue {
    fn run(&mut self) {
        for _ in 0..ROUNDS {
            self.pass(1);
            self.pass(TOGETHER);
        }
    }

    fn times(&self) -> u32 {
        ROUNDS * (1 + TOGETHER)
    }
}
