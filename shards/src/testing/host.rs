//! One shard with its rim played: sockets are read and written, rings emptied and filled, ticks given.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::dice::Dice;
use super::ledger::Ledger;
use super::network::{ClientEnd, Network, ServerEnd};
use super::scenario::Scenario;
use super::store::Store;
use crate::clock::Now;
use crate::connection::http::TurnAway;
use crate::effect::{AdmissionEvent, Release, SocketEffect};
use crate::id::{ConnectionId, ShardId};
use crate::shard::Shard;
use crate::timer_wheel::TICK_MS;

/// Bytes of small frames that are written together.
const SCRATCH_BYTES_MAX: usize = 1024;
/// Bytes of frames that never count against a queue: handshake, ping, close.
const CONTROL_BYTES_MAX: usize = 512;
/// Bytes of one message's frame beside its padding.
const FRAME_BYTES: usize = 1024;

/// A connection as the rim knows it.
#[derive(Debug)]
struct Attached {
    socket: usize,
    /// Whether it is read; if not, [`SocketEffect::Resume`] must follow.
    reading: bool,
    /// Whether it waits for the socket to be writable.
    blocked: bool,
}

/// What the acceptor heard of one connection.
#[derive(Debug, Default)]
struct Admitted {
    authenticated: u32,
    closed: u32,
}

/// Everything that a shard's turn may touch.
pub(super) struct Around<'a> {
    pub(super) now: Now,
    pub(super) dice: &'a mut Dice,
    pub(super) network: &'a mut Network,
    pub(super) ledger: &'a mut Ledger,
    pub(super) scenario: &'a Scenario,
}

/// A shard and its rim.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) shard: Shard,
    attached: BTreeMap<ConnectionId, Attached>,
    admitted: BTreeMap<IpAddr, Admitted>,
    next_tick_ms: u64,
    paused_until_ms: u64,
    scratch: Vec<u8>,
}

impl Host {
    pub(super) fn new(shard: Shard) -> Self {
        Self {
            shard,
            attached: BTreeMap::new(),
            admitted: BTreeMap::new(),
            next_tick_ms: 0,
            paused_until_ms: 0,
            scratch: Vec::new(),
        }
    }

    /// The acceptor hands a socket over; each comes from an address of its own.
    pub(super) fn open(&mut self, socket: usize, peer: IpAddr, turn_away: Option<TurnAway>, now: Now) {
        let id = self.shard.on_open(peer, turn_away, now);
        self.attached.insert(id, Attached { socket, reading: true, blocked: false });
        self.admitted.insert(peer, Admitted::default());
    }

    /// One turn of the rim's loop, unless the shard is paused.
    pub(super) fn turn(&mut self, faults: bool, around: &mut Around<'_>) {
        let now = around.now;
        if self.paused_until_ms > now.ms {
            return;
        }
        if faults && around.dice.permille(around.scenario.faults_permille) {
            self.paused_until_ms = now.ms + around.dice.between(20, 900);
            around.ledger.totals.shard_pauses += 1;
            return;
        }
        around.ledger.totals.turns += 1;
        // The load of a shard, and so how long frames wait to share a write, may change at any moment.
        let busy = around.dice.percent(50);
        self.shard.set_coalescing(if busy { around.scenario.config.latency_budget_ms } else { 0 }, now);
        let store = std::mem::replace(&mut around.network.store, Store::new(0));
        store.tell(self, now);
        around.network.store = store;
        self.read_clients(around);
        self.drain_rings(around);
        if self.next_tick_ms <= now.ms {
            self.next_tick_ms = now.ms + TICK_MS;
            self.shard.on_tick(now);
        }
        self.shard.flush_delayed(now);
        self.flush(around);
        self.apply_socket_effects(around);
        self.take_admissions(around);
        self.leave_behind(around);
        self.fill_rings(around);
        self.check_queues(around);
    }

    fn read_clients(&mut self, around: &mut Around<'_>) {
        let may_read = self.shard.may_read_clients();
        let ids: Vec<_> = self.attached.keys().copied().collect();
        for id in ids {
            let attached = self.attached.get_mut(&id).expect("only effects detach");
            let socket = &mut around.network.sockets[attached.socket];
            if socket.client == ClientEnd::Reset {
                attached.reading = false;
                self.shard.on_gone(id, around.now);
                continue;
            }
            if attached.blocked && socket.free() > 0 {
                attached.blocked = false;
                self.shard.on_writable(id);
            }
            if !attached.reading || !may_read {
                continue;
            }
            let bytes = socket.receive(around.now.ms, around.dice.size(1, 900));
            if !bytes.is_empty() {
                self.shard.on_bytes(id, &bytes, around.now);
                attached.reading = self.shard.wants_bytes(id);
            } else if socket.at_end() {
                attached.reading = false;
                self.shard.on_gone(id, around.now);
            }
        }
    }

