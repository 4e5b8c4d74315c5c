//! Rings and sockets that are only memory: bounded, slow, and cut at inconvenient places.

use std::collections::VecDeque;

use super::store::Store;
use crate::connection::http::TurnAway;
use crate::effect::Release;
use crate::mesh::item::Item;

/// A ring between two shards: first in, first out, each item after its delay.
#[derive(Debug)]
pub(super) struct Ring {
    items: VecDeque<(u64, Item)>,
    capacity: usize,
    /// Items that were ever put in, and that came out.
    pub(super) pushed: usize,
    popped: usize,
}

impl Ring {
    pub(super) fn new(capacity: usize) -> Self {
        Self { items: VecDeque::new(), capacity, pushed: 0, popped: 0 }
    }

    /// Puts an item in, to come out at `due_ms` or when the item before it does; given back when the ring is full.
    pub(super) fn push(&mut self, item: Item, due_ms: u64) -> Result<(), Item> {
        if self.items.len() >= self.capacity {
            return Err(item);
        }
        let due_ms = self.items.back().map_or(due_ms, |(last_ms, _)| due_ms.max(*last_ms));
        self.items.push_back((due_ms, item));
        self.pushed += 1;
        Ok(())
    }

    pub(super) fn pop(&mut self, now_ms: u64) -> Option<Item> {
        let due = self.items.front().is_some_and(|(due_ms, _)| *due_ms <= now_ms);
        let item = if due { self.items.pop_front() } else { None };
        self.popped += usize::from(item.is_some());
        item.map(|(_, item)| item)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

/// How the client's end of a socket stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ClientEnd {
    Open,
    /// It closed: what it sent still arrives, and then the end of the stream.
    Finished,
    /// It died: whatever was under way is lost.
    Reset,
}

/// How the shard's end of a socket stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServerEnd {
    Open,
    /// Nothing more is sent.
    Finished,
    /// Closed or reset.
    Released(Release),
    /// It belongs to the control plane now.
    HandedOver,
}

/// Both directions of one connection.
#[derive(Debug)]
pub(super) struct Socket {
    upstream: VecDeque<(u64, Vec<u8>)>,
    downstream: VecDeque<u8>,
    /// Bytes that were on their way to the client when it died.
    lost: u64,
    /// Whether it is certain how many bytes the client had taken when the shard let the socket go.
    pub(super) accounted: Option<bool>,
    /// When that was.
    pub(super) released_ms: Option<u64>,
    /// When the shard began to close the connection.
    pub(super) closing_ms: Option<u64>,
    /// The shard that did so, and up to which item of its rings it has told others.
    pub(super) told: Option<(usize, Vec<usize>)>,
    /// Whether the shard has more to send than the socket takes.
    pub(super) behind: bool,
    capacity: usize,
    pub(super) client: ClientEnd,
    pub(super) server: ServerEnd,
}

