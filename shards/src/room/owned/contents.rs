//! What there is in a room beside its members: in most rooms nothing, because they are a user's own.

use std::sync::Arc;

use super::stream::Counts;
use crate::config::Config;
use crate::protocol::message::Audience;
use crate::protocol::reply::RoomCard;
use crate::room::absent::Absent;
use crate::room::dedupe::Dedupe;
use crate::room::history::{History, Waiting};
use crate::room::receipts::Receipts;
use crate::room::typing::Typing;

/// What there is in a room beside its members.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) history: History,
    pub(super) dedupe: Option<Box<Dedupe>>,
    /// What was sent in it, counted.
    pub(super) counts: Counts,
    /// Who writes.
    pub(super) typing: Typing,
    /// Who has got and read what.
    pub(super) receipts: Option<Box<Receipts>>,
    /// Of a queued room: who is away.
    pub(super) absent: Option<Box<Absent>>,
    /// Of a room that somebody created: what they decided.
    pub(super) card: Option<Arc<RoomCard>>,
    /// Of a private room: who may enter.
    pub(super) audience: Option<Arc<Audience>>,
    /// When the members of a large room are next told how many they are.
    pub(super) count_due_ms: Option<u64>,
    pub(super) counted_ms: u64,
}

/// What there is in a room in which nothing was ever said.
pub(super) static NOTHING: Contents = Contents {
    history: History::NEW,
    dedupe: None,
    counts: Counts::NONE,
    typing: Typing::NOBODY,
    receipts: None,
    absent: None,
    card: None,
    audience: None,
    count_due_ms: None,
    counted_ms: 0,
};

impl Contents {
    /// What absent members wait for.
    pub(super) fn waiting(&self, config: &Config) -> Option<Waiting> {
        let behind = self.absent.as_ref()?.lowest()?;
        Some(Waiting { behind, ttl_ms: config.queue_ttl_ms })
    }
}
