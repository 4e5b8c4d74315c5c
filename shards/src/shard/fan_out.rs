//! One message or notice to all local subscribers (steps 7 to 9 of the path of a message).
//!
//! Encoded once for each dialect and profile in use; a recipient costs a reference and a place in its queue.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::flushing::{Patience, mark_dirty};
use super::subscriptions::follows;
use super::{Overload, Shard};
use crate::clock::Now;
use crate::config::RoomClass;
use crate::connection::delivery_log::DeliveryLog;
use crate::connection::outbound_queue::{FrameClass, Pushed};
use crate::connection::{Connection, Phase};
use crate::protocol::close_code::CloseCode;
use crate::protocol::message::{Audience, Eyes, Lane, Publication};
use crate::protocol::profile::{Dialect, Variant};
use crate::protocol::push::{Except, News, Notice, Push};
use crate::protocol::socketio::write::OpenEvent;
use crate::room::directory::{LocalRoom, RoomKey};
use crate::room::name::local;
use crate::user::progress::Place;

/// Recipients beyond which a fan-out is flushed in slices, so that others do not wait for it.
const BULK_RECIPIENTS: usize = 512;
/// Bytes of pushes that may wait for a client's first frame.
const HELD_BYTES_MAX: usize = 64 << 10;

/// The encodings of one push, made when the first recipient needs them. Few variants are in use at a time.
struct Encodings<'a> {
    push: &'a Push,
    /// Where a Socket.IO client is behind it, if that is the same for all.
    place: Option<Place>,
    /// The number for the answer that Socket.IO clients are asked for.
    ack: Option<u64>,
    frames: SmallVec<[(u16, Encoding); 2]>,
}

/// A push as one variant has it.
#[derive(Clone)]
enum Encoding {
    /// The variant has no such push.
    Nothing,
    /// The same for everybody.
    Whole(Bytes),
    /// An event that ends with the place of its recipient.
    Open(OpenEvent),
}

impl Encoding {
    /// The frames for one recipient.
    #[cold]
    fn close(&self, client: &Connection) -> Option<Bytes> {
        match self {
            Self::Nothing => None,
            Self::Whole(frame) => Some(frame.clone()),
            Self::Open(event) => Some(event.close(client.place())),
        }
    }
}

impl<'a> Encodings<'a> {
    fn new(push: &'a Push) -> Self {
        Self { push, place: None, ack: None, frames: SmallVec::new() }
    }

    fn get(&mut self, client: &Connection, scratch: &mut Vec<u8>) -> Option<Bytes> {
        let index = client.variant.index();
        match self.frames.iter().find(|(known, _)| *known == index) {
            Some((_, Encoding::Whole(frame))) => Some(frame.clone()),
            Some((_, encoding)) => encoding.close(client),
            None => {
                let encoding = self.encode(client.variant, scratch);
                let frame = encoding.close(client);
                self.frames.push((index, encoding));
                frame
            }
        }
    }

    fn encode(&self, variant: Variant, scratch: &mut Vec<u8>) -> Encoding {
        if variant.dialect != Dialect::SocketIo {
            return self.push.encode(scratch, variant).map_or(Encoding::Nothing, Encoding::Whole);
        }
        match (self.push.open(variant, self.ack), self.place) {
            (None, _) => Encoding::Nothing,
            (Some(event), Some(place)) => Encoding::Whole(event.close(Some(place))),
            (Some(event), None) => Encoding::Open(event),
        }
    }

    fn encoded(&self) -> u64 {
        self.frames.len() as u64
    }
}

impl Shard {
    /// A room's message, for whoever is here.
    pub(super) fn on_publication(&mut self, publication: &Arc<Publication>, now: Now) {
        let class = self.directory.find(&publication.room).map(|key| self.directory.get(key).class);
        let class = class.unwrap_or_else(|| self.classes.of(&publication.room));
        if class == RoomClass::Ephemeral && self.overload() >= Overload::DropEphemeral {
            self.metrics.publications_shed += 1;
            return;
        }
        let class = if class == RoomClass::Ephemeral { FrameClass::Ephemeral } else { FrameClass::Reliable };
        let began_us = self.stopwatch.as_ref().map(|stopwatch| stopwatch.0());
        let push = Push::Message(Arc::clone(publication));
        let exclude = publication.exclude.session();
        if let Some(key) = self.directory.find(&publication.room) {
            let room = self.directory.get_mut(key);
            (room.epoch, room.offset) = (publication.epoch, publication.offset);
            match &publication.exclude {
                Except::User(user) => self.push_to_room(key, &push, class, now, |it| !it.is_user(user)),
                _ => self.push_to_room(key, &push, class, now, |it| Some(it.session) != exclude),
            }
        }
        if !self.patterns.is_empty() {
            self.push_to_patterns(publication, &push, class, now);
        }
        if let (Some(began_us), Some(stopwatch)) = (began_us, &self.stopwatch) {
            self.metrics.fan_out.observe(stopwatch.0().saturating_sub(began_us));
        }
    }