impl Socket {
    /// A socket whose send buffer holds `capacity` bytes.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            upstream: VecDeque::new(),
            downstream: VecDeque::new(),
            lost: 0,
            accounted: None,
            released_ms: None,
            closing_ms: None,
            told: None,
            behind: false,
            capacity,
            client: ClientEnd::Open,
            server: ServerEnd::Open,
        }
    }

    /// The client sends bytes, which arrive at `due_ms`.
    pub(super) fn send(&mut self, bytes: Vec<u8>, due_ms: u64) {
        let due_ms = self.upstream.back().map_or(due_ms, |(last_ms, _)| due_ms.max(*last_ms));
        self.upstream.push_back((due_ms, bytes));
    }

    /// The client takes at most so many bytes.
    pub(super) fn take(&mut self, bytes_max: usize) -> Vec<u8> {
        let bytes = self.downstream.len().min(bytes_max);
        self.downstream.drain(..bytes).collect()
    }

    /// Bytes that were written and that the client has not taken.
    pub(super) fn unacknowledged(&self) -> u64 {
        self.downstream.len() as u64 + self.lost
    }

    /// Whether the client has taken everything that reached it.
    pub(super) fn is_read(&self) -> bool {
        self.downstream.is_empty()
    }

    /// The client dies.
    pub(super) fn reset(&mut self) {
        self.client = ClientEnd::Reset;
        self.upstream.clear();
        self.lost += self.downstream.len() as u64;
        self.downstream.clear();
    }

    /// The shard receives at most so many bytes of what has arrived.
    pub(super) fn receive(&mut self, now_ms: u64, bytes_max: usize) -> Vec<u8> {
        let mut received = Vec::new();
        while received.len() < bytes_max {
            let Some((_, bytes)) = self.upstream.front_mut().filter(|(due_ms, _)| *due_ms <= now_ms) else {
                break;
            };
            let taken = bytes.len().min(bytes_max - received.len());
            received.extend(bytes.drain(..taken));
            if bytes.is_empty() {
                self.upstream.pop_front();
            }
        }
        received
    }

    /// Whether the client closed and everything that it sent was received.
    pub(super) fn at_end(&self) -> bool {
        self.client == ClientEnd::Finished && self.upstream.is_empty()
    }

    /// The client closes. What it has not read, or is sent from now on, is answered with a reset.
    pub(super) fn finish(&mut self) {
        if self.downstream.is_empty() { self.client = ClientEnd::Finished } else { self.reset() }
    }

    /// The shard sends; how many bytes the send buffer took.
    pub(super) fn write(&mut self, bytes: &[u8]) -> usize {
        if self.client == ClientEnd::Finished {
            self.reset();
        }
        let taken = bytes.len().min(self.free());
        self.downstream.extend(&bytes[..taken]);
        if self.client == ClientEnd::Reset {
            self.lost += taken as u64;
            self.downstream.clear();
        }
        taken
    }

    /// Free bytes of the send buffer.
    pub(super) fn free(&self) -> usize {
        self.capacity - self.downstream.len()
    }

    /// Whether nothing is under way in either direction.
    pub(super) fn is_idle(&self) -> bool {
        self.client != ClientEnd::Open || (self.upstream.is_empty() && self.downstream.is_empty())
    }

    /// The process that had it is gone, and so is whatever was under way.
    pub(super) fn lose_server(&mut self, now_ms: u64) {
        if self.server == ServerEnd::Open || self.server == ServerEnd::Finished {
            self.release(Release::Reset);
            self.accounted = Some(false);
            self.released_ms = Some(now_ms);
        }
        // The next one knows of none of them.
        self.told = Some((0, Vec::new()));
    }

    /// The shard lets the socket go.
    pub(super) fn release(&mut self, how: Release) {
        self.server = ServerEnd::Released(how);
        self.upstream.clear();
        if how == Release::Reset {
            self.downstream.clear();
        }
    }
}

/// A socket on its way from the acceptor to its home shard.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) socket: usize,
    /// The status with which the acceptor refuses it, if it does.
    pub(super) refuse: Option<TurnAway>,
}

/// All rings and sockets of a run.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) arrivals: Vec<Arrival>,
    /// From each shard to each shard.
    pub(super) rings: Vec<Vec<Ring>>,
    /// Of all connections ever made.
    pub(super) sockets: Vec<Socket>,
    /// What outlives a process.
    pub(super) store: Store,
}

impl Network {
    pub(super) fn new(shards: usize, ring_items_max: usize) -> Self {
        let row = || (0..shards).map(|_| Ring::new(ring_items_max)).collect();
        Self {
            arrivals: Vec::new(),
            rings: (0..shards).map(|_| row()).collect(),
            sockets: Vec::new(),
            store: Store::new(shards),
        }
    }

    /// Whether all shards know of a socket's end.
    pub(super) fn knows_end(&self, socket: usize) -> bool {
        let told = self.sockets[socket].told.as_ref();
        told.is_some_and(|(shard, items)| {
            self.rings[*shard].iter().zip(items).all(|(ring, told)| ring.popped >= *told)
        })
    }

    pub(super) fn is_idle(&self) -> bool {
        self.store.is_idle()
            && self.rings.iter().flatten().all(Ring::is_empty)
            && self.sockets.iter().all(Socket::is_idle)
    }
}
