//! What the connections of a traffic run say and hear: joins, the open loop of messages, and the checks of deliveries.
//! With `--kind chat` everything else that they say and hear is `chat`'s; `comings` is about those that come back.

mod comings;

use super::chat::Chat;
use super::clients::Clients;
use super::nodes::Nodes;
use super::timeline::Timeline;
use super::wires::Wires;
use super::{Counts, count};
use crate::args::Recovery;
use crate::clock;
use crate::measure::marker::{Mark, Marker, Reading};
use crate::measure::{Checker, Latency, Recorder, Totals};
use crate::net::{Answer, End, Handler, Reply, Stage, Wire};
use crate::progress::Snapshot;
use crate::report::ChatReport;
use crate::scenario::{Layout, Schedule, Span};
use crate::settings::{Part, Settings};

use self::comings::Comings;
pub(super) use self::comings::Ended;

/// The handler of a traffic or idle run, and everything that it counts.
pub(super) struct Traffic {
    wires: Wires,
    layout: Layout,
    payload_bytes: usize,
    rate: f64,
    /// Messages are sent in the first so many rooms.
    rooms_in_use: usize,
    part: Part,
    /// For each connection whether it is ours, and not another generator's.
    is_own: Vec<bool>,
    marker: Marker,
    schedule: Schedule,
    timeline: Timeline,
    /// For each connection the number of its last message.
    sequences: Vec<u32>,
    pub(super) clients: Clients,
    pub(super) nodes: Nodes,
    chat: Option<Chat>,
    /// What the schedules asked for last was the chat's.
    chat_was_last: bool,
    /// Slow consumers have stopped; what they are found to have received later is not judged.
    slow_stopped: bool,
    pub(super) checker: Checker,
    pub(super) recorder: Recorder,
    pub(super) connect_latency: Latency,
    pub(super) counted: Counted,
    /// Where connections may come back.
    comings: Option<Comings>,
}

/// Everything that is merely counted.
#[derive(Default)]
pub(super) struct Counted {
    pub(super) sent: u64,
    pub(super) unsent: u64,
    pub(super) ready: u64,
    /// Connections that became ready again.
    pub(super) back: u64,
    /// Connections that ended after they were ready.
    pub(super) ended: u64,
    pub(super) failures: Counts,
    pub(super) closes: Counts,
    pub(super) slow_closes: Counts,
    pub(super) errors: Counts,
    pub(super) other_messages: u64,
}

impl Traffic {
    /// Nobody connected, nothing sent. `run` tells this run's messages from those of all others.
    pub(super) fn new(settings: &Settings, run: u32, origin_ns: u64) -> Self {
        let args = &settings.args;
        let wires = Wires::new(settings);
        let layout = settings.layout();
        let timeline = Timeline::new(origin_ns);
        let chat = || Chat::new(&args.chat, wires.first().clone(), args.connections, run, timeline);
        Self {
            chat: settings.is_chat().then(chat),
            wires,
            layout: layout.clone(),
            payload_bytes: args.payload_size,
            rate: args.rate,
            rooms_in_use: layout.rooms(),
            part: settings.part,
            is_own: own(&layout, settings.part),
            marker: if args.dialect.has_offsets() { Marker::new(run) } else { Marker::without_offsets(run) },
            schedule: Schedule::never(),
            timeline,
            sequences: vec![0; args.connections],
            clients: Clients::new(layout.clone(), args.stop_fraction, args.slow_fraction),
            nodes: Nodes::new(settings),
            chat_was_last: false,
            slow_stopped: false,
            checker: Checker::new(layout, settings.log_rate(), args.dialect.has_offsets()),
            recorder: Recorder::new(settings.servers()),
            connect_latency: Latency::new(),
            counted: Counted::default(),
            comings: Comings::new(args),
        }
    }

    /// From now on nothing that slow consumers receive is judged.
    pub(super) fn stop_slow(&mut self) {
        self.slow_stopped = true;
    }

