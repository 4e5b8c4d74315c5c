//! The state of one connection, without its socket.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;

use super::delivery_log::{DeliveryLog, Goodbye};
use super::engine::{Own, Role, Session as EngineSession};
use super::http::TurnAway;
use super::outbound_queue::OutboundQueue;
use super::websocket::WebSocket;
use crate::access::limits::{Bucket, SharedBucket};
use crate::access::permission::{Additions, Identity};
use crate::clock::{Now, Soon};
use crate::config::Config;
use crate::id::{ConnectionId, Offset, SessionId};
use crate::mesh::item::Caller;
use crate::protocol::catalog::Event;
use crate::protocol::command::{Position, RequestId};
use crate::protocol::profile::{PROFILES, Variant};
use crate::protocol::push::Push;
use crate::room::directory::RoomKey;
use crate::room::pattern::Pattern;
use crate::user::progress::Place;
use crate::user::watch::Target;

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
    /// It brought a polling request that is not answered yet.
    Carrying,
    /// A WebSocket that wants to take over a polling session.
    Probing,
    /// One that does so as soon as what was received is read up to there.
    Moving,
    /// The last frame is queued; the socket goes at this time at the latest.
    Closing {
        /// On the shard's clock.
        deadline: Soon,
    },
}

/// One room of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Subscription {
    /// Its key in the shard's directory.
    pub room: RoomKey,
    /// What the owner knows it as, for as long as it lasts.
    pub number: u32,
    /// Tells an answer for this subscription from one for an earlier one.
    pub sequence: u32,
    /// Whether the owner has let it in, so that messages arrive.
    pub joined: bool,
    /// Whether the server forced it, so that the client cannot leave.
    pub forced: bool,
    /// Whether the user's owner knows that the user is in the room.
    pub told: bool,
    /// Where the stream stood when the owner let it in.
    pub since: Offset,
    /// Rate of typing starts.
    pub typing: Bucket,
}

/// A session that a connection wants to resume.
#[derive(Debug)]
pub struct Resume {
    /// Who asked, if it was the client with a command.
    pub caller: Option<Caller>,
    /// The user whose session it is.
    pub user: Arc<str>,
    /// Where the client knows to have been, by room.
    pub positions: Vec<(String, Position)>,
    /// Where a Socket.IO client has been; it gets all that it missed, or begins anew.
    pub place: Option<Place>,
}

/// In which of the shard's flush lists a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dirty {
    /// In none.
    #[default]
    Clean,
    /// In that of what may wait to share a write by its lane.
    Delayed {
        /// The low half of when it is to be flushed: a whole moment would cost every connection more than it is worth.
        until_ms: u32,
    },
    /// In that of what waits to share a write because the shard has much to do.
    Coalescing {
        /// The low half of when it is to be flushed: a whole moment would cost every connection more than it is worth.
        until_ms: u32,
    },
    /// In that of large fan-outs.
    Bulk,
    /// In that of everything else.
    Urgent,
}

impl Dirty {
    /// Whether it waits until just then.
    pub(crate) fn waits_until(self, ms: u64) -> bool {
        let wanted = Self::low_half(ms);
        matches!(self, Self::Delayed { until_ms } | Self::Coalescing { until_ms } if until_ms == wanted)
    }

    /// Whether it may wait until then: whoever waits for something sooner does not.
    pub(crate) fn yields_to(self, ms: u64) -> bool {
        match self {
            Self::Clean => true,
            Self::Delayed { until_ms } => until_ms.wrapping_sub(Self::low_half(ms)).cast_signed() > 0,
            Self::Coalescing { .. } | Self::Bulk | Self::Urgent => false,
        }
    }

    /// What is kept of a moment.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "moments that are compared are less than 49 days apart"
    )]
    pub(crate) fn low_half(ms: u64) -> u32 {
        ms as u32
    }
}

/// Pushes that wait: for the client's first frame, which may still change the dialect, or for what a session has missed,
/// which comes before them.
#[derive(Debug, Default)]
pub struct Held {
    /// Whether the first frame is yet to come.
    pub for_dialect: bool,
    /// Whether a session is being recovered.
    pub for_recovery: bool,
    /// In order.
    pub pushes: Vec<Push>,
    /// Bytes of their content.
    pub bytes: usize,
}

