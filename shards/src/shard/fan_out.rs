//! One message or notice to all local subscribers (steps 7 to 9 of the path of a message).
//!
//! Encoded once for each dialect and profile in use; a recipient costs a reference and a place in its queue.

use std::sync::Arc;

use bytes::Bytes;

use super::{Overload, Shard};
use crate::clock::Now;
use crate::config::RoomClass;
use crate::connection::outbound_queue::{FrameClass, Pushed};
use crate::connection::{Connection, Dirty, Phase};
use crate::effect::Effects;
use crate::id::SessionId;
use crate::protocol::close_code::CloseCode;
use crate::protocol::message::Publication;
use crate::protocol::profile::Variant;
use crate::protocol::push::{Notice, Push};

/// Recipients beyond which a fan-out is flushed in slices, so that others do not wait for it.
const BULK_RECIPIENTS: usize = 512;
/// Bytes of pushes that may wait for a client's first frame.
const HELD_BYTES_MAX: usize = 64 << 10;

/// The encodings of one push, made when the first recipient needs them.
struct Encodings<'a> {
    push: &'a Push,
    frames: [Option<Option<Bytes>>; Variant::COUNT],
    encoded: u64,
}

impl<'a> Encodings<'a> {
    fn new(push: &'a Push) -> Self {
        Self { push, frames: [const { None }; Variant::COUNT], encoded: 0 }
    }

    fn get(&mut self, variant: Variant, scratch: &mut Vec<u8>) -> Option<Bytes> {
        let (push, encoded) = (self.push, &mut self.encoded);
        let frame = self.frames[variant.index()].get_or_insert_with(|| {
            *encoded += 1;
            push.encode(scratch, variant)
        });
        frame.clone()
    }
}

/// Puts a connection into a flush list, unless it stands in one that comes sooner or waits for its socket.
pub(super) fn mark_dirty(client: &mut Connection, effects: &mut Effects, bulk: bool) {
    if client.blocked {
        return;
    }
    match (client.dirty, bulk) {
        (Dirty::Clean, true) => {
            client.dirty = Dirty::Bulk;
            effects.bulk.push_back(client.id);
        }
        (Dirty::Clean | Dirty::Bulk, false) => {
            client.dirty = Dirty::Urgent;
            effects.dirty.push_back(client.id);
        }
        _ => {}
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
        let exclude = publication.exclude;
        self.push_to_room(&publication.room, &push, class, now, |client| Some(client.session) != exclude);
        if !self.patterns.is_empty() {
            self.push_to_patterns(&publication.room, &push, class, exclude, now);
        }
        if let (Some(began_us), Some(stopwatch)) = (began_us, &self.stopwatch) {
            self.metrics.fan_out.observe(stopwatch.0().saturating_sub(began_us));
        }
    }

    /// Something about a room's members.
    pub(super) fn on_notice(&mut self, notice: &Notice, now: Now) {
        let (room, subject) = (notice.room(), notice.subject());
        let other = |client: &Connection| {
            client.identity.as_ref().is_none_or(|identity| Some(&*identity.user) != subject)
        };
        self.push_to_room(room, &Push::Room(notice.clone()), FrameClass::Ephemeral, now, other);
    }

    fn push_to_room(
        &mut self,
        room: &str,
        push: &Push,
        class: FrameClass,
        now: Now,
        wanted: impl Fn(&Connection) -> bool,
    ) {
        let Some(key) = self.directory.find(room) else { return };
        let Self { directory, connections, config, effects, metrics, scratch, .. } = self;
        let members = &directory.get(key).members;
        let bulk = members.len() > BULK_RECIPIENTS;
        let counts = u64::from(matches!(push, Push::Message(_)));
        let mut encodings = Encodings::new(push);
        let mut full = Vec::new();
        for slot in members {
            let client = &mut connections[*slot as usize];
            if !wanted(client) {
                continue;
            }
            if let Some(held) = &mut client.held {
                held.bytes += push_bytes(push);
                held.pushes.push(push.clone());
                if held.bytes > HELD_BYTES_MAX {
                    full.push((*slot, false));
                }
                continue;
            }
            let Some(frame) = encodings.get(client.variant, scratch) else { continue };
            match client.queue.push(frame, class, config.limits.outbound_queue_bytes_max) {
                Pushed::Queued => metrics.deliveries += counts,
                Pushed::Dropped(count) => {
                    metrics.deliveries += counts;
                    metrics.frames_dropped += u64::from(count);
                }
                Pushed::Full => full.push((*slot, true)),
            }
            mark_dirty(client, effects, bulk);
        }
        metrics.frames_encoded += encodings.encoded;
        for (slot, slow) in full {
            if slow { self.close_slow(slot as usize, now) } else { self.release_held(slot as usize, now) }
        }
    }

    /// One copy for each connection, however many of its patterns match, and none for members of the room.
    fn push_to_patterns(
        &mut self,
        room: &str,
        push: &Push,
        class: FrameClass,
        exclude: Option<SessionId>,
        now: Now,
    ) {
        let mut slots = Vec::new();
        self.patterns.for_each_match(room, |entry| slots.extend_from_slice(&entry.subscribers));
        slots.sort_unstable();
        slots.dedup();
        let key = self.directory.find(room);
        for slot in slots {
            let client = &self.connections[slot as usize];
            let member =
                key.and_then(|key| client.subscription(key)).is_some_and(|subscription| subscription.joined);
            let allowed = client.identity.as_ref().is_some_and(|identity| identity.may_enter(room));
            if !member && allowed && Some(client.session) != exclude {
                self.metrics.deliveries += 1;
                self.push(slot as usize, push, class, now);
            }
        }
    }

    /// A push to one connection.
    pub(super) fn push(&mut self, slot: usize, push: &Push, class: FrameClass, now: Now) {
        let client = &mut self.connections[slot];
        if let Some(held) = &mut client.held {
            held.bytes += push_bytes(push);
            held.pushes.push(push.clone());
            if held.bytes > HELD_BYTES_MAX {
                self.release_held(slot, now);
            }
            return;
        }
        let Some(frame) = push.encode(&mut self.scratch, client.variant) else { return };
        match client.queue.push(frame, class, self.config.limits.outbound_queue_bytes_max) {
            Pushed::Queued => {}
            Pushed::Dropped(count) => self.metrics.frames_dropped += u64::from(count),
            Pushed::Full => return self.close_slow(slot, now),
        }
        mark_dirty(client, &mut self.effects, false);
    }

    /// Sends, in the dialect as it is, what waited for the client's first frame.
    pub(super) fn release_held(&mut self, slot: usize, now: Now) {
        let Some(held) = self.connections[slot].held.take() else { return };
        for push in held.pushes {
            let class =
                if matches!(push, Push::Message(_)) { FrameClass::Reliable } else { FrameClass::Ephemeral };
            self.push(slot, &push, class, now);
        }
    }

    /// Queues an answer or a control frame.
    pub(super) fn send(&mut self, slot: usize, frame: Bytes, class: FrameClass) {
        let client = &mut self.connections[slot];
        client.queue.push_always(frame, class);
        mark_dirty(client, &mut self.effects, false);
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

fn push_bytes(push: &Push) -> usize {
    const BASE: usize = 64;
    match push {
        Push::Message(publication) => BASE + publication.content.len(),
        _ => BASE,
    }
}
