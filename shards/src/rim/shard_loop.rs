//! One turn after the other: wait, receive, core, rings, tick, send.
//!
//! One loop a shard, not one task a connection: frames that a turn queues for one connection leave in one write, and
//! a sleep and a wake are paid once for all of them. While there is traffic the loop waits in `epoll_wait` itself,
//! which costs one system call; only an idle shard awaits the set through the executor, which costs about ten.
//! `waiting` is that part of a turn;
//! `effects` does what the core wants done.

mod effects;
mod shared;
mod storing;
mod waiting;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::StartError;
use super::inbox::{Accepted, Command, ControlAnswer, Inbox};
use super::poller::Poller;
use super::rings::Mesh;
use super::runtime::Awaitable;
use super::socket::{Socket, Sockets, Transfer};
use super::store::ShardStore;
use crate::access::revocations::Revocation;
use crate::clock::{Clock, Now};
use crate::coalescing::{Coalescing, Spent};
use crate::config::Config;
use crate::effect::Moved;
use crate::id::{ConnectionId, ShardId};
use crate::shard::{Overload, Shard};
use crate::timer_wheel::TICK_MS;

/// Bytes of one read, and of one write that many frames share.
const BUFFER_BYTES: usize = 64 << 10;
/// Reads of one turn; the rest is read after what they caused was sent.
const READS_MAX: usize = 512;
/// Items taken from each ring in one turn.
const RING_ITEMS_MAX: usize = 1024;
/// Sockets taken over in one turn.
const ACCEPTS_MAX: usize = 256;
/// Requests of the control plane that are taken in one turn.
const REQUESTS_MAX: usize = 512;
/// Answers of the control plane that are passed on in one turn.
const ANSWERS_MAX: usize = 256;
/// Recipients of large fan-outs that are flushed in one turn.
const BULK_FLUSHES_MAX: usize = 512;
/// Rounds through those that are to be flushed: what has no socket hands on what it has, from a namespace to a session and
/// from there to the request that waits.
const FLUSH_PASSES: usize = 3;
/// Writes to one connection in one turn.
const WRITES_MAX: usize = 8;
/// Turns for which a tick waits for sockets to be read.
const TICKS_PUT_OFF_MAX: u32 = 64;
/// A turn of so many microseconds means that new connections are refused, or ephemeral messages dropped.
const REFUSE_TURN_US: u64 = 500_000;
const DROP_TURN_US: u64 = 1_000_000;

/// What a shard begins with.
pub(super) struct Setup {
    pub(super) id: ShardId,
    pub(super) config: Arc<Config>,
    pub(super) mesh_seed: u64,
    pub(super) seed: [u8; 32],
    pub(super) clock: Clock,
    pub(super) store: Option<ShardStore>,
    /// Who is refused from the first moment on.
    pub(super) refused: Arc<[Revocation]>,
}

/// A shard with its sockets.
pub(super) struct ShardLoop {
    shard: Shard,
    clock: Clock,
    now: Now,
    ticked_ms: u64,
    /// Turns for which a tick that is due was put off.
    ticks_put_off: u32,
    inbox: Inbox,
    mesh: Mesh,
    poller: Poller,
    idle: Awaitable,
    sockets: Sockets,
    /// Sockets to read, in turn.
    readable: VecDeque<ConnectionId>,
    receive_buffer: Box<[u8]>,
    send_buffer: Vec<u8>,
    coalescing: Coalescing,
    spent: Spent,
    store: Option<ShardStore>,
    /// When the last turn began.
    turn_began_us: u64,
    /// The last events were the timer's alone.
    quiet: bool,
    running: bool,
}

impl ShardLoop {
    pub(super) fn new(setup: Setup, inbox: Inbox, mesh: Mesh) -> Result<Self, StartError> {
        let Setup { id, config, mesh_seed, seed, clock, mut store, refused } = setup;
        let poller = Poller::new(mesh.bell())?;
        let now = clock.now();
        let latency_budget_ms = config.latency_budget_ms;
        let mut shard = Shard::new(id, config, mesh_seed, seed, now);
        shard.measure_with(move || clock.micros());
        if let Some(saved) = store.as_mut().and_then(|store| store.saved.take()) {
            shard.restore(saved, now);
        }
        // There were no more of them than there may be.
        let _ = shard.note_revocations(&refused, now);
        let coalescing = Coalescing::new(latency_budget_ms, clock.micros());
        Ok(Self {
            shard,
            idle: Awaitable::new(poller.try_clone()?)?,
            clock,
            now,
            ticked_ms: now.ms,
            ticks_put_off: 0,
            inbox,
            mesh,
            poller,
            sockets: Sockets::default(),
            readable: VecDeque::new(),
            receive_buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            send_buffer: Vec::with_capacity(BUFFER_BYTES),
            coalescing,
            spent: Spent::default(),
            store,
            turn_began_us: 0,
            quiet: true,
            running: true,
        })
    }

