//! What a backend must be asked: events of clients that a route takes, and what the control plane answers.

use std::sync::Arc;

use super::Shard;
use super::commands::unavailable;
use crate::backend::{Answered, FORWARDS_MAX, Forward, Forwarded, HookKind, RoomStanding, Sender, Verdict};
use crate::clock::Now;
use crate::connection::outbound_queue::FrameClass;
use crate::effect::{Inquiry, Question};
use crate::mesh::item::{Caller, ReplyTo};
use crate::protocol::catalog::Event;
use crate::protocol::error_code::{CommandError, Detail};
use crate::protocol::profile::Dialect;
use crate::protocol::reply::Reply;
use crate::protocol::socketio::write::{OpenEvent, ack_with_attachments};

/// When a client may try again that has too many events on their way to backends.
const FORWARD_RETRY_MS: u64 = 1_000;

impl Shard {
    /// Asks the control plane; [`Shard::on_control`] follows.
    pub(super) fn inquire(&mut self, caller: Caller, question: Question) {
        self.metrics.inquiries_open += 1;
        self.effects.inquiries.push(Inquiry { caller, question });
    }

    /// The control plane answered, or is not to be had.
    pub fn on_control(&mut self, caller: &Caller, answer: Result<Answered, CommandError>, now: Now) {
        self.metrics.inquiries_open = self.metrics.inquiries_open.saturating_sub(1);
        if matches!(&caller.reply, ReplyTo::Client { event, .. } if event.is_forwarded())
            && let Some(rare) = self.client_mut(caller.connection).and_then(|client| client.rare_if_any())
        {
            rare.forwards = rare.forwards.saturating_sub(1);
        }
        if matches!(caller.reply, ReplyTo::Leave) {
            let verdict = answer.map(|answered| match answered {
                Answered::Leave(verdict) => *verdict,
                _ => Verdict::default(),
            });
            self.on_verdict(caller.connection, verdict, now);
            return self.settle(now);
        }
        match answer {
            Ok(Answered::Leave(_)) => {}
            Ok(Answered::Members(members)) => self.answer_client(caller, &Reply::Written(members), now),
            Ok(Answered::Forwarded(name, members)) => self.pass_on(caller, name.as_deref(), members, now),
            Err(error) => self.fail(caller, &error, now),
        }
        self.settle(now);
    }

    /// A backend's answer, to the client that sent the event. A Socket.IO client gets bytes as attachments.
    fn pass_on(&mut self, caller: &Caller, name: Option<&str>, members: Vec<u8>, now: Now) {
        let ReplyTo::Client { event, id } = &caller.reply else { return };
        let name = name.unwrap_or(event.spec().reply);
        let client = self.client(caller.connection).filter(|client| client.is_heard());
        let Some(client) = client.filter(|client| client.variant.dialect == Dialect::SocketIo) else {
            return self.answer_as(caller, name, &Reply::Written(members), now);
        };
        let (variant, place) = (client.variant, client.place());
        let data = |out: &mut Vec<u8>| {
            out.push(b'{');
            out.extend_from_slice(&members);
            out.push(b'}');
        };
        let frames = match id {
            Some(id) => ack_with_attachments(variant.namespace, id, data),
            None => {
                let name = variant.profile.outbound(name);
                OpenEvent::new(variant.namespace, name, (true, None), data).close(place)
            }
        };
        self.send(caller.connection.slot as usize, frames, FrameClass::Reply);
    }

    /// There is no room for a question at the control plane.
    pub fn on_unasked(&mut self, inquiry: Inquiry, now: Now) {
        self.metrics.control_overflows += 1;
        let hooks = &self.config.hooks;
        let allowed = match &inquiry.question {
            Question::Hook(call) => {
                let hook = match call.asks.kind() {
                    HookKind::Connect => &hooks.connect,
                    HookKind::Join => &hooks.join,
                    HookKind::Publish => &hooks.publish,
                };
                hook.as_ref().is_some_and(|hook| hook.allows_on_failure)
            }
            Question::Monitoring(_) | Question::Forward(_) => false,
        };
        let answer = if allowed { Ok(Answered::Leave(Box::default())) } else { Err(unavailable("control")) };
        self.on_control(&inquiry.caller, answer, now);
    }

    /// Whether a client may have an event forwarded, as far as role and permissions go.
    pub(super) fn may_forward(&self, slot: usize, event: Event, forwarded: &Forwarded) -> bool {
        let name = forwarded.name.as_deref().unwrap_or(event.spec().name);
        let route = self.config.routes.find(name).map(|(_, route)| route);
        let patterns = route.into_iter().flat_map(|route| &route.events).map(|pattern| pattern.as_str());
        let called = [name].into_iter().chain(route.map(|route| &*route.name)).chain(patterns);
        self.identity(slot).may_forward(event, called, forwarded.room.as_deref())
    }

    /// Sends an event to the backend that its route names.
    pub(super) fn forward(
        &mut self,
        slot: usize,
        caller: Caller,
        forwarded: Forwarded,
    ) -> Result<(), CommandError> {
        let ReplyTo::Client { event, id } = &caller.reply else { return Ok(()) };
        let Forwarded { name, room, data } = forwarded;
        let name: Box<str> = name.unwrap_or_else(|| event.spec().name.into());
        let Some((route, described)) =
            self.config.routes.find(&name).map(|(number, route)| (number, route.describes_room))
        else {
            return Err(unavailable("route"));
        };
        if let Some(room) = &room
            && self.check_sender(slot, room)? == Some(false)
        {
            return Err(CommandError::not_a_member());
        }
        let standing = room.as_deref().filter(|_| described).and_then(|room| self.standing_of(slot, room));
        let client = &mut self.connections[slot];
        let forwards = &mut client.rare_mut().forwards;
        if *forwards >= FORWARDS_MAX {
            let limit = Detail::Number(FORWARDS_MAX.into());
            return Err(CommandError::rate_limited(FORWARD_RETRY_MS).with("limit", limit));
        }
        *forwards += 1;
        let sender = self.sender(slot);
        let (request, room) = (id.clone(), room.map(Into::into));
        let forward = Forward { route, event: name, sender, request, room, standing, data };
        self.inquire(caller, Question::Forward(Box::new(forward)));
        Ok(())
    }

    /// Who a connection is, for a backend.
    fn sender(&self, slot: usize) -> Sender {
        Sender { identity: Arc::clone(self.identity(slot)), session: self.connections[slot].session }
    }

    /// How a room stands that the client is in.
    fn standing_of(&self, slot: usize, room: &str) -> Option<RoomStanding> {
        let key = self.subscribed(slot, room).filter(|_| self.is_in(slot, room))?;
        let room = self.directory.get(key);
        Some(RoomStanding { epoch: room.epoch, offset: room.offset, members: room.users })
    }
}