    /// Something about a room or its members.
    pub(super) fn on_notice(&mut self, notice: &Notice, now: Now) {
        let Some(key) = self.directory.find(&notice.room) else { return };
        let room = self.directory.get_mut(key);
        match &notice.news {
            News::Edge { joined: true, .. } => room.users += 1,
            News::Edge { .. } => room.users = room.users.saturating_sub(1),
            News::Count { members } => room.users = *members,
            News::Trouble { epoch, offset, .. } => self.change_stream(key, *epoch, *offset),
            _ => {}
        }
        let wanted = |client: &Connection| match &notice.except {
            Except::Nobody => true,
            Except::Session(session) => client.session != *session,
            Except::User(user) => !client.is_user(user),
        };
        let class = if notice.is_ephemeral() { FrameClass::Ephemeral } else { FrameClass::Reliable };
        self.push_to_room(key, &Push::Room(notice.clone()), class, now, wanted);
        match notice.news {
            News::Closed => self.leave_closed(&notice.room),
            News::Trouble { offset, .. } => self.note_stream(key, offset),
            _ => {}
        }
    }

    fn push_to_room(
        &mut self,
        key: RoomKey,
        push: &Push,
        class: FrameClass,
        now: Now,
        wanted: impl Fn(&Connection) -> bool,
    ) {
        let Self { directory, connections, config, effects, metrics, scratch, waiting, ack_requests, .. } =
            self;
        let room = directory.get(key);
        let bytes_max = config.limits.outbound_queue_bytes_max;
        let message = match push {
            Push::Message(publication) => Some(publication),
            _ => None,
        };
        let counts = u64::from(message.is_some());
        let logged = message.filter(|_| class == FrameClass::Reliable);
        let batched = message.is_some_and(|publication| publication.lane == Lane::BatchDelay);
        let lane_until_ms = (batched && config.batch_delay_ms > 0).then(|| now.ms + config.batch_delay_ms);
        let patience = Patience { lane_until_ms, bulk: room.members.len() > BULK_RECIPIENTS };
        let mut encodings = Encodings::new(push);
        encodings.place = logged.map(|publication| Place::Behind(publication.epoch, publication.offset));
        encodings.ack = message.filter(|it| it.ack_requested).map(|it| ack_requests.add(it));
        let mut exceptional = Vec::new();
        for slot in &room.members {
            let client = &mut connections[*slot as usize];
            if !wanted(client) {
                continue;
            }
            if client.held.is_some() {
                if let Some((log, number)) = logged.and_then(|it| followed(client, (key, room), it)) {
                    log.owe(number);
                }
                if let Some(exception) = hold(client, push, bytes_max) {
                    exceptional.push((*slot, exception));
                }
                continue;
            }
            let Some(frame) = encodings.get(client, scratch) else { continue };
            match client.queue.push(frame, class, bytes_max) {
                Pushed::Queued => metrics.deliveries += counts,
                Pushed::Dropped(count) => {
                    metrics.deliveries += counts;
                    metrics.frames_dropped += u64::from(count);
                }
                Pushed::Full => {
                    exceptional.push((*slot, Exception::Slow));
                    if let Some(publication) = logged {
                        // It stands nowhere in the byte stream, so that it is never confirmed.
                        note_delivery(client, (key, room), publication, u64::MAX, now);
                    }
                    continue;
                }
            }
            if let Some(publication) = logged
                && (client.log.is_some() || room.class == RoomClass::Queued)
                && !extends(client, key, publication)
                && note_delivery(client, (key, room), publication, client.queue.end(), now)
                && lane_until_ms.is_none()
            {
                exceptional.push((*slot, Exception::Probe));
            }
            waiting.on_queued(client, effects, patience);
        }
        metrics.frames_encoded += encodings.encoded();
        for (slot, exception) in exceptional {
            self.except(slot as usize, exception, now);
        }
    }

