//! What all clients together learned: one truth about every room, which none of them may contradict.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::scenario::Scenario;
use super::totals::Totals;

/// A promise of the gateway that a run saw broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The name of the promise.
    pub invariant: &'static str,
    /// What happened instead.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.invariant, self.what)
    }
}

/// A message that some client sent, once or several times under one `clientId`.
#[derive(Debug)]
pub(super) struct Send {
    /// The connection that sent it first.
    pub(super) connection: u64,
    pub(super) room: String,
    pub(super) content: String,
    pub(super) exclude: bool,
    pub(super) client_id: Option<String>,
    pub(super) sent_ms: u64,
    /// How often it was sent.
    pub(super) times: u32,
}

/// A message as a client heard of it: in a push, a history or an acknowledgement.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    pub(super) room: String,
    pub(super) epoch: String,
    pub(super) offset: u64,
    pub(super) id: String,
    /// Its number in [`Ledger::sends`].
    pub(super) number: usize,
}

/// An offset that a connection did not get where it got the next one.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Absence {
    connection: u64,
    room: String,
    epoch: String,
    offset: u64,
}

/// One epoch of a room: which message stands at which offset.
pub(super) type Stream = BTreeMap<u64, (String, usize)>;

/// Everything that clients learned in a run, and what became of it.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) sends: Vec<Send>,
    /// By room and epoch.
    streams: BTreeMap<String, BTreeMap<String, Stream>>,
    /// Where each message stands, by number and epoch.
    places: BTreeMap<(usize, String), u64>,
    /// Messages and epochs that were acknowledged as new.
    acknowledged: BTreeSet<(usize, String)>,
    absences: BTreeSet<Absence>,
    /// Users that clients have heard of.
    pub(super) users: Vec<String>,
    pub(super) violation: Option<Violation>,
    pub(super) totals: Totals,
    /// What happened, when somebody wants to read it; padding is left out.
    pub(super) trace: Option<Vec<String>>,
}