    /// Serves until it is told to stop.
    pub(super) async fn run(mut self) {
        let mut ring_left = false;
        while self.running {
            let busy = ring_left || self.has_work();
            let ready = self.wait(busy).await;
            let began_us = self.clock.micros();
            self.turn_began_us = began_us;
            self.now = self.clock.now();
            self.shard.set_coalescing(self.coalescing.wait_ms(), self.now);
            self.hear_of_store();
            self.take_over_sockets();
            self.obey();
            self.take_requests();
            self.hear_engine();
            ring_left = self.receive_items();
            self.read_sockets();
            self.tick();
            self.shard.flush_delayed(self.now);
            self.leave_behind();
            self.send_items();
            self.ask_engine();
            self.apply_effects();
            let flushed = self.flush_in_time();
            // A write that failed has freed its connection's place: its socket goes before another takes that.
            self.apply_socket_effects();
            self.leave_behind();
            self.report();
            if busy || ready > 0 || flushed {
                self.note_turn(began_us);
            }
        }
    }

    /// Whether there is something to do without waiting for it.
    fn has_work(&self) -> bool {
        let effects = &self.shard.effects;
        let reads_clients = self.shard.may_read_clients();
        let reads = !self.readable.is_empty() && reads_clients;
        let asked = reads_clients && !self.inbox.requests.is_empty();
        let sends = !effects.bulk.is_empty() || !effects.dirty.is_empty() || !effects.sockets.is_empty();
        reads || asked || sends || self.shard.is_telling()
    }

    fn take_over_sockets(&mut self) {
        for _ in 0..ACCEPTS_MAX {
            let Ok(accepted) = self.inbox.accepted.try_recv() else { break };
            let Accepted { stream, peer, turn_away, moved } = accepted;
            let id = self.shard.on_open(peer, turn_away, self.now);
            let mut socket = Socket::new(id, stream, peer);
            if let Err(error) = self.poller.add(&socket, id) {
                tracing::error!(event = "epoll_add_failed", %error);
                self.shard.on_gone(id, self.now);
                continue;
            }
            // Usually the request is there already; if not, the poller tells when it comes.
            socket.readable = true;
            list(&mut socket, &mut self.readable);
            self.sockets.insert(socket);
            if let Some(Moved { received, pending, .. }) = moved {
                self.shard.on_moved(id, pending, &received, self.now);
            }
        }
    }

    fn obey(&mut self) {
        while let Ok(command) = self.inbox.commands.try_recv() {
            match command {
                Command::Snapshot(take) => {
                    let mut metrics = self.shard.snapshot();
                    metrics.ring_depth = self.mesh.depth() as u64;
                    metrics.load_percent = self.coalescing.load_percent();
                    metrics.coalescing_wait_ms = self.coalescing.wait_ms();
                    take(metrics);
                }
                Command::Quiesce => self.shard.on_quiesce(self.now),
                Command::Drain { spread_ms, window_ms } => {
                    self.shard.on_drain(spread_ms, window_ms, self.now)
                }
                Command::Shed(overload) => self.shard.set_process_overload(overload),
                Command::Stop => self.running = false,
            }
        }
        for _ in 0..ANSWERS_MAX {
            let Ok(ControlAnswer { caller, answer }) = self.inbox.answers.try_recv() else { break };
            self.shard.on_control(&caller, answer, self.now);
        }
    }

    /// What the control plane asks waits for room in the rings as clients do.
    fn take_requests(&mut self) {
        for _ in 0..REQUESTS_MAX {
            if !self.shard.may_read_clients() {
                return;
            }
            let Ok(ask) = self.inbox.requests.try_recv() else { return };
            self.shard.on_request_of_api(ask, self.now);
        }
    }

    /// Inbound rings are always drained, whatever else is full: so two full rings never wait for each other.
    fn receive_items(&mut self) -> bool {
        let Self { mesh, shard, now, .. } = self;
        mesh.receive(RING_ITEMS_MAX, |from, item| shard.on_ring(from, item, *now))
    }