    fn except(&mut self, slot: usize, exception: Exception, now: Now) {
        match exception {
            Exception::Slow => self.close_slow(slot, now),
            Exception::Release => self.settle_dialect(slot, now),
            Exception::Probe => self.ask_progress(slot, now),
        }
    }

    fn encodings<'a>(&mut self, push: &'a Push) -> Encodings<'a> {
        let mut encodings = Encodings::new(push);
        encodings.ack = match push {
            Push::Message(message) | Push::Kept(message) if message.ack_requested => {
                Some(self.ack_requests.add(message))
            }
            _ => None,
        };
        encodings
    }

    /// A push to one connection as an answer to what it asked for, whatever waits for it already.
    pub(super) fn give(&mut self, slot: usize, push: &Push) {
        let mut encodings = self.encodings(push);
        if let Some(frame) = encodings.get(&self.connections[slot], &mut self.scratch) {
            self.send(slot, frame, FrameClass::Reply);
        }
    }

    /// A push to some connections, encoded once for those who speak alike.
    pub(super) fn push_to(&mut self, slots: &[u32], push: &Push, class: FrameClass, now: Now) {
        let bytes_max = self.config.limits.outbound_queue_bytes_max;
        let patience = Patience { lane_until_ms: None, bulk: slots.len() > BULK_RECIPIENTS };
        let mut encodings = self.encodings(push);
        let mut exceptional = Vec::new();
        for slot in slots {
            let client = &mut self.connections[*slot as usize];
            if client.evicted.is_some() {
                continue;
            }
            if client.held.is_some() {
                if let Some(exception) = hold(client, push, bytes_max) {
                    exceptional.push((*slot, exception));
                }
                continue;
            }
            let Some(frame) = encodings.get(client, &mut self.scratch) else { continue };
            match client.queue.push(frame, class, bytes_max) {
                Pushed::Queued => {}
                Pushed::Dropped(count) => self.metrics.frames_dropped += u64::from(count),
                Pushed::Full => exceptional.push((*slot, Exception::Slow)),
            }
            self.waiting.on_queued(client, &mut self.effects, patience);
        }
        self.metrics.frames_encoded += encodings.encoded();
        for (slot, exception) in exceptional {
            self.except(slot as usize, exception, now);
        }
    }

    /// One copy for each connection, however many of its patterns match, and none for members of the room.
    fn push_to_patterns(&mut self, publication: &Publication, push: &Push, class: FrameClass, now: Now) {
        let room = &publication.room;
        let mut slots = Vec::new();
        self.patterns.for_each_match(local(room), |entry| slots.extend_from_slice(&entry.subscribers));
        slots.sort_unstable();
        slots.dedup();
        let key = self.directory.find(room);
        slots.retain(|slot| {
            let client = &self.connections[*slot as usize];
            let member =
                key.and_then(|key| client.subscription(key)).is_some_and(|subscription| subscription.joined);
            let allowed = client.identity.as_ref().is_some_and(|identity| {
                let named = |audience: &Arc<Audience>| audience.0.contains(&identity.user);
                let open = publication.audience.as_ref().is_none_or(named) || identity.is_entitled(room);
                let eyes = Eyes { session: client.session, user: &identity.user };
                identity.may_enter(room) && open && !publication.exclude.hides_from(eyes)
            });
            !member && allowed
        });
        self.metrics.deliveries += slots.len() as u64;
        self.push_to(&slots, push, class, now);
    }

    /// A message is about to be given to one connection, outside of a fan-out.
    pub(super) fn note_given(&mut self, slot: usize, publication: &Publication) {
        let Some(key) = self.directory.find(&publication.room) else { return };
        let client = &mut self.connections[slot];
        let number = client.subscription(key).map(|subscription| subscription.number);
        // It stands behind what is queued, and so behind a ping that was queued just now.
        let end = client.queue.end() + 1;
        if let (Some(number), Some(log)) = (number, client.log.as_mut().filter(|log| log.has_trail())) {
            log.note(number, publication.offset, end);
        }
    }

    /// A push to one connection.
    pub(super) fn push(&mut self, slot: usize, push: &Push, class: FrameClass, now: Now) {
        let slot = u32::try_from(slot).expect("slots fit 32 bits");
        self.push_to(&[slot], push, class, now);
    }

    /// From here on the dialect is settled: what waited for that is sent, unless it waits for more.
    pub(super) fn settle_dialect(&mut self, slot: usize, now: Now) {
        let Some(held) = &mut self.connections[slot].held else { return };
        held.for_dialect = false;
        if !held.for_recovery {
            self.release_held(slot, now);
        }
    }

    /// Sends, in the dialect as it is, what waited.
    pub(super) fn release_held(&mut self, slot: usize, now: Now) {
        let Some(held) = self.connections[slot].held.take() else { return };
        for push in held.pushes {
            let class = match &push {
                Push::Message(message) | Push::Kept(message) => {
                    self.note_given(slot, message);
                    FrameClass::Reliable
                }
                Push::Recovered(_) => FrameClass::Reliable,
                _ => FrameClass::Ephemeral,
            };
            self.push(slot, &push, class, now);
        }
        self.note_all(slot, false);
        self.ask_progress(slot, now);
    }

    /// Queues an answer or a control frame.
    pub(super) fn send(&mut self, slot: usize, frame: Bytes, class: FrameClass) {
        let client = &mut self.connections[slot];
        if client.evicted.is_some() && class != FrameClass::Control {
            return;
        }
        client.queue.push_always(frame, class);
        if class == FrameClass::Reply {
            self.waiting.on_queued(client, &mut self.effects, Patience::ANSWER);
        } else {
            mark_dirty(client, &mut self.effects, false);
        }
        let unread_max = self.config.limits.outbound_queue_bytes_max / 2;
        if client.queue.reply_bytes() > unread_max && !client.paused {
            client.paused = true;
            self.metrics.reads_paused += 1;
        }
    }

    /// Closes a slow consumer: its queue is dropped, and the socket is reset if it does not take even that.
    fn close_slow(&mut self, slot: usize, now: Now) {
        let client = &mut self.connections[slot];
        if matches!(client.phase, Phase::Closing { .. }) {
            return;
        }
        client.queue.clear();
        client.reset = true;
        self.close(slot, CloseCode::SlowConsumer, "slow consumer", now);
    }
}

