//! What all clients together learned: one truth about every room, which none of them may contradict.

mod created;
mod presence;
mod queues;
mod receipts;
mod revisions;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::scenario::Scenario;
use super::totals::Totals;
use created::CreatedRooms;
use presence::Comings;
use queues::Queues;
use receipts::Receipts;

pub(super) use created::Creation;
pub(super) use receipts::Reading;
pub(super) use revisions::{Edit, State};

/// What a crash may break when nothing waits for the disk: the last that was told is lost, under another epoch.
const UNSAFE: [&str; 10] = [
    "what is kept can be recovered",
    "deleted stays deleted",
    "a queued message reaches its user",
    "a session can be resumed in its time",
    "a session's rooms come back",
    "excludeSender never reaches its session",
    "no gap at a member",
    "sends take effect in the order sent",
    "what is allowed is done",
    "the final state is everywhere the same",
];

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
    /// The session as which it did so.
    pub(super) session: u64,
    /// The user, if it has a name.
    pub(super) user: Option<String>,
    pub(super) room: String,
    pub(super) content: String,
    pub(super) exclude: bool,
    pub(super) client_id: Option<String>,
    pub(super) sent_ms: u64,
    /// How often it was sent.
    pub(super) times: u32,
}

/// A message, or a change of one, as a client heard of it: in a push, a history or an acknowledgement.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    pub(super) room: String,
    pub(super) epoch: String,
    pub(super) offset: u64,
    pub(super) id: String,
    /// Its number in [`Ledger::sends`].
    pub(super) number: usize,
    /// What has become of it.
    pub(super) state: State,
    /// Whether this is said to be the change itself.
    pub(super) change: bool,
}

/// What stands at an offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: String,
    pub(super) number: usize,
    /// For a change of a message: what that is from then on.
    pub(super) change: Option<State>,
}

/// How a connection was told what stands behind an offset that it did not get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Told {
    /// One by one.
    Live,
    /// In a replay of what lies behind one offset, up to another: messages come in their final state.
    Replay(u64, u64),
    /// In a history, which lists messages only.
    History,
}

/// An offset that a connection did not get where it got the next one.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Absence {
    connection: u64,
    room: String,
    epoch: String,
    offset: u64,
    told: Told,
}

/// One epoch of a room: what stands at which offset.
pub(super) type Stream = BTreeMap<u64, Entry>;

/// Everything that clients learned in a run, and what became of it.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Whose ledger it is: each namespace of rooms and users has its own.
    pub(super) tenant: String,
    pub(super) sends: Vec<Send>,
    /// Changes that clients asked for.
    pub(super) edits: Vec<Edit>,
    /// Numbers of messages by their ids.
    by_id: BTreeMap<String, usize>,
    /// What became of messages, by id and the change's offset.
    changes: BTreeMap<String, BTreeMap<u64, State>>,
    /// What messages were said to be in their own places, where that is not as they were sent, by id.
    shown: BTreeMap<String, Vec<State>>,
    /// What histories said at the end, by id.
    finals: BTreeMap<String, State>,
    pub(super) created: CreatedRooms,
    pub(super) receipts: Receipts,
    pub(super) comings: BTreeMap<String, Comings>,
    pub(super) queues: Queues,
    /// Users who were said to be gone although they were not, as far as their clients knew.
    pub(super) flaps: Vec<(String, String)>,
    /// Who is in which room at the end.
    pub(super) present: BTreeSet<(String, String)>,
    /// Tokens of sessions, and whose they are.
    pub(super) tokens: Vec<(String, String)>,
    /// Broken promises that are none when frames were dropped.
    suspicion: Option<Violation>,
    /// The same, when a queue was dropped, so that places in what was sent are not exact.
    doubt: Option<Violation>,
    /// By room and epoch.
    streams: BTreeMap<String, BTreeMap<String, Stream>>,
    /// Where each message stands, by number and epoch.
    places: BTreeMap<(usize, String), u64>,
    /// Messages and epochs that were acknowledged as new.
    acknowledged: BTreeSet<(usize, String)>,
    absences: BTreeSet<Absence>,
    /// Users that clients have heard of.
    pub(super) users: Vec<String>,
    /// Whether streams went on under other epochs, in which nobody need hear again what stands where.
    pub(super) renewed: bool,
    /// Whether a process was killed, and clients that came back to a session while they still had it: what the connection
    /// that they left has confirmed by then, and not handled, may count as theirs afterwards.
    pub(super) crashed: bool,
    pub(super) crossed: BTreeSet<u64>,
    pub(super) violation: Option<Violation>,
    pub(super) totals: Totals,
    /// What happened, when somebody wants to read it; padding is left out.
    pub(super) trace: Option<Vec<String>>,
}