/// What most connections never need, or only at their end: beside them, so that they stay small.
#[derive(Debug, Default)]
pub struct Rare {
    /// Whether the acceptor turned it away: it is answered so once its head is read.
    pub turn_away: Option<TurnAway>,
    /// Unusable first messages so far.
    pub auth_failures: u8,
    /// Whether it resumed an earlier session.
    pub recovered: bool,
    /// The session that it wants to resume, until that is decided.
    pub resume: Option<Box<Resume>>,
    /// The user at whose owner its session is; its own, but for anonymous ones.
    pub session_user: Option<Arc<str>>,
    /// The token of a session that it came with, until it is authenticated.
    pub session_token: Option<Box<str>>,
    /// What had been written when the client closed with a close frame.
    pub goodbye: Option<Goodbye>,
    /// Whose presence it watches.
    pub watches: Vec<Target>,
    /// Its patterns.
    pub patterns: Vec<Pattern>,
    /// Rate of refusals, beyond which it is closed.
    pub refusals: Bucket,
    /// When it is closed because the server drains.
    pub drain_ms: Option<u64>,
    /// What it is told then.
    pub reconnect_ms: u64,
    /// What a hook added to its token.
    pub additions: Option<Box<Additions>>,
    /// Rooms into which the application let it, whatever its token says, until it leaves them.
    pub granted: Vec<Arc<str>>,
    /// Its events that are on their way to backends.
    pub forwards: u8,
}