/// What a fan-out could not do for a recipient in passing.
#[derive(Debug, Clone, Copy)]
enum Exception {
    /// Its queue is full.
    Slow,
    /// Too much waits for its first frame.
    Release,
    /// It is to be asked how far it has got.
    Probe,
}

/// Lets a push wait; what is to be done when too much does.
fn hold(client: &mut Connection, push: &Push, bytes_max: usize) -> Option<Exception> {
    let held = client.held.as_mut()?;
    held.bytes += push.cost();
    held.pushes.push(push.clone());
    match held.bytes {
        bytes if held.for_recovery => (bytes > bytes_max).then_some(Exception::Slow),
        bytes => (bytes > HELD_BYTES_MAX).then_some(Exception::Release),
    }
}

/// The log of a client whose progress in the room is followed, and the room's number there.
fn followed<'a>(
    client: &'a mut Connection,
    (key, room): (RoomKey, &LocalRoom),
    publication: &Publication,
) -> Option<(&'a mut DeliveryLog, u32)> {
    let is_session = client.log.as_ref().is_some_and(|log| log.is_session);
    if !follows(is_session, room.class) {
        return None;
    }
    let number = client.subscription(key)?.number;
    let log = client.log.get_or_insert_default();
    if !log.follows(number) {
        log.enter(number, &room.name, publication.epoch, publication.offset - 1);
    }
    Some((log, number))
}

/// Notes that a message is on its way to a client that was last given the one before it, in the same room.
fn extends(client: &mut Connection, key: RoomKey, publication: &Publication) -> bool {
    let Some(log) = &mut client.log else { return false };
    log.extend(key, publication.epoch, publication.offset, client.queue.end())
}

/// Notes that a message is on its way to a client whose progress is followed; whether the client is to be asked.
fn note_delivery(
    client: &mut Connection,
    place: (RoomKey, &LocalRoom),
    publication: &Publication,
    end: u64,
    now: Now,
) -> bool {
    let key = place.0;
    let Some((log, number)) = followed(client, place, publication) else { return false };
    log.begin_run(key, number, publication.offset, end);
    log.next_probe_ms().is_some_and(|due_ms| due_ms <= now.ms)
}
