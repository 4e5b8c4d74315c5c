//! A room for the next process, and as it was in the one before.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::OwnedRoom;
use crate::clock::Now;
use crate::config::{Config, RoomClass};
use crate::durable::{Card, Record, RoomRecord, SavedRoom};
use crate::id::Offset;
use crate::protocol::message::{Audience, Publication};
use crate::protocol::reply::RoomCard;
use crate::room::name::user_of;
use crate::room::receipts::Receipts;

impl OwnedRoom {
    /// Takes up what was saved of a room of this name and class, which has just been made with the saved epoch.
    pub fn restore(&mut self, saved: SavedRoom, now: Now, config: &Config) {
        self.created_unix_ms = saved.created_unix_ms;
        let idle_ms = now.unix_ms.saturating_sub(saved.active_unix_ms);
        self.active_ms = now.ms.saturating_sub(idle_ms);
        if let Some(card) = saved.card {
            self.restore_card(card);
        }
        if self.class == RoomClass::Ephemeral {
            return;
        }
        self.offset = saved.offset;
        let audience = self.contents().audience.clone();
        if saved.offset > 0 {
            self.contents_mut().counts.restore(saved.counts, saved.active_unix_ms);
        }
        for mut entry in saved.entries {
            if audience.is_some() {
                Arc::make_mut(&mut entry).audience.clone_from(&audience);
            }
            self.contents_mut().history.push(entry, &config.history);
        }
        for (sender, client_id, accepted) in saved.names {
            let left_ms = (accepted.unix_ms + config.dedup_window_ms).saturating_sub(now.unix_ms);
            if left_ms > 0 {
                let dedupe = self.contents_mut().dedupe.get_or_insert_default();
                dedupe.remember(&sender, &client_id, accepted, now.ms + left_ms);
            }
        }
        if !saved.receipts.is_empty() {
            let mut receipts = Receipts::default();
            saved.receipts.into_iter().for_each(|(user, ways)| receipts.restore(user, ways));
            self.contents_mut().receipts = Some(Box::new(receipts));
        }
        if self.class == RoomClass::Queued {
            self.restore_members(saved.members, now, config);
        }
        self.expire(now, config);
    }

    fn restore_card(&mut self, card: Card) {
        let Card { owner, audience, metadata, members_max } = card;
        let contents = self.contents_mut();
        contents.audience = audience.map(|users| Arc::new(Audience(users.into_iter().collect())));
        let private = contents.audience.is_some();
        let card = RoomCard {
            room: Arc::clone(&self.name),
            owner,
            private,
            metadata,
            members_max,
            created_unix_ms: self.created_unix_ms,
            epoch: self.epoch,
            offset: 0,
        };
        self.contents_mut().card = Some(Arc::new(card));
    }

    /// Whoever was there when the process ended is away since now.
    fn restore_members(
        &mut self,
        saved: BTreeMap<Arc<str>, (Offset, Option<u64>)>,
        now: Now,
        config: &Config,
    ) {
        let owner = user_of(&self.name).map(|user| Arc::<str>::from(&*user));
        let unsaid = owner.filter(|owner| self.has_stream() && !saved.contains_key(owner));
        let mut members: Vec<_> = saved.into_iter().collect();
        if let Some(owner) = unsaid {
            // Nothing was ever said of how far it has got: all that there is may be new to it.
            let kept = self.contents().history.first_offset().map_or(self.offset, |first| first - 1);
            members.push((owner, (kept, None)));
        }
        members.sort_by_key(|(_, (_, since))| since.unwrap_or(now.unix_ms));
        for (user, (offset, since_unix_ms)) in members {
            let away_ms = now.unix_ms.saturating_sub(since_unix_ms.unwrap_or(now.unix_ms));
            if away_ms < config.queue_ttl_ms {
                let absent = self.contents_mut().absent.get_or_insert_default();
                absent.leave(&user, Some(offset), offset, now.ms.saturating_sub(away_ms));
            }
        }
    }

