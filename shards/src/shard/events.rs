//! The latest events of connections, for whoever watches the gateway: who came, who went and why.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use ahash::HashMap;

use super::Shard;
use crate::clock::Now;
use crate::gateway_event::Ended;
use crate::id::SessionId;
use crate::protocol::close_code::CloseCode;
use crate::protocol::error_code::ErrorCode;
use crate::protocol::write::{display, key, name, quoted, string, time};
use crate::room::name::local;

/// Events that a process keeps; the oldest go first.
const EVENTS_MAX: usize = 4096;
/// Different names that clients may have for themselves before further ones are left out.
const AGENTS_MAX: usize = 1024;

/// The latest events of a shard's connections; they are written when somebody asks.
#[derive(Debug)]
pub(super) struct ConnectionEvents {
    events: VecDeque<ConnectionEvent>,
    events_max: usize,
}

/// What happened to a connection, when, and which it was.
#[derive(Debug)]
struct ConnectionEvent {
    happened: Happened,
    unix_ms: u64,
    lasted_ms: u64,
    session: SessionId,
    peer: IpAddr,
    user: Option<Arc<str>>,
    agent: Option<Arc<str>>,
}

/// What clients call themselves, each once: the number of one is its place and one more.
#[derive(Debug, Default)]
pub(super) struct Agents {
    by_name: HashMap<Arc<str>, NonZeroU16>,
    names: Vec<Arc<str>>,
}

impl Agents {
    fn intern(&mut self, name: &str) -> Option<NonZeroU16> {
        if let Some(known) = self.by_name.get(name) {
            return Some(*known);
        }
        if self.names.len() >= AGENTS_MAX {
            return None;
        }
        let name: Arc<str> = name.into();
        self.names.push(Arc::clone(&name));
        let number = NonZeroU16::new(u16::try_from(self.names.len()).ok()?)?;
        self.by_name.insert(name, number);
        Some(number)
    }

    fn name(&self, number: NonZeroU16) -> Option<&Arc<str>> {
        self.names.get(usize::from(number.get()) - 1)
    }
}

impl ConnectionEvents {
    pub(super) fn new(shards: usize) -> Self {
        Self { events: VecDeque::new(), events_max: (EVENTS_MAX / shards.max(1)).max(1) }
    }

    fn push(&mut self, event: ConnectionEvent) {
        if self.events.len() >= self.events_max {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// How a session's connection ended, if that was the last that happened.
    pub(super) fn end_of(&self, session: SessionId) -> Option<Ended> {
        match self.events.back().filter(|event| event.session == session)?.happened {
            Happened::Closed(code) => Some(Ended::Closed(code)),
            Happened::Lost => Some(Ended::Lost),
            _ => None,
        }
    }

    /// The newest, in order of time.
    pub(super) fn latest(&self, limit: usize) -> Vec<(u64, Vec<u8>)> {
        let skipped = self.events.len().saturating_sub(limit);
        self.events.iter().skip(skipped).map(|event| (event.unix_ms, event.write())).collect()
    }
}

/// What happened to a connection.
#[derive(Debug, Clone, Copy)]
pub(super) enum Happened {
    /// It became a WebSocket.
    Connected,
    /// It authenticated.
    Authenticated,
    /// It could not.
    AuthFailed,
    /// A close frame went out, or came in.
    Closed(CloseCode),
    /// Its socket went without one.
    Lost,
}

impl Happened {
    fn name(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Authenticated => "authenticated",
            Self::AuthFailed => "auth_failed",
            Self::Closed(_) | Self::Lost => "disconnected",
        }
    }
}

impl Shard {
    /// Notes what happened to a connection.
    pub(super) fn note_event(&mut self, slot: usize, happened: Happened, now: Now) {
        let client = &self.connections[slot];
        self.connection_events.push(ConnectionEvent {
            happened,
            unix_ms: now.unix_ms,
            lasted_ms: now.ms.saturating_sub(client.opened_ms),
            session: client.session,
            peer: client.peer,
            user: client.identity.as_ref().map(|identity| Arc::clone(&identity.user)),
            agent: client.agent.and_then(|agent| self.agents.name(agent).cloned()),
        });
    }

    /// A client's name for itself, kept once for all who have the same.
    pub(super) fn intern_agent(&mut self, agent: Option<&str>) -> Option<NonZeroU16> {
        self.agents.intern(agent?)
    }
}

impl ConnectionEvent {
    fn write(&self) -> Vec<u8> {
        let mut out = vec![b'{'];
        let out_ref = &mut out;
        key(out_ref, "timestamp");
        time(out_ref, self.unix_ms);
        key(out_ref, "type");
        name(out_ref, self.happened.name());
        if let Some(user) = &self.user {
            key(out_ref, "userId");
            name(out_ref, local(user));
        }
        key(out_ref, "sessionId");
        quoted(out_ref, self.session);
        key(out_ref, "ip");
        quoted(out_ref, self.peer);
        if let Some(agent) = &self.agent {
            key(out_ref, "userAgent");
            string(out_ref, agent);
        }
        match self.happened {
            Happened::Closed(code) => {
                key(out_ref, "code");
                display(out_ref, code.number());
                key(out_ref, "reason");
                name(out_ref, code.name());
            }
            Happened::Lost => {
                key(out_ref, "reason");
                name(out_ref, "lost");
            }
            Happened::AuthFailed => {
                key(out_ref, "code");
                name(out_ref, ErrorCode::AuthFailed.name());
            }
            Happened::Connected | Happened::Authenticated => {}
        }
        if matches!(self.happened, Happened::Closed(_) | Happened::Lost) {
            key(out_ref, "durationMs");
            display(out_ref, self.lasted_ms);
        }
        out.push(b'}');
        out
    }
}
