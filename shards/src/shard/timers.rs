//! What happens to connections and rooms when nothing else happens: pings, time-outs, graces, ends of tokens.
//!
//! A connection has one entry in the wheel for its next deadline. Deadlines that move later are not rescheduled: the
//! entry fires, finds nothing due and is put back.

use std::num::NonZeroU64;
use std::sync::Arc;

use super::Shard;
use super::lifecycle::CLOSE_TIMEOUT_MS;
use crate::clock::{Now, Soon};
use crate::config::Config;
use crate::connection::engine::Role;
use crate::connection::http::Refusal;
use crate::connection::outbound_queue::FrameClass;
use crate::connection::{Connection, Phase};
use crate::effect::Release;
use crate::id::ConnectionId;
use crate::protocol::close_code::CloseCode;
use crate::protocol::frame;
use crate::protocol::push::Push;

/// How long pushes wait for a client's first frame, which may still change the dialect.
const DIALECT_WAIT_MS: u64 = 1_000;
/// How long a request head may take when somebody waits for it.
const HURRIED_HEAD_TIMEOUT_MS: u64 = 1_000;

/// Whose time has come.
#[derive(Debug)]
pub(super) enum Timer {
    Connection(ConnectionId),
    Room(Arc<str>),
    User(Arc<str>),
}

impl Shard {
    /// Time has passed.
    pub fn on_tick(&mut self, now: Now) {
        // What the tick itself sends to other shards waits for its end, and is no full ring.
        self.reads_clients = self.may_read_clients();
        self.retry_due_claims(now);
        let mut due = Vec::new();
        self.timers.advance(now.ms, &mut due);
        for timer in due {
            match timer {
                Timer::Connection(id) => self.on_client_due(id, now),
                Timer::Room(name) => self.on_room_due(&name, now),
                Timer::User(name) => self.on_user_due(&name, now),
            }
            self.settle(now);
        }
        self.checkpoint_some();
        self.settle(now);
    }

    /// Makes sure that the connection's timer fires at its next deadline.
    pub(super) fn schedule_client(&mut self, slot: usize, now: Now) {
        let head_timeout_ms = self.head_timeout_ms(slot);
        let client = &mut self.connections[slot];
        let due = match client.phase {
            Phase::Head => client.opened_ms + head_timeout_ms,
            _ => next_due_ms(client, &self.config, now),
        };
        if due < client.timer_ms {
            client.timer_ms = due;
            self.timers.schedule(due, Timer::Connection(client.id));
        }
    }

    fn on_client_due(&mut self, id: ConnectionId, now: Now) {
        let Some(client) = self.client_mut(id).filter(|client| client.timer_ms <= now.ms) else { return };
        client.timer_ms = u64::MAX;
        let slot = id.slot as usize;
        match client.phase {
            Phase::Head => self.on_head_due(slot, now),
            Phase::Pending => self.on_pending_due(slot, now),
            Phase::Attaching | Phase::Open => self.on_open_due(slot, now),
            Phase::Echo => {
                if !self.on_drain_due(slot, now) {
                    self.on_silence(slot, now);
                }
            }
            Phase::Carrying | Phase::Moving => {}
            Phase::Probing => {
                if Self::probe_deadline_ms(client).is_some_and(|due| due.get() <= now.ms) {
                    self.close(slot, CloseCode::Policy, "no upgrade in time", now);
                }
            }
            Phase::Closing { deadline } if deadline.ms(now.ms) <= now.ms => {
                let how = if client.shut && !client.reset { Release::Close } else { Release::Reset };
                return self.release(slot, how, now);
            }
            Phase::Closing { .. } => {}
        }
        if self.client(id).is_some() {
            self.schedule_client(slot, now);
        }
    }

    fn on_head_due(&mut self, slot: usize, now: Now) {
        let client = &self.connections[slot];
        if client.opened_ms + self.head_timeout_ms(slot) <= now.ms {
            if client.queue.written() > 0 && client.unread.is_empty() {
                // It has had its answers, and nobody asks for more; or it does not take them.
                return self.release(slot, Release::Close, now);
            }
            self.admission_failed(slot);
            self.refuse(slot, &Refusal::new(408, "the request head did not arrive in time"), now);
        }
    }

    /// Neither a drain nor the few places for those who are turned away wait long for a request that may never come.
    fn head_timeout_ms(&self, slot: usize) -> u64 {
        let timeout_ms = self.config.handshake_timeout_ms;
        if !self.connections[slot].queue.is_empty() {
            // It is taking an answer, for as long as a session may stay silent.
            let settings = &self.config.socketio;
            return timeout_ms.max(settings.ping_interval_ms + settings.ping_timeout_ms);
        }
        let hurried = self.draining || self.connections[slot].rare().turn_away.is_some();
        if hurried { timeout_ms.min(HURRIED_HEAD_TIMEOUT_MS) } else { timeout_ms }
    }

    fn on_pending_due(&mut self, slot: usize, now: Now) {
        if self.on_drain_due(slot, now) {
            return;
        }
        let is_engine = self.connections[slot].engine().is_some();
        if !is_engine && self.connections[slot].opened_ms + self.config.auth_timeout_ms <= now.ms {
            self.admission_failed(slot);
            return self.close(slot, CloseCode::AuthTimeout, "no authentication in time", now);
        }
        self.on_silence(slot, now);
    }

