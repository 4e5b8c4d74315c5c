//! What the connections of a traffic run say and hear: joins, the open loop of messages, and the checks of deliveries.

use super::{Counts, count};
use crate::measure::marker::{Mark, Marker, Reading};
use crate::measure::{Checker, Latency};
use crate::net::{Answer, End, Handler, Stage, Wire, read_error};
use crate::scenario::{Layout, Schedule};
use crate::settings::Settings;

/// The handler of a traffic or idle run, and everything that it counts.
pub(super) struct Traffic {
    wire: Wire,
    layout: Layout,
    payload_bytes: usize,
    marker: Marker,
    schedule: Schedule,
    /// When the run's clock began; marks count from here, so that they fit any uptime.
    origin_ns: u64,
    measured_from_us: u64,
    /// For each connection the number of its last message.
    sequences: Vec<u32>,
    /// For each connection whether it may send: it is ready and no slow consumer.
    can_send: Vec<bool>,
    slow: Vec<bool>,
    /// Slow consumers have stopped; what they are found to have received later is not judged.
    slow_stopped: bool,
    pub(super) checker: Checker,
    pub(super) latency: Latency,
    pub(super) send_lag: Latency,
    pub(super) counted: Counted,
}

/// Everything that is merely counted.
#[derive(Default)]
pub(super) struct Counted {
    pub(super) sent: u64,
    pub(super) unsent: u64,
    pub(super) ready: u64,
    pub(super) failures: Counts,
    pub(super) closes: Counts,
    pub(super) slow_closes: Counts,
    pub(super) errors: Counts,
    pub(super) other_messages: u64,
}

impl Traffic {
    /// Nobody connected, nothing sent. `run` tells this run's messages from those of all others.
    pub(super) fn new(settings: &Settings, wire: Wire, run: u32, origin_ns: u64) -> Self {
        let args = &settings.args;
        let layout = Layout::new(args.connections, args.rooms);
        Self {
            wire,
            layout,
            payload_bytes: args.payload_size,
            marker: Marker::new(run),
            schedule: Schedule::never(),
            origin_ns,
            measured_from_us: u64::MAX,
            sequences: vec![0; args.connections],
            can_send: vec![false; args.connections],
            slow: layout.stopped(args.stop_fraction),
            slow_stopped: false,
            checker: Checker::new(layout, args.connections, args.rate),
            latency: Latency::new(),
            send_lag: Latency::new(),
            counted: Counted::default(),
        }
    }

    /// Whether the connection is a slow consumer.
    pub(super) fn is_slow(&self, index: usize) -> bool {
        self.slow[index]
    }

    /// Number of slow consumers.
    pub(super) fn slow_count(&self) -> usize {
        self.slow.iter().filter(|slow| **slow).count()
    }

    /// From now on nothing that slow consumers receive is judged.
    pub(super) fn stop_slow(&mut self) {
        self.slow_stopped = true;
    }

    /// Begins to send by this schedule; messages due from `measured_from_ns` on count for latency.
    pub(super) fn send_by(&mut self, schedule: Schedule, measured_from_ns: u64) {
        self.schedule = schedule;
        self.measured_from_us = self.to_us(measured_from_ns);
    }

    /// Sends nothing more.
    pub(super) fn stop_sending(&mut self) {
        self.schedule = Schedule::never();
    }

    /// Whether messages are left to send.
    pub(super) fn is_sending(&self) -> bool {
        self.schedule.due_ns() != u64::MAX
    }

    fn to_us(&self, ns: u64) -> u64 {
        ns.saturating_sub(self.origin_ns) / 1000
    }

    /// The member of the scheduled sender's room that can send, itself if possible.
    fn able_sender(&self, scheduled: usize) -> Option<usize> {
        let mut sender = scheduled;
        while !self.can_send[sender] {
            sender = self.layout.next_member(sender);
            if sender == scheduled {
                return None;
            }
        }
        Some(sender)
    }

    #[cold]
    fn on_other(&mut self, index: usize, text: &[u8], offset: Option<u64>) {
        self.counted.other_messages += 1;
        if let Some(offset) = offset {
            self.checker.on_foreign(index, offset);
        } else if let Some(code) = read_error(text) {
            count(&mut self.counted.errors, code);
        }
    }
}

impl Handler for Traffic {
    fn on_open(&mut self, index: usize, first: &mut Vec<u8>) {
        self.wire.write_join(first, self.layout.room_of(index));
    }

    fn on_answer(&mut self, index: usize, text: &[u8]) -> Answer {
        let (answer, offset) = self.wire.read_answer(text);
        match answer {
            Answer::Accepted => {
                self.counted.ready += 1;
                self.checker.on_joined(index, offset);
                self.can_send[index] = !self.slow[index];
                if self.slow[index] {
                    self.checker.on_left(index, true);
                }
            }
            Answer::Unrelated => self.counted.other_messages += 1,
            Answer::Refused(_) => {}
        }
        answer
    }

    #[inline]
    fn on_text(&mut self, index: usize, text: &[u8], now_ns: u64) {
        if self.slow_stopped && self.slow[index] {
            return;
        }
        match self.marker.read(text) {
            Reading::Delivery(mark, offset) => {
                self.checker.on_delivery(index, mark, offset);
                if mark.intended_us >= self.measured_from_us {
                    self.latency.record(self.to_us(now_ns).saturating_sub(mark.intended_us));
                }
            }
            Reading::Other(offset) => self.on_other(index, text, offset),
            Reading::Malformed => self.checker.on_malformed(),
        }
    }

    fn on_end(&mut self, index: usize, stage: Stage, end: End) {
        self.can_send[index] = false;
        self.checker.on_left(index, false);
        let counted = &mut self.counted;
        let counts = match stage {
            Stage::Ready | Stage::Closing if self.slow[index] => &mut counted.slow_closes,
            Stage::Ready | Stage::Closing => &mut counted.closes,
            _ => &mut counted.failures,
        };
        count(counts, end.to_string());
    }

    fn next_due_ns(&self) -> u64 {
        self.schedule.due_ns()
    }

    fn next_send(&mut self, now_ns: u64, out: &mut Vec<u8>) -> Option<usize> {
        let (number, due_ns) = self.schedule.take(now_ns)?;
        let intended_us = self.to_us(due_ns);
        if intended_us >= self.measured_from_us {
            self.send_lag.record((now_ns - due_ns) / 1000);
        }
        let Some(sender) = self.able_sender(self.layout.sender_of(number)) else {
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
        let Self { wire, marker, payload_bytes, .. } = self;
        wire.write_message(out, room, |out| marker.write(out, mark, *payload_bytes));
        self.checker.on_sent(room);
        self.counted.sent += 1;
        Some(sender)
    }

    fn on_unsent(&mut self, index: usize) {
        self.sequences[index] -= 1;
        self.checker.on_unsent(self.layout.room_of(index));
        self.counted.sent -= 1;
        self.counted.unsent += 1;
    }
}