    fn drain_rings(&mut self, around: &mut Around<'_>) {
        let own = self.shard.id();
        for (from, rings) in (0u16..).zip(&mut around.network.rings) {
            let mut budget = around.dice.between(1, 40);
            while let Some(item) = (budget > 0).then(|| rings[own.index()].pop(around.now.ms)).flatten() {
                budget -= 1;
                self.shard.on_ring(ShardId(from), item, around.now);
            }
        }
    }

    fn leave_behind(&mut self, around: &mut Around<'_>) {
        self.shard.tell_on(around.now);
        if let Some(batch) = self.shard.take_batch() {
            around.network.store.take(self.shard.id(), batch, around.now, around.dice);
        }
    }

    fn fill_rings(&mut self, around: &mut Around<'_>) {
        let rings = &mut around.network.rings[self.shard.id().index()];
        for (ring, outbox) in rings.iter_mut().zip(&mut self.shard.effects.outboxes) {
            while let Some(item) = outbox.pop() {
                let due_ms = around.now.ms + around.dice.between(0, around.scenario.ring_delay_ms);
                if let Err(item) = ring.push(item, due_ms) {
                    around.ledger.totals.full_rings += 1;
                    outbox.unpop(item);
                    break;
                }
            }
        }
    }

    fn flush(&mut self, around: &mut Around<'_>) {
        while let Some(id) = self.shard.effects.dirty.pop_front() {
            self.flush_one(id, around);
        }
        let mut slice = around.dice.between(1, 16);
        while let Some(id) = (slice > 0).then(|| self.shard.effects.bulk.pop_front()).flatten() {
            slice -= 1;
            self.flush_one(id, around);
        }
    }

    fn flush_one(&mut self, id: ConnectionId, around: &mut Around<'_>) {
        if !self.shard.begin_flush(id, around.now) {
            return;
        }
        let Some(attached) = self.attached.get_mut(&id) else {
            return around.ledger.violate("effects name connections", format!("{id:?} is flushed"));
        };
        let socket = &mut around.network.sockets[attached.socket];
        while let Some(queue) = self.shard.queue(id) {
            let chunk = queue.next_write(&mut self.scratch, SCRATCH_BYTES_MAX);
            if chunk.is_empty() {
                break;
            }
            if socket.server != ServerEnd::Open {
                return around.ledger.violate("nothing is sent after the end", format!("{id:?}"));
            }
            let (wanted, written) = (chunk.len(), socket.write(chunk));
            if written > 0 {
                self.shard.on_written(id, written, around.now);
            }
            if written < wanted {
                self.shard.on_blocked(id);
                attached.blocked = true;
                break;
            }
        }
    }

    fn apply_socket_effects(&mut self, around: &mut Around<'_>) {
        for effect in std::mem::take(&mut self.shard.effects.sockets) {
            around.ledger.note(|| format!("{:>6} {:?} {effect:?}", around.now.ms, self.shard.id()));
            let id = match &effect {
                SocketEffect::ShutdownWrite(id)
                | SocketEffect::Release(id, _)
                | SocketEffect::HandOver(id, _)
                | SocketEffect::Resume(id)
                | SocketEffect::Move { id, .. }
                | SocketEffect::Rebind { from: id, .. } => *id,
            };
            // A connection may be resumed and released in one turn, and nothing else.
            let Some(attached) = self.attached.get_mut(&id) else {
                if !matches!(effect, SocketEffect::Resume(_)) {
                    around.ledger.violate("effects name connections", format!("{effect:?}"));
                }
                continue;
            };
            let attached_socket = attached.socket;
            let socket = &mut around.network.sockets[attached_socket];
            match effect {
                SocketEffect::Resume(_) => attached.reading = true,
                // The simulation's clients do not poll.
                SocketEffect::Move { .. } | SocketEffect::Rebind { .. } => {
                    around.ledger.violate("no socket moves", format!("{id:?}"));
                }
                SocketEffect::ShutdownWrite(_) => {
                    if self.shard.queue(id).is_some_and(|queue| !queue.is_empty()) {
                        around.ledger.violate("a socket is shut when all is sent", format!("{id:?}"));
                    }
                    socket.server = ServerEnd::Finished;
                }
                SocketEffect::Release(_, how) => {
                    let unacknowledged = socket.unacknowledged();
                    socket.release(how);
                    socket.accounted = Some(self.shard.trusts_release(id, unacknowledged));
                    socket.released_ms = Some(around.now.ms);
                    self.attached.remove(&id);
                    if self.shard.awaits_release(id) {
                        self.shard.on_released(id, unacknowledged, around.now);
                    }
                    let index = self.shard.id().index();
                    let told = around.network.rings[index].iter().zip(&self.shard.effects.outboxes);
                    let told = told.map(|(ring, outbox)| ring.pushed + outbox.items.len()).collect();
                    around.network.sockets[attached_socket].told = Some((index, told));
                }
                SocketEffect::HandOver(_, bytes) => {
                    around.ledger.totals.hand_overs += 1;
                    if !bytes.starts_with(b"GET /healthz") {
                        around.ledger.violate("plain HTTP is handed over whole", format!("{bytes:?}"));
                    }
                    socket.release(Release::Close);
                    socket.server = ServerEnd::HandedOver;
                    socket.told = Some((self.shard.id().index(), Vec::new()));
                    self.attached.remove(&id);
                }
            }
        }
    }

