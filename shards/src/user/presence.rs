//! One user's presence over all of its sockets.
//!
//! Online from the first socket until a grace after the last, so that a reconnect is not seen; meanwhile it is what the
//! user says that it is. Each call says whether there is something to tell.

use std::num::NonZeroU64;

use crate::clock::{Now, moment};
use crate::protocol::command::{Status, StatusUpdate};
use crate::room::seats::{Seat, Seats};

/// What watchers must be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The first socket came, or the last has been gone for the grace.
    Edge,
    /// The user says something else of itself.
    Update,
}

/// One user's presence.
#[derive(Debug)]
pub struct Presence {
    devices: Seats,
    said: StatusUpdate,
    /// With no socket left: until when the user still counts as there.
    gone_at_ms: Option<NonZeroU64>,
    last_seen_unix_ms: u64,
}

const ONLINE: StatusUpdate = StatusUpdate { status: Status::Online, text: None };

impl Default for Presence {
    fn default() -> Self {
        Self { devices: Seats::default(), said: ONLINE, gone_at_ms: None, last_seen_unix_ms: 0 }
    }
}

impl Presence {
    /// It was last seen then, by an earlier process.
    pub fn restore(&mut self, last_seen_unix_ms: u64) {
        self.last_seen_unix_ms = last_seen_unix_ms;
    }

    /// A socket came.
    pub fn connect(&mut self, seat: Seat, now: Now) -> Option<Change> {
        let was_there = self.is_there();
        self.gone_at_ms = None;
        self.devices.push(seat);
        self.last_seen_unix_ms = now.unix_ms;
        (!was_there).then_some(Change::Edge)
    }

    /// A socket went.
    pub fn disconnect(&mut self, seat: Seat, grace_ms: u64, now: Now) -> Option<Change> {
        if !self.devices.remove(seat) {
            return None;
        }
        self.last_seen_unix_ms = now.unix_ms;
        if !self.devices.is_empty() {
            return None;
        }
        self.gone_at_ms = moment(now.ms + grace_ms);
        self.tick(now)
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Now) -> Option<Change> {
        self.gone_at_ms.filter(|at| at.get() <= now.ms)?;
        self.gone_at_ms = None;
        let was_seen = self.said.status != Status::Offline;
        self.said = ONLINE;
        was_seen.then_some(Change::Edge)
    }

    /// The user says what it is.
    pub fn update(&mut self, said: StatusUpdate, now: Now) -> Option<Change> {
        self.last_seen_unix_ms = now.unix_ms;
        let news = self.is_there() && self.said != said;
        self.said = said;
        news.then_some(Change::Update)
    }

    /// Whether the socket is known.
    #[must_use]
    pub fn has(&self, seat: Seat) -> bool {
        self.devices.contains(seat)
    }

    /// What the user says of itself.
    #[must_use]
    pub fn said(&self) -> &StatusUpdate {
        &self.said
    }

    /// Whether the user has a socket, or had one just now.
    #[must_use]
    pub fn is_there(&self) -> bool {
        !self.devices.is_empty() || self.gone_at_ms.is_some()
    }

    /// The status that is shown.
    #[must_use]
    pub fn status(&self) -> Status {
        if self.is_there() { self.said.status } else { Status::Offline }
    }

    /// The user's own words for it, while they are shown.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        self.said.text.as_deref().filter(|_| self.is_there())
    }

    /// When the user was last there: now, while it is to be seen.
    #[must_use]
    pub fn last_seen_unix_ms(&self, now: Now) -> u64 {
        if self.status() == Status::Offline { self.last_seen_unix_ms } else { now.unix_ms }
    }

    /// Sockets; those by another node count as one.
    #[must_use]
    pub fn devices(&self) -> usize {
        let is_here = |seat: &&Seat| seat.is_here();
        let mut nodes: Vec<_> =
            self.devices.iter().filter(|seat| !is_here(seat)).map(|seat| seat.shard).collect();
        nodes.sort_unstable();
        nodes.dedup();
        self.devices.iter().filter(is_here).count() + nodes.len()
    }

    /// When the grace ends.
    #[must_use]
    pub fn next_due_ms(&self) -> Option<u64> {
        self.gone_at_ms.map(NonZeroU64::get)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ShardId;

    fn at(ms: u64) -> Now {
        Now { ms, unix_ms: 1_000_000 + ms }
    }

    fn seat(number: u32) -> Seat {
        Seat { shard: ShardId(0), number }
    }

    fn said(status: Status) -> StatusUpdate {
        StatusUpdate { status, text: None }
    }

    #[test]
    fn three_devices_are_one_user() {
        let mut presence = Presence::default();
        assert_eq!(presence.connect(seat(1), at(0)), Some(Change::Edge));
        assert_eq!(presence.connect(seat(2), at(1)), None);
        assert_eq!(presence.disconnect(seat(1), 100, at(2)), None);
        assert_eq!(presence.disconnect(seat(1), 100, at(3)), None, "it had gone already");
        assert_eq!((presence.devices(), presence.status()), (1, Status::Online));
    }

    #[test]
    fn a_reconnect_within_the_grace_is_not_seen() {
        let mut presence = Presence::default();
        presence.connect(seat(1), at(0));
        assert_eq!(presence.disconnect(seat(1), 100, at(10)), None);
        assert_eq!((presence.tick(at(109)), presence.status()), (None, Status::Online));
        assert_eq!(presence.connect(seat(2), at(109)), None);
        assert_eq!(presence.tick(at(200)), None);
        presence.disconnect(seat(2), 100, at(300));
        assert_eq!(presence.tick(at(400)), Some(Change::Edge));
        assert_eq!((presence.status(), presence.last_seen_unix_ms(at(900))), (Status::Offline, 1_000_300));
        assert_eq!(presence.disconnect(seat(2), 0, at(500)), None);
    }

    #[test]
    fn an_update_is_told_once_and_ends_with_the_last_socket() {
        let mut presence = Presence::default();
        presence.connect(seat(1), at(0));
        assert_eq!(presence.update(said(Status::Away), at(1)), Some(Change::Update));
        assert_eq!(presence.update(said(Status::Away), at(2)), None);
        assert_eq!(presence.disconnect(seat(1), 0, at(3)), Some(Change::Edge));
        assert_eq!(presence.connect(seat(2), at(4)), Some(Change::Edge));
        assert_eq!(presence.status(), Status::Online);
    }

    #[test]
    fn who_says_to_be_offline_goes_unseen() {
        let mut presence = Presence::default();
        presence.connect(seat(1), at(0));
        assert_eq!(presence.update(said(Status::Offline), at(1)), Some(Change::Update));
        assert_eq!(presence.disconnect(seat(1), 0, at(2)), None);
    }
}