/// What a connection has that needs nothing of it.
static NOTHING_RARE: Rare = Rare {
    turn_away: None,
    auth_failures: 0,
    recovered: false,
    resume: None,
    session_user: None,
    session_token: None,
    goodbye: None,
    watches: Vec::new(),
    patterns: Vec::new(),
    refusals: Bucket::FULL,
    drain_ms: None,
    reconnect_ms: 0,
    additions: None,
    granted: Vec::new(),
    forwards: 0,
};

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
    /// Pushes that wait, for as long as they do.
    pub held: Option<Box<Held>>,
    /// Who it is, once authenticated.
    pub identity: Option<Arc<Identity>>,
    /// What it is to the rooms.
    pub session: SessionId,
    /// Up to where its client has certainly got its rooms, where that matters.
    pub log: Option<Box<DeliveryLog>>,
    /// Who it was, once it has left its rooms.
    pub departed: Option<Arc<Identity>>,
    /// When it is closed for another connection that resumes its session, whether it has said how far it has got or not.
    pub evicted: Option<Soon>,
    /// What the client calls itself, as a number of the shard.
    pub agent: Option<NonZeroU16>,
    /// Its rooms.
    pub subscriptions: Vec<Subscription>,
    /// The part that it plays for a Socket.IO client.
    pub role: Option<Box<Role>>,
    /// What most connections never need.
    rare: Option<Box<Rare>>,
    /// Answers that must come before the next frame is read.
    pub awaiting: u32,
    /// Set while unread replies or awaited answers stop its reading.
    pub paused: bool,
    /// Rate of all events.
    pub events: Bucket,
    /// Rate of messages, shared with the user's other connections.
    pub messages: Option<Arc<SharedBucket>>,
    /// When it was accepted; when it became a WebSocket.
    pub opened_ms: u64,
    /// When it was last heard.
    pub heard_ms: u64,
    /// How long it had been silent then, in milliseconds.
    pub silent_ms: u32,
    /// When a ping went out that nothing was heard since.
    pub pinged: Option<Soon>,
    /// Whether `auth:expiring` was pushed for the present token.
    pub warned: bool,
    /// The earliest entry for it in the timer wheel.
    pub timer_ms: u64,
    /// In which flush list it stands.
    pub dirty: Dirty,
    /// Whether the socket takes nothing until it is writable.
    pub blocked: bool,
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
            variant: Variant::new(PROFILES[0].dialect, &PROFILES[0]),
            may_switch: false,
            held: None,
            identity: None,
            session,
            log: None,
            departed: None,
            evicted: None,
            agent: None,
            subscriptions: Vec::new(),
            role: None,
            rare: turn_away.map(|_| Box::new(Rare { turn_away, ..Rare::default() })),
            awaiting: 0,
            paused: false,
            events: Bucket::default(),
            messages: None,
            opened_ms: now.ms,
            heard_ms: now.ms,
            silent_ms: 0,
            pinged: None,
            warned: false,
            timer_ms: u64::MAX,
            dirty: Dirty::Clean,
            blocked: false,
            counted_pending: turn_away.is_none(),
            attach: None,
            shut: false,
            reset: false,
        }
    }

    /// What most connections do not have.
    #[must_use]
    pub fn rare(&self) -> &Rare {
        self.rare.as_deref().unwrap_or(&NOTHING_RARE)
    }

    /// The same to change it, if there is anything.
    pub fn rare_if_any(&mut self) -> Option<&mut Rare> {
        self.rare.as_deref_mut()
    }

    /// The same to put something there.
    pub fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Whether it has subscriptions that a session does not bring back: a Socket.IO client that is told that it was
    /// recovered asks for nothing again.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        let asked = |target: &Target| matches!(target, Target::User(_) | Target::Room(_));
        !self.rare().patterns.is_empty() || self.rare().watches.iter().any(asked)
    }

    /// The user at whose owner its session is, who has it no longer.
    pub fn take_session_user(&mut self) -> Option<Arc<str>> {
        self.rare_if_any()?.session_user.take()
    }

    /// All that it watches, and watches no more.
    pub fn take_watches(&mut self) -> Vec<Target> {
        self.rare_if_any().map(|rare| std::mem::take(&mut rare.watches)).unwrap_or_default()
    }

    /// When an answer to the ping is overdue. Counted from the ping, so that a process that stood still for a while
    /// asks everybody once more before it closes them.
    #[must_use]
    pub fn pong_due_ms(&self, config: &Config, now: Now) -> u64 {
        let (interval_ms, timeout_ms) = self.ping_ms(config);
        let patience_ms = timeout_ms.saturating_sub(interval_ms);
        self.pinged.map_or(u64::MAX, |pinged| pinged.ms(now.ms) + patience_ms)
    }

    /// Silence after which it is pinged, and after which it is closed.
    #[must_use]
    pub fn ping_ms(&self, config: &Config) -> (u64, u64) {
        self.variant.profile.ping_ms.unwrap_or((config.ping_interval_ms, config.ping_timeout_ms))
    }

    /// The Engine.IO session that it is.
    #[must_use]
    pub fn engine(&self) -> Option<&EngineSession> {
        match self.role.as_deref() {
            Some(Role::Session(session)) => Some(session),
            _ => None,
        }
    }

    /// The same to change it.
    pub fn engine_mut(&mut self) -> Option<&mut EngineSession> {
        match self.role.as_deref_mut() {
            Some(Role::Session(session)) => Some(session),
            _ => None,
        }
    }

    /// Whether anybody waits for answers: not when a Socket.IO client has left the namespace that they belong to.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.engine().is_none_or(|session| session.own != Own::Left)
    }

    /// Whether it has no socket: it polls, or is a further namespace of another connection.
    #[must_use]
    pub fn is_virtual(&self) -> bool {
        match self.role.as_deref() {
            Some(Role::Session(session)) => session.polling.is_some(),
            Some(Role::Child(_)) => true,
            _ => false,
        }
    }

    /// Whether the next thing to do for it is to read a request that has come, at least in part.
    #[must_use]
    pub fn awaits_request(&self) -> bool {
        self.phase == Phase::Head && !self.unread.is_empty() && self.queue.is_empty()
    }

    /// Where a Socket.IO client is when it has got all that is queued for it.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        self.log.as_ref()?.place()
    }

    /// It was heard.
    pub fn note_heard(&mut self, now: Now) {
        let silent_ms = now.ms.saturating_sub(std::mem::replace(&mut self.heard_ms, now.ms));
        self.silent_ms = u32::try_from(silent_ms).unwrap_or(u32::MAX);
    }

    /// Whether it takes part: its last frame is not queued.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !matches!(self.phase, Phase::Closing { .. })
    }

    /// Whether it is a user's.
    #[must_use]
    pub fn is_user(&self, user: &str) -> bool {
        self.identity.as_ref().is_some_and(|identity| *identity.user == *user)
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