    fn on_open_due(&mut self, slot: usize, now: Now) {
        if self.on_drain_due(slot, now) {
            return;
        }
        let client = &self.connections[slot];
        if client.evicted.is_some_and(|at| at.ms(now.ms) <= now.ms) {
            return self.give_up_session(slot, now);
        }
        if waits_for_dialect(client) && client.opened_ms + DIALECT_WAIT_MS <= now.ms {
            self.settle_dialect(slot, now);
            if !self.connections[slot].is_active() {
                return;
            }
        }
        if let Some(expires_unix_ms) = self.identity(slot).expires_unix_ms() {
            if expires_unix_ms <= now.unix_ms {
                return self.close(slot, CloseCode::AuthFailed, "the token has expired", now);
            }
            let warns = now.unix_ms + self.config.auth_expiring_lead_ms >= expires_unix_ms;
            if warns && !self.connections[slot].warned {
                self.connections[slot].warned = true;
                self.push(slot, &Push::Expiring { expires_unix_ms }, FrameClass::Reliable, now);
            }
        }
        self.ask_progress(slot, now);
        self.on_silence(slot, now);
    }

    /// Whether it is the connection's turn to go because the server drains.
    fn on_drain_due(&mut self, slot: usize, now: Now) -> bool {
        let rare = self.connections[slot].rare();
        let due = rare.drain_ms.is_some_and(|at| at <= now.ms);
        if due {
            let reason = format!("reconnect={}", rare.reconnect_ms);
            self.close(slot, CloseCode::Restart, &reason, now);
        }
        due
    }

    /// Pings who is silent, and closes who does not answer.
    fn on_silence(&mut self, slot: usize, now: Now) {
        if self.connections[slot].role.is_some() {
            return self.on_heartbeat(slot, now);
        }
        let reading = self.reads_clients;
        let client = &mut self.connections[slot];
        if !client.is_active() {
            return;
        }
        if !reading {
            // Nobody is heard while a ring is full; that is not the clients' silence.
            client.heard_ms = now.ms;
            client.pinged = None;
        }
        match client.pinged {
            Some(_) if client.pong_due_ms(&self.config, now) <= now.ms => {
                self.close(slot, CloseCode::Policy, "ping time-out", now);
            }
            None if client.heard_ms + client.ping_ms(&self.config).0 <= now.ms => {
                client.pinged = Some(Soon::at(now.ms));
                self.send(slot, frame::ping(b""), FrameClass::Control);
            }
            _ => {}
        }
    }
}

fn waits_for_dialect(client: &Connection) -> bool {
    client.held.as_ref().is_some_and(|held| held.for_dialect)
}

/// When something is due for the connection next.
fn next_due_ms(client: &Connection, config: &Config, now: Now) -> u64 {
    let silence_ms = match (client.role.as_deref(), client.pinged) {
        (Some(Role::Session(session)), _) => session.next_due_ms(),
        (Some(_), _) => u64::MAX,
        (None, Some(_)) => client.pong_due_ms(config, now),
        (None, None) => client.heard_ms + client.ping_ms(config).0,
    };
    let auth_ms = if client.role.is_some() { u64::MAX } else { client.opened_ms + config.auth_timeout_ms };
    let drain_ms = client.rare().drain_ms.unwrap_or(u64::MAX);
    match client.phase {
        Phase::Head | Phase::Carrying | Phase::Moving => u64::MAX,
        Phase::Probing => Shard::probe_deadline_ms(client).map_or(u64::MAX, NonZeroU64::get),
        Phase::Pending => silence_ms.min(drain_ms).min(auth_ms),
        Phase::Attaching | Phase::Open => {
            let held_ms =
                if waits_for_dialect(client) { client.opened_ms + DIALECT_WAIT_MS } else { u64::MAX };
            let evicted_ms = client.evicted.map_or(u64::MAX, |at| at.ms(now.ms));
            let probe_ms = client.log.as_ref().and_then(|log| log.next_probe_ms()).unwrap_or(u64::MAX);
            let token_ms = token_due_ms(client, config, now);
            [silence_ms, drain_ms, held_ms, evicted_ms, probe_ms, token_ms]
                .into_iter()
                .min()
                .unwrap_or(u64::MAX)
        }
        Phase::Echo => silence_ms.min(drain_ms),
        Phase::Closing { deadline } => deadline.ms(now.ms).min(now.ms + CLOSE_TIMEOUT_MS),
    }
}

/// When the token's coming end must be told, or has come, on the shard's own clock.
fn token_due_ms(client: &Connection, config: &Config, now: Now) -> u64 {
    let Some(expires) = client.identity.as_ref().and_then(|identity| identity.expires_unix_ms()) else {
        return u64::MAX;
    };
    let due_unix_ms =
        if client.warned { expires } else { expires.saturating_sub(config.auth_expiring_lead_ms) };
    now.ms + due_unix_ms.saturating_sub(now.unix_ms)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    use super::*;
    use crate::id::ShardId;

    const HEAD: &[u8] = b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

    fn at(ms: u64) -> Now {
        Now { ms, unix_ms: ms }
    }

    #[test]
    fn a_crowd_that_falls_silent_is_closed_in_one_tick() {
        let config = Config { shards: 2, ..Config::default() };
        let (interval_ms, timeout_ms) = (config.ping_interval_ms, config.ping_timeout_ms);
        let mut shard = Shard::new(ShardId(0), Arc::new(config), 1, [7; 32], at(0));
        for _ in 0..16 {
            let id = shard.on_open(Ipv4Addr::LOCALHOST.into(), None, at(0));
            shard.on_bytes(id, HEAD, at(0));
        }
        shard.effects.outboxes.iter_mut().for_each(|outbox| outbox.items.clear());
        shard.on_tick(at(interval_ms + 1_000));
        shard.on_tick(at(timeout_ms + 10_000));
        let leaves = shard.overflow_items();
        let closing = shard.connections.iter().filter(|(_, client)| !client.is_active()).count();
        assert!(leaves > 0, "whoever goes leaves rooms on another shard");
        assert_eq!(closing, 16);
    }
}
