//! What owners answered, on its way to the client that asked.

use std::sync::Arc;

use super::Shard;
use super::gather::Part;
use crate::clock::Now;
use crate::connection::outbound_queue::FrameClass;
use crate::id::ConnectionId;
use crate::mesh::item::{Answer, Caller, Outcome, ReplyTo};
use crate::protocol::catalog::Event;
use crate::protocol::error_code::{CommandError, ErrorCode};
use crate::protocol::frame;
use crate::protocol::profile::{Dialect, PROFILES, Variant};
use crate::protocol::reply::{self, Joined, Reply};
use crate::protocol::write;

impl Shard {
    /// An owner's answer arrived.
    pub(super) fn on_answer(&mut self, answer: Answer, now: Now) {
        let Answer { caller, outcome } = answer;
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => return self.fail(&caller, &error, now),
        };
        if let Outcome::Joined { joined, sequence, bucket } = &outcome {
            self.complete_join(caller.connection, &joined.room, *sequence);
            if let (Some(bucket), Some(client)) = (bucket, self.client_mut(caller.connection)) {
                client.messages = Some(Arc::clone(bucket));
            }
        }
        match (caller.reply.clone(), outcome) {
            (ReplyTo::Nobody, _) => {}
            (ReplyTo::Attach, _) => self.on_attached(caller.connection, now),
            (ReplyTo::Part { gather, index }, outcome) => {
                if let Some(part) = part(outcome) {
                    self.on_part(gather, index, part, now);
                }
            }
            (ReplyTo::Client { .. }, Outcome::Unacquainted { draft, confirm }) => {
                self.seek_acquaintance(caller, draft, confirm, now);
            }
            (ReplyTo::Client { .. }, outcome) => {
                if let Some(reply) = reply_of(outcome) {
                    self.answer_client(&caller, &reply, now);
                }
            }
        }
    }

    /// The owner let the connection in: from here on it receives the room's messages.
    fn complete_join(&mut self, id: ConnectionId, room: &str, sequence: u32) {
        let Some(key) = self.directory.find(room) else { return };
        let Some(client) = self.connections.get_mut(id.slot as usize).filter(|client| client.id == id) else {
            return;
        };
        let Some(subscription) = client.subscription_mut(key) else { return };
        if subscription.sequence == sequence && !subscription.joined {
            subscription.joined = true;
            self.directory.add_member(key, id.slot);
        }
    }

    /// Writes a reply to whoever asked, unless it is gone or did not want one.
    pub(super) fn answer_client(&mut self, caller: &Caller, reply: &Reply, now: Now) {
        let ReplyTo::Client { event, id } = &caller.reply else { return };
        let spec = event.spec();
        if id.is_none() && !spec.answered {
            return;
        }
        let Some(variant) = self.client(caller.connection).map(|client| client.variant) else { return };
        let slot = caller.connection.slot as usize;
        if let (Dialect::Topic, Reply::Joined(joined)) = (variant.dialect, reply) {
            self.send_missed(slot, joined);
        }
        self.scratch.clear();
        reply.write(&mut self.scratch, variant, spec.reply, id.as_deref(), now.unix_ms);
        if !self.scratch.is_empty() {
            let frame = frame::text(&self.scratch);
            self.send(slot, frame, FrameClass::Reply);
        }
    }

    /// A topic client gets what it missed as messages, ahead of the reply.
    fn send_missed(&mut self, slot: usize, joined: &Joined) {
        for publication in joined.messages.iter().flatten() {
            self.scratch.clear();
            write::topic_message(&mut self.scratch, publication);
            let frame = frame::text(&self.scratch);
            self.send(slot, frame, FrameClass::Reply);
        }
    }

    /// Tells whoever asked that it failed.
    pub(super) fn fail(&mut self, caller: &Caller, error: &CommandError, now: Now) {
        match &caller.reply {
            ReplyTo::Nobody => {}
            ReplyTo::Attach => self.on_attached(caller.connection, now),
            ReplyTo::Client { event, id } => {
                if self.client(caller.connection).is_some() {
                    self.send_error(caller.connection.slot as usize, Some(*event), id.as_deref(), error, now);
                }
            }
            ReplyTo::Part { gather, index } => {
                let mut out = Vec::new();
                let variant = Variant { dialect: Dialect::Event, profile: &PROFILES[0] };
                let variant = self.client(caller.connection).map_or(variant, |client| client.variant);
                reply::write_failure(&mut out, variant, None, error);
                self.on_part(*gather, *index, Part::Written(out), now);
            }
        }
    }

    /// Writes an error to one connection.
    pub(super) fn send_error(
        &mut self,
        slot: usize,
        event: Option<Event>,
        id: Option<&str>,
        error: &CommandError,
        now: Now,
    ) {
        self.metrics.count_error(error.code);
        let variant = self.connections[slot].variant;
        self.scratch.clear();
        match variant.dialect {
            Dialect::Event => write::error(&mut self.scratch, variant.profile, error, id),
            Dialect::Topic if event == Some(Event::Auth) && error.code == ErrorCode::AuthFailed => {
                reply::write_topic_auth_error(&mut self.scratch, error, now.unix_ms);
            }
            Dialect::Topic => write::topic_error(&mut self.scratch, error, now.unix_ms),
        }
        let frame = frame::text(&self.scratch);
        self.send(slot, frame, FrameClass::Reply);
        self.count_refusal(slot, now);
    }
}

/// What an outcome contributes to a gathering.
fn part(outcome: Outcome) -> Option<Part> {
    let mut out = Vec::new();
    match outcome {
        Outcome::Joined { joined, .. } => reply::write_success(&mut out, "roomId", &joined.room),
        Outcome::Left { room } => reply::write_success(&mut out, "roomId", &room),
        Outcome::Sent(sent) => sent.write_result(&mut out),
        Outcome::Entry(entry) => entry.write_entry(&mut out),
        Outcome::Contains(contains) => return Some(Part::Contains(contains)),
        Outcome::Interested => return Some(Part::Confirmed),
        _ => return None,
    }
    Some(Part::Written(out))
}

/// What an outcome is for the client that asked for nothing else.
fn reply_of(outcome: Outcome) -> Option<Reply> {
    Some(match outcome {
        Outcome::Joined { joined, .. } => Reply::Joined(joined),
        Outcome::Left { room } => Reply::Left { room },
        Outcome::Sent(sent) => Reply::Sent(sent),
        Outcome::Info(info) => Reply::Info(info),
        Outcome::Online(page) => Reply::Online(page),
        Outcome::History(page) => Reply::History(page),
        _ => return None,
    })
}