    fn read_sockets(&mut self) {
        if !self.shard.may_read_clients() {
            let full = self.shard.is_store_full();
            self.shard.metrics.store_pauses += u64::from(full);
            self.shard.metrics.ring_pauses += u64::from(!full);
            return;
        }
        for _ in 0..READS_MAX.min(self.readable.len()) {
            let Some(id) = self.readable.pop_front() else { break };
            let Some(socket) = self.sockets.get_mut(id) else { continue };
            socket.listed = false;
            if !self.shard.wants_bytes(id) {
                continue;
            }
            self.shard.metrics.receives += 1;
            match socket.read(&mut self.receive_buffer) {
                Transfer::Bytes(bytes) => {
                    // Less than asked for means that the socket is empty, and the next bytes are an edge again.
                    socket.readable = bytes == self.receive_buffer.len() || socket.hang_up;
                    if socket.readable {
                        list(socket, &mut self.readable);
                    }
                    self.shard.on_bytes(id, &self.receive_buffer[..bytes], self.now);
                }
                Transfer::Blocked => socket.readable = false,
                Transfer::Finished => self.shard.on_finished(id, self.now),
                Transfer::Ended => self.shard.on_gone(id, self.now),
            }
        }
    }

    fn tick(&mut self) {
        if self.now.ms < self.ticked_ms + TICK_MS {
            return;
        }
        // After a stall, answers that lie in the sockets come before the judgement on who did not answer.
        if !self.readable.is_empty() && self.ticks_put_off < TICKS_PUT_OFF_MAX {
            self.ticks_put_off += 1;
            return;
        }
        self.ticks_put_off = 0;
        self.ticked_ms = self.now.ms;
        self.shard.on_tick(self.now);
    }

    fn send_items(&mut self) {
        let flushed = self.mesh.send(&mut self.shard.effects.outboxes);
        self.shard.metrics.ring_overflows += flushed.overflowed as u64;
        self.shard.metrics.doorbells += flushed.rung as u64;
    }

    /// Sends what is queued, and notes how long that took; whether anything was.
    fn flush_in_time(&mut self) -> bool {
        let effects = &self.shard.effects;
        if effects.dirty.is_empty() && effects.bulk.is_empty() {
            return false;
        }
        let began_us = self.clock.micros();
        self.flush();
        self.spent.send_us += self.clock.micros() - began_us;
        true
    }

    /// Sends what is queued: everything that is urgent, and a slice of the large fan-outs.
    fn flush(&mut self) {
        for _ in 0..FLUSH_PASSES {
            for _ in 0..self.shard.effects.dirty.len() {
                if let Some(id) = self.shard.effects.dirty.pop_front() {
                    self.flush_one(id);
                }
            }
        }
        let mut flushed = 0;
        while flushed < BULK_FLUSHES_MAX {
            let Some(id) = self.shard.effects.bulk.pop_front() else { break };
            flushed += usize::from(self.flush_one(id));
        }
    }

    /// Writes what waits for a connection, as far as the socket takes it; whether anything waited.
    fn flush_one(&mut self, id: ConnectionId) -> bool {
        if !self.shard.begin_flush(id, self.now) {
            return false;
        }
        let Some(socket) = self.sockets.get_mut(id) else { return false };
        for _ in 0..WRITES_MAX {
            let Some(queue) = self.shard.queue(id).filter(|queue| !queue.is_empty()) else { return true };
            let bytes = queue.next_write(&mut self.send_buffer, BUFFER_BYTES);
            let wanted = bytes.len();
            let last = queue.is_sealed() && wanted == queue.bytes();
            let transfer = socket.write(bytes, last);
            self.shard.metrics.sends += 1;
            match transfer {
                Transfer::Bytes(written) => {
                    let more = self.shard.on_written(id, written, self.now);
                    if written < wanted {
                        self.shard.on_blocked(id);
                    }
                    if written < wanted || !more {
                        return true;
                    }
                }
                Transfer::Blocked => {
                    self.shard.on_blocked(id);
                    return true;
                }
                Transfer::Ended | Transfer::Finished => {
                    self.shard.on_gone(id, self.now);
                    return true;
                }
            }
        }
        self.shard.on_writable(id);
        true
    }

    fn report(&mut self) {
        self.inbox.connections.store(self.shard.connections(), Ordering::Relaxed);
    }

    /// Counts the turn, and sheds load when turns become too long.
    fn note_turn(&mut self, began_us: u64) {
        let now_us = self.clock.micros();
        let took_us = now_us - began_us;
        self.shard.metrics.turns += 1;
        self.shard.metrics.turn.observe(took_us);
        let overload = match took_us {
            0..REFUSE_TURN_US => Overload::None,
            REFUSE_TURN_US..DROP_TURN_US => Overload::RefuseNew,
            _ => Overload::DropEphemeral,
        };
        self.shard.set_loop_overload(overload);
        self.spent.busy_us += took_us;
        (self.spent.sends, self.spent.frames) = (self.shard.metrics.sends, self.shard.metrics.frames_sent);
        self.coalescing.observe(self.spent, now_us);
    }
}

/// Puts a socket into the list of those to read, once.
fn list(socket: &mut Socket, readable: &mut VecDeque<ConnectionId>) {
    if !socket.listed {
        socket.listed = true;
        readable.push_back(socket.id);
    }
}