    /// Begins to send.
    pub(super) fn start(&mut self, span: Span) {
        self.schedule = Schedule::over(span, self.rate);
        self.timeline.measure(span.measured_from_ns);
        if let Some(chat) = &mut self.chat {
            chat.start(span);
        }
    }

    /// The connections that are ours.
    pub(super) fn own(&self) -> Vec<usize> {
        (0..self.is_own.len()).filter(|index| self.is_own[*index]).collect()
    }

    /// Rooms that messages are sent in.
    pub(super) fn rooms_in_use(&self) -> usize {
        self.rooms_in_use
    }

    /// Changes how much is sent, and in how many rooms; whatever was measured before is forgotten.
    pub(super) fn reshape(&mut self, rate: f64, rooms: usize) {
        (self.rate, self.rooms_in_use) = (rate, rooms);
        self.recorder.forget();
    }

    /// Sends nothing more.
    pub(super) fn stop_sending(&mut self) {
        self.schedule = Schedule::never();
        if let Some(chat) = &mut self.chat {
            chat.stop();
        }
    }

    /// Whether messages are left to send.
    pub(super) fn is_sending(&self) -> bool {
        self.schedule.due_ns() != u64::MAX
    }

    /// Where the run stands.
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            connections: self.counted.ready,
            sent: self.counted.sent,
            deliveries: self.checker.deliveries(),
            p99_ms: self.recorder.p99_ms(),
        }
    }

    /// Records how long a message took, if our clock was there when it was sent.
    #[inline]
    fn record(&mut self, mark: Mark, now_ns: u64) {
        let is_own = self.is_own.get(mark.sender as usize).is_some_and(|own| *own);
        if let Some(us) = self.timeline.latency_us(mark.intended_us, now_ns).filter(|_| is_own) {
            self.recorder.latency.record(us);
        }
    }

    /// Whether nothing is outstanding.
    pub(super) fn is_complete(&self) -> bool {
        self.checker.is_complete() && self.chat.as_ref().is_none_or(Chat::is_complete)
    }

    /// Deliveries, and whatever else is waited for, so far.
    pub(super) fn arrived(&self) -> u64 {
        self.checker.deliveries() + self.chat.as_ref().map_or(0, Chat::arrived)
    }

    /// What has been counted so far.
    pub(super) fn totals(&self) -> Totals {
        let Counted { ready, back, ended, sent, .. } = self.counted;
        Totals { connects: ready + back, closes: ended, sent, deliveries: self.checker.deliveries() }
    }

    /// The run is in another part of it; `measured` says whether the report is about this one.
    pub(super) fn begin(&mut self, phase: &str, measured: bool) {
        let totals = self.totals();
        self.recorder.begin(phase, measured, totals);
    }

    /// What was found beside deliveries.
    pub(super) fn chat_report(&self) -> Option<ChatReport> {
        self.chat.as_ref().map(Chat::report)
    }

    /// A request, written by `write`, that the connection now waits for the answer of.
    fn request(&self, index: usize, write: impl FnOnce(&Wire, &mut Vec<u8>)) -> Answer {
        let mut text = Vec::new();
        write(self.wires.of(index), &mut text);
        Answer::Next(text)
    }

    /// `text` is the answer that says so.
    fn on_joined(&mut self, index: usize, offset: u64, text: &[u8]) -> Answer {
        if self.comings.is_some() {
            self.on_entered(index, offset, text);
        } else {
            self.checker.on_joined(index, offset);
        }
        if self.clients.is_slow(index) {
            self.checker.on_left(index, true);
        }
        match &self.chat {
            Some(chat) if chat.watches() => {
                self.request(index, |wire, out| wire.write_watch(out, self.layout.room_of(index)))
            }
            _ => self.admit(index),
        }
    }

    fn admit(&mut self, index: usize) -> Answer {
        self.clients.on_ready(index);
        let is_back = self.is_returning(index);
        if let Some(comings) = &mut self.comings {
            comings.was_in[index] = true;
            comings.returned.extend(is_back.then_some(index));
        }
        self.nodes.on_ready(index, is_back);
        *if is_back { &mut self.counted.back } else { &mut self.counted.ready } += 1;
        Answer::Accepted
    }

    #[inline(never)]
    fn on_other(&mut self, index: usize, text: &[u8], offset: Option<u64>, now_ns: u64) {
        self.counted.other_messages += 1;
        if let Some(chat) = &mut self.chat
            && chat.on_other(index, text, now_ns, &self.clients)
        {
            return;
        }
        if let Some(offset) = offset {
            self.checker.on_foreign(index, offset);
        } else if let Some(code) = self.wires.of(index).read_error(text) {
            count(&mut self.counted.errors, code);
        }
    }
}

