//! A store that is only memory: batches are on disk after a while, and some of those that are not survive a crash.

use std::collections::VecDeque;

use super::dice::Dice;
use super::host::Host;
use crate::clock::Now;
use crate::config::HistoryLimits;
use crate::durable::codec::{Reader, encode};
use crate::durable::{Batch, Record, Replay, Saved};
use crate::id::ShardId;

/// Longest time that a commit takes, in milliseconds.
const COMMIT_MS_MAX: u64 = 60;

/// A batch that is not on disk yet.
#[derive(Debug)]
struct Pending {
    due_ms: u64,
    shard: usize,
    number: u64,
    told: Option<u64>,
    bytes: Vec<u8>,
}

/// State that is being told anew.
#[derive(Debug)]
struct Telling {
    /// What of the log is older.
    older: usize,
    missing: usize,
}

/// The disk of a run.
#[derive(Debug)]
pub(super) struct Store {
    log: Vec<Vec<u8>>,
    pending: VecDeque<Pending>,
    /// Up to which batch of each shard all are on disk.
    committed: Vec<u64>,
    round: u64,
    telling: Option<Telling>,
}

impl Store {
    pub(super) fn new(shards: usize) -> Self {
        Self {
            log: Vec::new(),
            pending: VecDeque::new(),
            committed: vec![0; shards],
            round: 0,
            telling: None,
        }
    }

    /// What is on disk by now.
    pub(super) fn advance(&mut self, now: Now) {
        while self.pending.front().is_some_and(|batch| batch.due_ms <= now.ms) {
            let Some(batch) = self.pending.pop_front() else { break };
            self.committed[batch.shard] = batch.number;
            self.log.push(batch.bytes);
            let Some(telling) = self.telling.as_mut().filter(|_| batch.told == Some(self.round)) else {
                continue;
            };
            telling.missing -= 1;
            if telling.missing == 0 {
                self.log.drain(..telling.older);
                self.telling = None;
            }
        }
    }

    /// A shard's turn begins.
    pub(super) fn tell(&self, host: &mut Host, now: Now) {
        let upto = self.committed[host.shard.id().index()];
        host.shard.on_stored(upto, now);
    }

    /// A shard's turn is over.
    pub(super) fn take(&mut self, shard: ShardId, batch: Batch, now: Now, dice: &mut Dice) {
        let mut bytes = Vec::new();
        batch.records.iter().for_each(|record| encode(record, &mut bytes));
        let told = batch.records.iter().find_map(|record| match record {
            Record::Told { round } => Some(*round),
            _ => None,
        });
        let due_ms = now.ms + dice.between(0, COMMIT_MS_MAX);
        self.pending.push_back(Pending { due_ms, shard: shard.index(), number: batch.number, told, bytes });
    }

    /// Asks for all state anew, unless it was asked for already.
    pub(super) fn ask(&mut self, hosts: &mut [Host], now: Now) {
        if self.telling.is_some() {
            return;
        }
        self.round += 1;
        self.telling = Some(Telling { older: self.log.len(), missing: hosts.len() });
        hosts.iter_mut().for_each(|host| host.shard.tell_anew(self.round, now));
    }

    /// The process ends; the state of what is on disk. What was on its way there may have arrived, the first of it first.
    pub(super) fn crash(&mut self, limits: &HistoryLimits, dice: &mut Dice) -> Saved {
        let survivors = dice.size(0, self.pending.len());
        self.log.extend(self.pending.drain(..).take(survivors).map(|batch| batch.bytes));
        self.pending.clear();
        self.committed.fill(0);
        self.telling = None;
        let (mut replay, mut reader) = (Replay::new(limits.clone()), Reader::default());
        for bytes in &self.log {
            reader.read(bytes, |record| replay.take(record)).expect("it was written whole");
        }
        replay.finish()
    }

    /// What a new process writes before it serves.
    pub(super) fn append(&mut self, records: &[Record]) {
        let mut bytes = Vec::new();
        records.iter().for_each(|record| encode(record, &mut bytes));
        self.log.push(bytes);
    }

    pub(super) fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }
}