    fn take_admissions(&mut self, around: &mut Around<'_>) {
        for admission in std::mem::take(&mut self.shard.effects.admissions) {
            let Some(admitted) = self.admitted.get_mut(&admission.peer) else {
                return around.ledger.violate("admissions name connections", format!("{admission:?}"));
            };
            match admission.event {
                AdmissionEvent::Authenticated => admitted.authenticated += 1,
                AdmissionEvent::Failed | AdmissionEvent::Recognised => {}
                AdmissionEvent::Closed { pending, refused } => {
                    admitted.closed += 1;
                    let counted = !pending && !refused;
                    if counted != (admitted.authenticated > 0) {
                        around.ledger.violate("admissions balance", format!("{admission:?} of {admitted:?}"));
                    }
                }
            }
            if admitted.authenticated > 1 || admitted.closed > 1 {
                around.ledger.violate("admissions balance", format!("{admission:?} came twice"));
            }
        }
    }

    /// Pushes never fill a queue beyond its limit, one frame excepted.
    fn check_queues(&mut self, around: &mut Around<'_>) {
        let frame_bytes = around.scenario.padding_bytes_max + FRAME_BYTES;
        let most = self.shard_queue_limit(around).max(frame_bytes);
        for (id, attached) in &self.attached {
            let Some(queue) = self.shard.queue(*id) else { continue };
            let socket = &mut around.network.sockets[attached.socket];
            socket.behind = !queue.is_empty();
            if self.shard.is_closing(*id) {
                socket.closing_ms.get_or_insert(around.now.ms);
            }
            let bytes = queue.bytes() - queue.reply_bytes();
            // What a further namespace answers is handed on to the session's queue up to a quarter of that.
            let limit = most.max(queue.largest_frame() + most / 4) + CONTROL_BYTES_MAX;
            if bytes > limit {
                around
                    .ledger
                    .violate("queues are bounded", format!("{bytes} of {limit} bytes wait for {id:?}"));
            }
        }
    }

    fn shard_queue_limit(&self, around: &Around<'_>) -> usize {
        around.scenario.config.limits.outbound_queue_bytes_max
    }

    /// Whether the shard has nothing to do but to wait for time.
    pub(super) fn is_idle(&self) -> bool {
        let empty = |id: &ConnectionId| self.shard.queue(*id).is_none_or(|queue| queue.is_empty());
        self.shard.overflow_items() == 0
            && self.shard.next_flush_ms().is_none()
            && self.attached.keys().all(empty)
    }

    /// When everybody is gone, nothing may be left of them.
    pub(super) fn check_empty(&self, ledger: &mut Ledger) {
        if !self.shard.is_quiescent() || !self.attached.is_empty() {
            let snapshot = self.shard.snapshot();
            let what = format!("shard {:?}, {} sockets, {snapshot:?}", self.shard.id(), self.attached.len());
            ledger.violate("nothing is left when everybody is gone", what);
        }
        if let Some((peer, admitted)) = self.admitted.iter().find(|(_, admitted)| admitted.closed != 1) {
            ledger.violate("admissions balance", format!("{peer}: {admitted:?}"));
        }
    }
}