impl Ledger {
    pub(super) fn violate(&mut self, invariant: &'static str, what: impl Into<String>) {
        if self.renewed && UNSAFE.contains(&invariant) {
            return;
        }
        let what = what.into();
        self.note(|| format!("VIOLATION {invariant}: {what}"));
        self.violation.get_or_insert(Violation { invariant, what });
    }

    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(line().replace("xxxxxxxx", ""));
        }
    }

    /// Something that must not be, unless frames were dropped on the way to a slow client.
    pub(super) fn suspect(&mut self, invariant: &'static str, what: impl Into<String>) {
        let what = what.into();
        self.note(|| format!("SUSPICION {invariant}: {what}"));
        self.suspicion.get_or_insert(Violation { invariant, what });
    }

    /// Something that must not be, unless it is not exactly known what slow clients were sent.
    pub(super) fn doubt(&mut self, invariant: &'static str, what: impl Into<String>) {
        let what = what.into();
        self.note(|| format!("DOUBT {invariant}: {what}"));
        self.doubt.get_or_insert(Violation { invariant, what });
    }

    /// Suspicions are violations where no frame was dropped, doubts where no client was too slow either.
    pub(super) fn judge_suspicion(&mut self, dropped: u64, slow: u64) {
        if dropped == 0 && self.violation.is_none() {
            self.violation = self.suspicion.take();
        }
        if dropped == 0 && slow == 0 && self.violation.is_none() {
            self.violation = self.doubt.take();
        }
    }

    /// A client learned what stands at an offset.
    pub(super) fn hear(&mut self, heard: &Heard, by: u64) {
        let place = (heard.number, heard.epoch.clone());
        let moved = self.place_of(&place).is_some_and(|at| at != heard.offset);
        let is_change = heard.change || (heard.state != State::New && moved);
        let change = is_change.then_some(heard.state);
        let epochs = self.streams.entry(heard.room.clone()).or_default();
        let stream = epochs.entry(heard.epoch.clone()).or_default();
        let entry = Entry { id: heard.id.clone(), number: heard.number, change };
        let known = stream.entry(heard.offset).or_insert_with(|| entry.clone());
        if *known != entry {
            let what = format!("connection {by} heard {heard:?}, another heard {known:?} there");
            return self.violate("all members see one order", what);
        }
        self.by_id.entry(heard.id.clone()).or_insert(heard.number);
        if is_change {
            return self.hear_change(heard);
        }
        self.hear_shown(heard);
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

    /// Where a message stands. A stream that goes on under another epoch has it where the one before had it, unless it
    /// was lost with that one's end and sent again.
    fn place_of(&self, place: &(usize, String)) -> Option<u64> {
        let sent_once = |send: &Send| send.times == 1;
        let elsewhere = || {
            let renewed = self.renewed && self.sends.get(place.0).is_some_and(sent_once);
            let mut places = self.places.range((place.0, String::new())..).take_while(|_| renewed);
            places.next().filter(|((number, _), _)| *number == place.0).map(|(_, at)| at)
        };
        self.places.get(place).or_else(elsewhere).copied()
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

    /// A client received a message as that session, and not only its acknowledgement.
    pub(super) fn receive(&mut self, heard: &Heard, by: u64, session: u64) {
        self.hear(heard, by);
        let excluded =
            self.sends.get(heard.number).is_some_and(|send| send.exclude && send.session == session);
        if excluded && !self.is_change(heard) {
            self.violate("excludeSender never reaches its session", format!("connection {by} got {heard:?}"));
        }
    }

    fn is_own_excluded(&self, number: usize, connection: u64) -> bool {
        // A client's connections may have been one session, and one connection two.
        let is_own = |send: &Send| send.connection / 1_000 == connection / 1_000;
        self.sends.get(number).is_some_and(|send| send.exclude && is_own(send))
    }

    /// A connection got what stands behind these offsets, but not them.
    pub(super) fn miss(
        &mut self,
        connection: u64,
        room: &str,
        epoch: &str,
        offsets: impl Iterator<Item = u64>,
        told: Told,
    ) {
        for offset in offsets {
            let (room, epoch) = (room.to_owned(), epoch.to_owned());
            self.absences.insert(Absence { connection, room, epoch, offset, told });
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

    /// At the end of a run: whatever a connection did not get was its own and excluded, a change that its messages
    /// show, or of an ephemeral room.
    pub(super) fn check_absences(&mut self) {
        let mut unexplained: BTreeMap<(u64, String), (i64, bool)> = BTreeMap::new();
        let mut counted = BTreeSet::new();
        for absence in std::mem::take(&mut self.absences) {
            if Scenario::is_ephemeral(&absence.room) {
                self.totals.losses += 1;
                continue;
            }
            if self.crashed && self.crossed.contains(&(absence.connection / 1_000)) {
                continue;
            }
            let stream = self.stream(&absence.room, &absence.epoch);
            match stream.and_then(|stream| stream.get(&absence.offset)).cloned() {
                Some(entry) if entry.change.is_some() => {
                    if !self.shows_change(&absence, &entry) {
                        return self.violate("no gap at a member", format!("{absence:?}: {entry:?}"));
                    }
                }
                Some(entry) if self.is_own_excluded(entry.number, absence.connection) => {
                    self.totals.excluded += 1
                }
                Some(entry) => {
                    return self.violate("no gap at a member", format!("{absence:?}: {entry:?}"));
                }
                None => {
                    self.note(|| format!("UNKNOWN {absence:?}"));
                    let client = absence.connection / 1_000;
                    let new = counted.insert((client, absence.epoch, absence.offset));
                    let count = unexplained.entry((client, absence.room)).or_default();
                    count.0 += i64::from(new);
                    count.1 |= absence.told != Told::Live;
                }
            }
        }
        self.check_unknown(unexplained);
    }

    /// An offset that nobody at all heard of can only be an excluded message that was not acknowledged, or a change
    /// that only replays passed.
    fn check_unknown(&mut self, mut unexplained: BTreeMap<(u64, String), (i64, bool)>) {
        let placed: Vec<_> = self.places.keys().map(|(number, _)| *number).collect();
        for (number, send) in self.sends.iter().enumerate() {
            if send.exclude && (self.renewed || placed.binary_search(&number).is_err()) {
                unexplained.entry((send.connection / 1_000, send.room.clone())).or_default().0 -= 1;
            }
        }
        for ((_, room), (count, replayed)) in &mut unexplained {
            if *replayed {
                let unheard = self.edits.iter().filter(|edit| self.renewed || !edit.placed);
                let here = unheard.filter(|edit| self.sends[edit.number].room == *room).count();
                *count -= i64::try_from(here).unwrap_or(i64::MAX);
            }
        }
        if let Some((where_, (count, _))) = unexplained.into_iter().find(|(_, (count, _))| *count > 0) {
            self.violate("no gap at a member", format!("{count} offsets that nobody heard of: {where_:?}"));
        }
    }

    /// At the end of a run: one connection's messages to a room stand in the order sent.
    pub(super) fn check_send_order(&mut self) {
        let mut disorder = None;
        for (room, _, stream) in self.streams().filter(|(room, ..)| !room.starts_with("user:")) {
            let mut last: BTreeMap<u64, usize> = BTreeMap::new();
            for (offset, Entry { number, .. }) in stream.iter().filter(|(_, entry)| entry.change.is_none()) {
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
