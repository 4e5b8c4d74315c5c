//! The state of one connection, without its socket.

use std::net::IpAddr;
use std::sync::Arc;

use super::http::TurnAway;
use super::outbound_queue::OutboundQueue;
use super::websocket::WebSocket;
use crate::access::limits::{Bucket, SharedBucket};
use crate::access::permission::Identity;
use crate::clock::Now;
use crate::config::Config;
use crate::id::{ConnectionId, SessionId};
use crate::protocol::catalog::Event;
use crate::protocol::command::RequestId;
use crate::protocol::profile::{PROFILES, Variant};
use crate::protocol::push::Push;
use crate::room::directory::RoomKey;
use crate::room::pattern::Pattern;

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The request head is not complete.
    Head,
    /// A WebSocket that has not authenticated: it may do that and ping.
    Pending,
    /// Authenticated; its forced rooms are being entered, and what it sends meanwhile waits.
    Attaching,
    /// Authenticated.
    Open,
    /// The plain echo for conformance suites.
    Echo,
    /// The last frame is queued; the socket goes at this time at the latest.
    Closing {
        /// Milliseconds on the shard's clock.
        deadline_ms: u64,
    },
}

/// One room of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Subscription {
    /// Its key in the shard's directory.
    pub room: RoomKey,
    /// Tells an answer for this subscription from one for an earlier one.
    pub sequence: u32,
    /// Whether the owner has let it in, so that messages arrive.
    pub joined: bool,
    /// Whether the server forced it, so that the client cannot leave.
    pub forced: bool,
}

/// In which of the shard's flush lists a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dirty {
    /// In none.
    #[default]
    Clean,
    /// In that of large fan-outs.
    Bulk,
    /// In that of everything else.
    Urgent,
}

/// Pushes that wait for the client's first frame, which may still change the dialect.
#[derive(Debug, Default)]
pub struct Held {
    /// In order.
    pub pushes: Vec<Push>,
    /// Bytes of their content.
    pub bytes: usize,
}

/// One client's end of a WebSocket.
#[derive(Debug)]
pub struct Connection {
    /// Its id on this shard.
    pub id: ConnectionId,
    /// The address that it came from.
    pub peer: IpAddr,
    /// How far it has come.
    pub phase: Phase,
    /// Inbound frames.
    pub socket: WebSocket,
    /// Bytes received but not read yet: the head, or what waits while the connection is held.
    pub unread: Vec<u8>,
    /// Outbound frames.
    pub queue: OutboundQueue,
    /// Dialect and profile.
    pub variant: Variant,
    /// Whether the first frame, which is yet to come, may switch the dialect.
    pub may_switch: bool,
    /// Pushes that wait for the first frame, for as long as they do.
    pub held: Option<Box<Held>>,
    /// Who it is, once authenticated.
    pub identity: Option<Arc<Identity>>,
    /// What it is to the rooms.
    pub session: SessionId,
    /// Its rooms.
    pub subscriptions: Vec<Subscription>,
    /// Its patterns.
    pub patterns: Vec<Pattern>,
    /// Answers that must come before the next frame is read.
    pub awaiting: u32,
    /// Set while unread replies or awaited answers stop its reading.
    pub paused: bool,
    /// Rate of all events.
    pub events: Bucket,
    /// Rate of refusals, beyond which it is closed.
    pub refusals: Bucket,
    /// Rate of messages, shared with the user's other connections.
    pub messages: Option<Arc<SharedBucket>>,
    /// Unusable first messages so far.
    pub auth_failures: u8,
    /// When it was accepted; when it became a WebSocket.
    pub opened_ms: u64,
    /// When it was last heard.
    pub heard_ms: u64,
    /// When a ping went out that nothing was heard since.
    pub pinged_ms: Option<u64>,
    /// Whether `auth:expiring` was pushed for the present token.
    pub warned: bool,
    /// When it is closed because the server drains.
    pub drain_ms: Option<u64>,
    /// What it is told then.
    pub reconnect_ms: u64,
    /// The earliest entry for it in the timer wheel.
    pub timer_ms: u64,
    /// In which flush list it stands.
    pub dirty: Dirty,
    /// Whether the socket takes nothing until it is writable.
    pub blocked: bool,
    /// Whether the acceptor turned it away: it is answered so once its head is read.
    pub turn_away: Option<TurnAway>,
    /// Whether the acceptor still counts it as pending.
    pub counted_pending: bool,
    /// While its forced rooms are being entered: the `auth` to answer then.
    pub attach: Option<Box<(Event, RequestId)>>,
    /// Whether the socket was told that nothing more comes.
    pub shut: bool,
    /// Whether it ends with a reset instead of waiting for the client.
    pub reset: bool,
}

impl Connection {
    /// A connection whose head is yet to come.
    #[must_use]
    pub fn new(
        id: ConnectionId,
        peer: IpAddr,
        session: SessionId,
        turn_away: Option<TurnAway>,
        now: Now,
    ) -> Self {
        Self {
            id,
            peer,
            phase: Phase::Head,
            socket: WebSocket::default(),
            unread: Vec::new(),
            queue: OutboundQueue::default(),
            variant: Variant { dialect: PROFILES[0].dialect, profile: &PROFILES[0] },
            may_switch: false,
            held: None,
            identity: None,
            session,
            subscriptions: Vec::new(),
            patterns: Vec::new(),
            awaiting: 0,
            paused: false,
            events: Bucket::default(),
            refusals: Bucket::default(),
            messages: None,
            auth_failures: 0,
            opened_ms: now.ms,
            heard_ms: now.ms,
            pinged_ms: None,
            warned: false,
            drain_ms: None,
            reconnect_ms: 0,
            timer_ms: u64::MAX,
            dirty: Dirty::Clean,
            blocked: false,
            turn_away,
            counted_pending: turn_away.is_none(),
            attach: None,
            shut: false,
            reset: false,
        }
    }

    /// When an answer to the ping is overdue. Counted from the ping, so that a process that stood still for a while
    /// asks everybody once more before it closes them.
    #[must_use]
    pub fn pong_due_ms(&self, config: &Config) -> u64 {
        let patience_ms = config.ping_timeout_ms.saturating_sub(config.ping_interval_ms);
        self.pinged_ms.map_or(u64::MAX, |pinged_ms| pinged_ms + patience_ms)
    }

    /// Whether it takes part: its last frame is not queued.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !matches!(self.phase, Phase::Closing { .. })
    }

    /// The subscription to a room.
    #[must_use]
    pub fn subscription(&self, room: RoomKey) -> Option<&Subscription> {
        self.subscriptions.iter().find(|subscription| subscription.room == room)
    }

    /// The subscription to a room, to change it.
    pub fn subscription_mut(&mut self, room: RoomKey) -> Option<&mut Subscription> {
        self.subscriptions.iter_mut().find(|subscription| subscription.room == room)
    }
}