/// For each connection whether it belongs to this part. Each room's members are dealt out in turn, so that it spans all.
fn own(layout: &Layout, part: Part) -> Vec<bool> {
    let order = layout.room_by_room();
    let mut own = vec![false; order.len()];
    order.into_iter().skip(part.number).step_by(part.of).for_each(|index| own[index] = true);
    own
}

/// The message that part `number` sends as its `n`-th: of each round of as many as there are parts one, and not always
/// the same, so that all meet all rooms.
fn number_of(n: u64, Part { number, of }: Part) -> u64 {
    n * of as u64 + (number as u64 + n) % of as u64
}

impl Handler for Traffic {
    fn on_open(&mut self, index: usize, first: &mut Vec<u8>) {
        let room = self.layout.room_of(index);
        let position = match &self.comings {
            Some(comings) if comings.recovery == Recovery::Offset => self.checker.position(index),
            _ => None,
        };
        if let Some((epoch, offset)) = position {
            return self.wires.of(index).write_return(first, room, epoch, offset);
        }
        match &self.chat {
            // The room itself comes last: its messages count from then on.
            Some(chat) if chat.has_side_rooms() => self.wires.of(index).write_join_side(first, room),
            _ => self.wires.of(index).write_first(first, room),
        }
        if first.is_empty() {
            // The path has named its room.
            self.on_joined(index, 0, &[]);
        }
    }

    fn on_answer(&mut self, index: usize, text: &[u8]) -> Answer {
        match self.wires.of(index).read_reply(text) {
            Reply::Connected | Reply::JoinedSide => {
                self.request(index, |wire, out| wire.write_join(out, self.layout.room_of(index)))
            }
            Reply::Joined(offset) => self.on_joined(index, offset, text),
            Reply::Watching => self.admit(index),
            Reply::Refused(reason) => Answer::Refused(reason),
            Reply::Unrelated => {
                // A member that is not ready yet may be in its room already, or be given what it missed.
                match self.marker.read(text) {
                    Reading::Delivery(mark, offset) if self.is_returning(index) => {
                        self.nodes.on_delivery(index);
                        self.checker.on_recovered(index, mark, offset);
                    }
                    Reading::Other(offset) => self.on_other(index, text, offset, clock::now_ns()),
                    Reading::Delivery(..) | Reading::Unnumbered(_) | Reading::Malformed => {
                        self.counted.other_messages += 1
                    }
                }
                Answer::Unrelated
            }
        }
    }

    fn on_ready(&mut self, _index: usize, took_ns: u64) {
        self.connect_latency.record(took_ns / 1000);
    }

    #[inline]
    fn on_text(&mut self, index: usize, text: &[u8], now_ns: u64) {
        if self.slow_stopped && self.clients.is_slow(index) {
            return;
        }
        match self.marker.read(text) {
            Reading::Delivery(mark, offset) => {
                self.nodes.on_delivery(index);
                self.checker.on_delivery(index, mark, offset);
                self.record(mark, now_ns);
                if let Some(chat) = &mut self.chat
                    && mark.sender as usize != index
                    && self.clients.is_able(index)
                {
                    chat.on_delivery(index, offset, now_ns);
                }
            }
            Reading::Unnumbered(mark) => {
                self.nodes.on_delivery(index);
                self.checker.on_unnumbered(index, mark);
                self.record(mark, now_ns);
            }
            Reading::Other(offset) => self.on_other(index, text, offset, now_ns),
            Reading::Malformed => self.checker.on_malformed(),
        }
    }

