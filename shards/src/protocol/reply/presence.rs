//! What replies say of users: their presence, one by one, in pages, and counted.

use std::sync::Arc;

use crate::protocol::command::Status;
use crate::protocol::write::{self, display, key, list, name, string, time};
use crate::room::name::local;

/// A user's presence, as somebody may see it.
#[derive(Debug, Clone)]
pub struct Presence {
    /// The user.
    pub user: Arc<str>,
    /// The status that is shown.
    pub status: Status,
    /// The user's own words for it.
    pub text: Option<Box<str>>,
    /// When the user was last there; `None` when that is not known, or not to be known.
    pub last_seen_unix_ms: Option<u64>,
    /// Sockets.
    pub devices: usize,
}

/// Users by status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PresenceCounts {
    /// By [`Status::ALL`]'s position; offline are those who were there and are remembered.
    pub by_status: [usize; Status::ALL.len()],
    /// Sockets of them all.
    pub devices: usize,
}

impl PresenceCounts {
    /// Adds another shard's.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.by_status.iter_mut().zip(other.by_status) {
            *mine += theirs;
        }
        self.devices += other.devices;
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        key(out, "users");
        let offline = self.by_status[Status::Offline as usize];
        display(out, self.by_status.iter().sum::<usize>() - offline);
        for status in Status::ALL {
            key(out, status.name());
            display(out, self.by_status[status as usize]);
        }
        key(out, "devices");
        display(out, self.devices);
    }
}

impl Presence {
    /// Somebody who is not there, or may not be seen.
    #[must_use]
    pub fn unknown(user: Arc<str>) -> Self {
        Self { user, status: Status::Offline, text: None, last_seen_unix_ms: None, devices: 0 }
    }

    fn write_status(&self, out: &mut Vec<u8>) {
        write::user(out, &self.user);
        key(out, "status");
        name(out, self.status.name());
        if let Some(text) = &self.text {
            key(out, "statusText");
            string(out, text);
        }
    }

    fn write_last_seen(&self, out: &mut Vec<u8>) {
        key(out, "lastSeen");
        match self.last_seen_unix_ms {
            Some(last_seen) => time(out, last_seen),
            None => out.extend_from_slice(b"null"),
        }
    }

    /// Writes the members of `presence:updated`.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.write_status(out);
        self.write_last_seen(out);
    }

    /// Writes the members of `presence:user-status`.
    pub(super) fn write_details(&self, out: &mut Vec<u8>) {
        self.write(out);
        key(out, "devices");
        display(out, self.devices);
        key(out, "availability");
        name(out, if self.status == Status::Online { "available" } else { "unavailable" });
    }

    /// Writes the user as one of those that are watched.
    pub fn write_entry(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        self.write(out);
        out.push(b'}');
    }
}

pub(super) fn write_page(out: &mut Vec<u8>, users: &[Presence], total: usize, more: bool) {
    key(out, "users");
    list(out, users, |out, user| {
        out.push(b'{');
        user.write_status(out);
        out.push(b'}');
    });
    key(out, "total");
    display(out, total);
    if let Some(last) = users.last().filter(|_| more) {
        key(out, "next");
        name(out, local(&last.user));
    }
}
