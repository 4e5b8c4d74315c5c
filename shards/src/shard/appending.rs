//! Messages, and changes of them, on their way to the engine that gives out their offsets, and the answers.

use std::sync::Arc;

use super::Shard;
use super::commands::unavailable;
use super::sequencing::{Link, Links, Pending};
use crate::clock::Now;
use crate::engine::{Appended, Once, Request, Ticket, Unavailable, codec};
use crate::id::{MessageId, SessionId, ShardId};
use crate::mesh::item::Caller;
use crate::mesh::outcome::Outcome;
use crate::protocol::command::Draft;
use crate::protocol::message::Publication;
use crate::protocol::reply::Sent;

impl Shard {
    /// A message on its way to the engine.
    pub(super) fn append_message(
        &mut self,
        (from, caller): (ShardId, Caller),
        key: usize,
        (sender, session): (&Arc<str>, SessionId),
        draft: Draft,
        (now, id): (Now, MessageId),
    ) {
        let message = self.owned[key].draft(sender, session, draft, now, id);
        let once = message.client_id.as_ref().map(|client_id| Once {
            name: format!("{sender}/{client_id}"),
            says: codec::accepted(id, now.unix_ms),
            window_ms: self.config.dedup_window_ms,
        });
        let sent = Sent {
            id,
            room: Arc::clone(&message.room),
            epoch: message.epoch,
            offset: 0,
            unix_ms: now.unix_ms,
            client_id: message.client_id.clone(),
            duplicate: false,
        };
        self.append(key, &Arc::new(message), once, Pending::Message { from, caller, sent });
    }

    /// A change of a message on its way to the engine.
    pub(super) fn append_revision(
        &mut self,
        (from, caller): (ShardId, Caller),
        key: usize,
        change: Publication,
    ) {
        let entry = Arc::new(change.clone());
        self.append(key, &entry, None, Pending::Revision { from, caller, change: Box::new(change) });
    }

    fn append(&mut self, key: usize, entry: &Arc<Publication>, once: Option<Once>, pending: Pending) {
        let Some(links) = &mut self.links else { return };
        let ticket = links.wait_for(pending);
        links.own.insert(entry.id);
        let keep = self.owned[key].keep_in_engine(&self.config);
        let request =
            Request::Append { room: Arc::clone(&entry.room), ticket, entry: codec::entry(entry), once, keep };
        self.request(request);
    }

    pub(super) fn on_appended(&mut self, ticket: Ticket, place: Result<Appended, Unavailable>) {
        let Some(pending) = self.links.as_mut().and_then(|links| links.pending.remove(&ticket)) else {
            return;
        };
        if let (Some(links), Pending::Message { sent: Sent { id, .. }, .. }) = (&mut self.links, &pending) {
            links.own.remove(id);
        }
        if let (Some(links), Pending::Revision { change, .. }) = (&mut self.links, &pending) {
            links.own.remove(&change.id);
        }
        match (pending, place) {
            (Pending::Message { from, caller, .. } | Pending::Revision { from, caller, .. }, Err(_)) => {
                self.metrics.engine_refusals += 1;
                self.answer(from, caller, Err(unavailable("engine")));
            }
            (Pending::Message { from, caller, mut sent }, Ok(Appended { epoch, offset, first })) => {
                (sent.epoch, sent.offset) = (epoch, offset);
                if let Some(first) = first.and_then(|first| codec::read_accepted(&first, offset)) {
                    (sent.id, sent.unix_ms, sent.duplicate) = (first.id, first.unix_ms, true);
                    self.metrics.publications_duplicate += 1;
                }
                if super::sends::wants_confirmation(&caller) {
                    self.answer(from, caller, Ok(Outcome::Sent(sent)));
                }
            }
            (Pending::Revision { from, caller, mut change }, Ok(Appended { epoch, offset, .. })) => {
                (change.epoch, change.offset) = (epoch, offset);
                if let Some(revision) = &mut change.revision {
                    revision.offset = offset;
                }
                self.answer(from, caller, Ok(Outcome::Revised(Arc::from(change))));
            }
            (Pending::Creation { .. } | Pending::Session { .. }, _) => {}
        }
    }

    /// Whether an entry came in by this node, which is the one to tell those who listen behind the gateways.
    pub(super) fn is_ours(&self, entry: &Publication) -> bool {
        let alone = |links: &Links| matches!(links.rooms.get(&entry.room), Some(Link::Alone { .. }));
        self.links.as_ref().is_none_or(|links| alone(links) || links.own.contains(&entry.id))
    }
}