impl Ledger {
    pub(super) fn violate(&mut self, invariant: &'static str, what: impl Into<String>) {
        let what = what.into();
        self.note(|| format!("VIOLATION {invariant}: {what}"));
        self.violation.get_or_insert(Violation { invariant, what });
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(line().replace("xxxxxxxx", ""));
        }
    }

    /// A client learned which message stands at an offset.
    pub(super) fn hear(&mut self, heard: &Heard, by: u64) {
        let epochs = self.streams.entry(heard.room.clone()).or_default();
        let stream = epochs.entry(heard.epoch.clone()).or_default();
        let entry = (heard.id.clone(), heard.number);
        let known = stream.entry(heard.offset).or_insert_with(|| entry.clone());
        if *known != entry {
            let what = format!("connection {by} heard {heard:?}, another heard {known:?} there");
            return self.violate("all members see one order", what);
        }
        let place = (heard.number, heard.epoch.clone());
        if *self.places.entry(place).or_insert(heard.offset) != heard.offset {
            self.violate("a message is published once", format!("{heard:?} stands at another offset too"));
        }
        match self.sends.get(heard.number) {
            None => self.violate("messages come from senders", format!("{heard:?}")),
            Some(send) if send.room != heard.room => {
                self.violate("messages stay in their room", format!("{heard:?} was sent to {}", send.room));
            }
            Some(_) => {}
        }
    }

    /// A sender was told what became of its message.
    pub(super) fn acknowledge(&mut self, heard: &Heard, duplicate: bool, client_id: Option<&str>, by: u64) {
        self.hear(heard, by);
        let Some(send) = self.sends.get(heard.number) else { return };
        if duplicate && send.times < 2 {
            self.violate("only a repeat is a duplicate", format!("{heard:?}"));
        } else if send.client_id.as_deref() != client_id {
            let what = format!("{client_id:?} for {:?}", send.client_id);
            self.violate("a clientId comes back as it was", what);
        } else if !duplicate && !self.acknowledged.insert((heard.number, heard.epoch.clone())) {
            self.violate("a repeat is answered as a duplicate", format!("{heard:?}"));
        }
        self.totals.acknowledged += 1;
        self.totals.duplicates += u64::from(duplicate);
    }

    /// A client received a message, and not only its acknowledgement.
    pub(super) fn receive(&mut self, heard: &Heard, by: u64) {
        self.hear(heard, by);
        if self.is_own_excluded(heard.number, by) {
            self.violate("excludeSender never reaches its session", format!("connection {by} got {heard:?}"));
        }
    }

    fn is_own_excluded(&self, number: usize, connection: u64) -> bool {
        self.sends.get(number).is_some_and(|send| send.exclude && send.connection == connection)
    }

    /// A connection got what stands behind these offsets, but not them.
    pub(super) fn miss(
        &mut self,
        connection: u64,
        room: &str,
        epoch: &str,
        offsets: impl Iterator<Item = u64>,
    ) {
        for offset in offsets {
            let (room, epoch) = (room.to_owned(), epoch.to_owned());
            self.absences.insert(Absence { connection, room, epoch, offset });
        }
    }

    /// What is known of one epoch of a room.
    pub(super) fn stream(&self, room: &str, epoch: &str) -> Option<&Stream> {
        self.streams.get(room)?.get(epoch)
    }

    /// What is known of all rooms and epochs.
    pub(super) fn streams(&self) -> impl Iterator<Item = (&str, &str, &Stream)> {
        self.streams.iter().flat_map(|(room, epochs)| {
            epochs.iter().map(|(epoch, stream)| (room.as_str(), epoch.as_str(), stream))
        })
    }

    /// At the end of a run: whatever a connection did not get was its own and excluded, or of an ephemeral room.
    pub(super) fn check_absences(&mut self) {
        let mut unexplained: BTreeMap<(u64, String), i64> = BTreeMap::new();
        for absence in std::mem::take(&mut self.absences) {
            if Scenario::is_ephemeral(&absence.room) {
                self.totals.losses += 1;
                continue;
            }
            let known =
                self.stream(&absence.room, &absence.epoch).and_then(|stream| stream.get(&absence.offset));
            match known.map(|(_, number)| *number) {
                Some(number) if self.is_own_excluded(number, absence.connection) => self.totals.excluded += 1,
                Some(_) => return self.violate("no gap at a member", format!("{absence:?}")),
                None => *unexplained.entry((absence.connection, absence.room)).or_default() += 1,
            }
        }
        self.check_unknown(unexplained);
    }

    /// An offset that nobody at all heard of can only be an excluded message that was not acknowledged.
    fn check_unknown(&mut self, mut unexplained: BTreeMap<(u64, String), i64>) {
        let placed: Vec<_> = self.places.keys().map(|(number, _)| *number).collect();
        for (number, send) in self.sends.iter().enumerate() {
            if send.exclude && placed.binary_search(&number).is_err() {
                *unexplained.entry((send.connection, send.room.clone())).or_default() -= 1;
            }
        }
        if let Some((where_, count)) = unexplained.into_iter().find(|(_, count)| *count > 0) {
            self.violate("no gap at a member", format!("{count} offsets that nobody heard of: {where_:?}"));
        }
    }

    /// At the end of a run: one connection's messages to a room stand in the order sent.
    pub(super) fn check_send_order(&mut self) {
        let mut disorder = None;
        for (room, _, stream) in self.streams().filter(|(room, ..)| !room.starts_with("user:")) {
            let mut last: BTreeMap<u64, usize> = BTreeMap::new();
            for (offset, (_, number)) in stream {
                let send = &self.sends[*number];
                let before = last.insert(send.connection, *number).filter(|_| send.times == 1);
                if before.is_some_and(|before| before > *number && self.sends[before].times == 1) {
                    disorder = Some(format!("send {number} stands behind {before:?} at {room} {offset}"));
                }
            }
        }
        if let Some(what) = disorder {
            self.violate("sends take effect in the order sent", what);
        }
    }
}