    fn on_end(&mut self, index: usize, stage: Stage, end: End) {
        self.clients.on_gone(index);
        self.nodes.on_end(index, stage, &end);
        if self.is_returning(index)
            && let Some(comings) = &mut self.comings
        {
            self.counted.ended += u64::from(matches!(stage, Stage::Ready | Stage::Closing));
            if stage != Stage::Closing {
                self.checker.on_away(index, Some(self.sequences[index]));
            }
            comings.ended.push(Ended { index, stage, end });
            return;
        }
        self.checker.on_left(index, false);
        let counted = &mut self.counted;
        counted.ended += u64::from(matches!(stage, Stage::Ready | Stage::Closing));
        let counts = match stage {
            Stage::Ready | Stage::Closing if self.clients.is_slow(index) => &mut counted.slow_closes,
            Stage::Ready | Stage::Closing => &mut counted.closes,
            _ => &mut counted.failures,
        };
        count(counts, end.to_string());
    }

    fn next_due_ns(&self) -> u64 {
        self.schedule.due_ns().min(self.chat.as_ref().map_or(u64::MAX, Chat::due_ns))
    }

    fn next_send(&mut self, now_ns: u64, out: &mut Vec<u8>) -> Option<usize> {
        let chat = self.chat.as_mut().filter(|chat| chat.due_ns() < self.schedule.due_ns());
        self.chat_was_last = chat.is_some();
        if let Some(chat) = chat {
            return chat.next_send(now_ns, &self.clients, out);
        }
        let (number, due_ns) = self.schedule.take(now_ns)?;
        let intended_us = self.timeline.to_us(due_ns);
        if self.timeline.is_measured(intended_us) {
            self.recorder.send_lag.record((now_ns - due_ns) / 1000);
        }
        let number = number_of(number, self.part);
        let Some(sender) = self.clients.able_sender(self.layout.sender_among(number, self.rooms_in_use))
        else {
            self.counted.unsent += 1;
            return None;
        };
        self.sequences[sender] += 1;
        let mark = Mark {
            sender: u32::try_from(sender).expect("settings allow no more connections than a u32 counts"),
            sequence: self.sequences[sender],
            intended_us,
        };
        let room = self.layout.room_of(sender);
        let Self { wires, marker, payload_bytes, .. } = self;
        wires.of(sender).write_message(out, room, |out| marker.write(out, mark, *payload_bytes));
        self.checker.on_sent(room);
        self.counted.sent += 1;
        Some(sender)
    }

    fn on_wake(&mut self, late_ns: u64) {
        self.recorder.loop_lag.record(late_ns / 1000);
    }

    fn on_unsent(&mut self, index: usize) {
        if let Some(chat) = self.chat.as_mut().filter(|_| self.chat_was_last) {
            chat.on_unsent();
            return;
        }
        self.sequences[index] -= 1;
        self.checker.on_unsent(self.layout.room_of(index));
        self.counted.sent -= 1;
        self.counted.unsent += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_share_connections_and_messages_without_a_gap_or_an_overlap() {
        let layout = Layout::new(23, 4, 0.0);
        let parts: Vec<_> = (0..3).map(|number| Part { number, of: 3 }).collect();
        let owners: Vec<_> = parts.iter().map(|part| own(&layout, *part)).collect();
        assert!((0..23).all(|index| owners.iter().filter(|own| own[index]).count() == 1));
        for (part, own) in parts.iter().zip(&owners) {
            assert_eq!(own.iter().filter(|own| **own).count(), part.share(23));
            for room in 0..4 {
                assert!((0..23).any(|index| own[index] && layout.room_of(index) == room), "room {room}");
            }
        }
        let mut numbers: Vec<_> =
            parts.iter().flat_map(|part| (0..20).map(|n| number_of(n, *part))).collect();
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..60));
        assert_eq!(number_of(7, Part::WHOLE), 7);
    }
}
