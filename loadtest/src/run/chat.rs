//! What chat clients do beside sending messages, and what comes of it: typing, receipts, presence, and leaving and
//! joining side rooms. `plan` says what is due, `receipts` what is to be confirmed; here it is said, and heard.

mod plan;
mod receipts;

use self::plan::{Action, Due, Plan, Who};
use super::clients::Clients;
use super::timeline::Timeline;
use crate::args::ChatArgs;
use crate::measure::marker::Mark;
use crate::measure::{Latency, Stamper};
use crate::net::{Push, Wire};
use crate::report::{ChatReport, MeasuredLatency};
use crate::scenario::Span;

/// The chat half of a traffic run's handler.
pub(super) struct Chat {
    wire: Wire,
    stamper: Stamper,
    timeline: Timeline,
    args: ChatArgs,
    plan: Plan,
    members: Vec<Member>,
    last: Sent,
    counted: ChatReport,
    presence_latency: Latency,
    join_latency: Latency,
}

/// What one connection is up to.
#[derive(Debug, Clone, Copy, Default)]
struct Member {
    is_away: bool,
    /// It has left its side room, and is to join it again.
    is_out: bool,
}

/// The last thing that was sent.
#[derive(Debug, Clone, Copy)]
struct Sent {
    action: Action,
    /// Changes of presence that it is to cause.
    expected: u64,
}

impl Chat {
    /// Nothing sent, nothing due. `run` tells this run's events from those of all others.
    pub(super) fn new(args: &ChatArgs, wire: Wire, connections: usize, run: u32, timeline: Timeline) -> Self {
        Self {
            wire,
            stamper: Stamper::new(run),
            timeline,
            args: args.clone(),
            plan: Plan::new(connections, args),
            members: vec![Member::default(); connections],
            last: Sent { action: Action::Type, expected: 0 },
            counted: ChatReport::default(),
            presence_latency: Latency::new(),
            join_latency: Latency::new(),
        }
    }

    /// Whether connections begin by joining their side rooms.
    pub(super) fn has_side_rooms(&self) -> bool {
        self.args.join_rate > 0.0
    }

    /// Whether connections watch the members of their rooms.
    pub(super) fn watches(&self) -> bool {
        self.args.presence_rate > 0.0
    }

    /// Begins.
    pub(super) fn start(&mut self, span: Span) {
        self.timeline.measure(span.measured_from_ns);
        self.plan.start(span, &self.args);
    }

    /// Sends nothing more.
    pub(super) fn stop(&mut self) {
        self.plan.stop();
    }

    /// Whether nothing that is measured is outstanding.
    pub(super) fn is_complete(&self) -> bool {
        let ChatReport { joins, presence, .. } = &self.counted;
        !self.plan.owes_rejoins() && joins.unanswered() == 0 && presence.missing() == 0
    }

    /// Number of measured events that have arrived.
    pub(super) fn arrived(&self) -> u64 {
        let ChatReport { joins, presence, .. } = &self.counted;
        joins.joined + joins.refused + presence.changes_received
    }

    /// When [`Chat::next_send`] has something next; `u64::MAX` for never.
    #[inline]
    pub(super) fn due_ns(&self) -> u64 {
        self.plan.due_ns()
    }

    /// Writes what is due into `out` and names its sender; `None` when nothing is due, or nobody can do it.
    pub(super) fn next_send(&mut self, now_ns: u64, clients: &Clients, out: &mut Vec<u8>) -> Option<usize> {
        let due = self.plan.take(now_ns)?;
        let able = self.able(due.who, clients);
        // With few connections it may be somebody's turn to leave who is out already.
        let Some(index) = able.filter(|index| due.action != Action::Leave || !self.members[*index].is_out)
        else {
            self.counted.unsent += 1;
            return None;
        };
        self.last = Sent { action: due.action, expected: 0 };
        self.plan.on_done(index, due);
        self.write(index, due, clients, out);
        Some(index)
    }

    fn able(&self, who: Who, clients: &Clients) -> Option<usize> {
        match who {
            Who::Connection(index) => clients.is_able(index).then_some(index),
            Who::Turn { number, quarters_ahead } => {
                let ahead = self.members.len() as u64 * quarters_ahead / 4;
                clients.able_sender(clients.layout().sender_of(number + ahead))
            }
        }
    }