    /// Whether anything of the room outlives the process.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        let contents = self.contents();
        let lives = self.class != RoomClass::Ephemeral && (self.has_stream() || contents.absent.is_some());
        !self.closing && (lives || contents.card.is_some())
    }

    /// All of the room, told anew.
    #[must_use]
    pub fn records(&self, now: Now) -> Vec<Record> {
        let contents = self.contents();
        let mut records = vec![Record::Room(Box::new(self.record(now)))];
        if self.class == RoomClass::Ephemeral {
            return records;
        }
        let room = &self.name;
        if let Some(dedupe) = &contents.dedupe {
            let kept_from = contents.history.first_offset().unwrap_or(u64::MAX);
            let gone = dedupe.iter().filter(|(.., accepted)| accepted.offset < kept_from);
            records.extend(gone.map(|(sender, client_id, accepted)| Record::Name {
                room: Arc::clone(room),
                sender: Arc::clone(sender),
                client_id: client_id.into(),
                accepted,
            }));
        }
        records.extend(contents.history.iter().map(|entry| Record::Entry(Arc::clone(entry))));
        for (user, offset, since_ms) in contents.absent.iter().flat_map(|absent| absent.members()) {
            let unix_ms = |ms| now.unix_ms.saturating_sub(now.ms.saturating_sub(ms));
            records.push(Record::Member {
                room: Arc::clone(room),
                epoch: self.epoch,
                user: Arc::clone(user),
                offset,
                away_since_unix_ms: since_ms.map(unix_ms),
            });
        }
        let receipts = contents.receipts.as_ref();
        records
            .extend(receipts.iter().flat_map(|it| it.users()).filter_map(|user| self.receipt_record(user)));
        records
    }

    /// The room itself.
    #[must_use]
    pub fn record(&self, now: Now) -> RoomRecord {
        let contents = self.contents();
        let card = contents.card.as_ref().map(|card| Card {
            owner: Arc::clone(&card.owner),
            audience: contents.audience.as_ref().map(|audience| audience.0.iter().cloned().collect()),
            metadata: card.metadata.clone(),
            members_max: card.members_max,
        });
        RoomRecord {
            name: Arc::clone(&self.name),
            epoch: self.epoch,
            offset: self.offset,
            created_unix_ms: self.created_unix_ms,
            counts: contents.counts.saved(),
            active_unix_ms: now.unix_ms.saturating_sub(now.ms.saturating_sub(self.active_ms)),
            card,
        }
    }

    /// Up to where a user has got and read the room.
    #[must_use]
    pub fn receipt_record(&self, user: &Arc<str>) -> Option<Record> {
        let (delivered, read) = self.contents().receipts.as_ref()?.saved(user)?;
        Some(Record::Receipt { room: Arc::clone(&self.name), user: Arc::clone(user), delivered, read })
    }

    /// Whether anything is kept for a user.
    #[must_use]
    pub fn knows_member(&self, user: &str) -> bool {
        self.contents().absent.as_ref().is_some_and(|absent| absent.knows(user))
    }

    /// What is to be known of a member of a queued room.
    #[must_use]
    pub fn member_record(&self, user: &Arc<str>, now: Now) -> Record {
        let (room, user) = (Arc::clone(&self.name), Arc::clone(user));
        match self.contents().absent.as_ref().and_then(|absent| absent.member(&user)) {
            None => Record::MemberGone { room, user },
            Some((offset, away)) => {
                let away_since_unix_ms = away.then_some(now.unix_ms);
                Record::Member { room, epoch: self.epoch, user, offset, away_since_unix_ms }
            }
        }
    }

    /// A member who chose to be in a queued room is remembered from the beginning.
    pub fn note_member(&mut self, user: &Arc<str>, offset: u64) {
        self.contents_mut().absent.get_or_insert_default().enter(user, offset);
    }

    /// A member who is there turned out to have got everything up to an offset; whether that was news.
    pub fn advance_member(&mut self, user: &Arc<str>, offset: u64) -> bool {
        let absent = self.contents_mut().absent.get_or_insert_default();
        match absent.member(user) {
            Some((known, _)) if known >= offset => return false,
            Some(_) => absent.settle(user, offset),
            None => absent.enter(user, offset),
        }
        true
    }

    /// All kept entries.
    pub fn entries(&self) -> impl Iterator<Item = &Arc<Publication>> {
        self.contents().history.iter()
    }
}