    fn write(&mut self, index: usize, due: Due, clients: &Clients, out: &mut Vec<u8>) {
        let intended_us = self.timeline.to_us(due.due_ns);
        let room = clients.layout().room_of(index);
        let Self { wire, stamper, counted, members, .. } = self;
        let member = &mut members[index];
        match due.action {
            Action::Type => {
                counted.typing.starts_sent += 1;
                wire.write_typing(out, room, true);
            }
            Action::StopTyping => {
                counted.typing.stops_sent += 1;
                wire.write_typing(out, room, false);
            }
            Action::Confirm(up_to_offset) => {
                counted.receipts.sent += 1;
                wire.write_read(out, room, up_to_offset);
            }
            Action::Leave => {
                member.is_out = true;
                wire.write_leave_side(out, room);
            }
            Action::Rejoin => {
                member.is_out = false;
                counted.joins.sent += 1;
                let mark = mark(index, counted.joins.sent, intended_us);
                wire.write_rejoin_side(out, room, |out| stamper.write(out, mark));
            }
            Action::Update => {
                member.is_away = !member.is_away;
                // Whether a user's own connection, which watches too, is told is the server's affair.
                self.last.expected = clients.able_in(room).saturating_sub(1);
                counted.presence.updates_sent += 1;
                counted.presence.changes_expected += self.last.expected;
                let mark = mark(index, counted.presence.updates_sent, intended_us);
                wire.write_status(out, member.is_away, |out| stamper.write(out, mark));
            }
        }
    }

    /// What was written last was not sent.
    pub(super) fn on_unsent(&mut self) {
        let counted = &mut self.counted;
        counted.unsent += 1;
        match self.last.action {
            Action::Leave => {}
            Action::Type => counted.typing.starts_sent -= 1,
            Action::StopTyping => counted.typing.stops_sent -= 1,
            Action::Confirm(_) => counted.receipts.sent -= 1,
            Action::Rejoin => counted.joins.sent -= 1,
            Action::Update => {
                counted.presence.updates_sent -= 1;
                counted.presence.changes_expected -= self.last.expected;
            }
        }
    }

    /// Somebody else's message came to a connection that can confirm it. The hot path.
    #[inline]
    pub(super) fn on_delivery(&mut self, index: usize, offset: u64, now_ns: u64) {
        self.plan.on_delivery(index, offset, now_ns);
    }

    /// A text message that is no delivery came; returns whether that was all there is to it.
    pub(super) fn on_other(&mut self, index: usize, text: &[u8], now_ns: u64, clients: &Clients) -> bool {
        let counted = &mut self.counted;
        match Push::of(text) {
            Push::Typing => counted.typing.edges_received += 1,
            Push::Receipt => counted.receipts.statuses_received += 1,
            Push::Member => counted.members.edges_received += 1,
            Push::MemberCount => counted.members.counts_received += 1,
            Push::Presence => self.on_presence(index, text, now_ns, clients),
            Push::Joined => self.on_joined(text, now_ns),
            Push::Left => {}
            Push::Error => {
                counted.joins.refused += u64::from(self.stamper.read(text).is_some());
                return false;
            }
            Push::Other => return false,
        }
        true
    }

    fn on_presence(&mut self, index: usize, text: &[u8], now_ns: u64, clients: &Clients) {
        let presence = &mut self.counted.presence;
        let Some(mark) = self.stamper.read(text) else {
            presence.others_received += 1;
            return;
        };
        let sender = mark.sender as usize;
        let room_of = |index| clients.layout().room_of(index);
        if sender >= self.members.len() || room_of(sender) != room_of(index) {
            presence.misrouted += 1;
        } else if sender != index && clients.is_able(index) {
            presence.changes_received += 1;
            if let Some(us) = self.timeline.latency_us(mark.intended_us, now_ns) {
                self.presence_latency.record(us);
            }
        }
    }

    fn on_joined(&mut self, text: &[u8], now_ns: u64) {
        if let Some(mark) = self.stamper.read(text) {
            self.counted.joins.joined += 1;
            if let Some(us) = self.timeline.latency_us(mark.intended_us, now_ns) {
                self.join_latency.record(us);
            }
        }
    }

    /// What was found so far.
    pub(super) fn report(&self) -> ChatReport {
        let mut report = self.counted.clone();
        report.presence.latency = MeasuredLatency::of(&self.presence_latency);
        report.joins.latency = MeasuredLatency::of(&self.join_latency);
        report
    }
}

fn mark(index: usize, number: u64, intended_us: u64) -> Mark {
    Mark {
        sender: u32::try_from(index).expect("settings allow no more connections than a u32 counts"),
        // It only tells stamps apart.
        sequence: u32::try_from(number).unwrap_or(u32::MAX),
        intended_us,
    }
}
