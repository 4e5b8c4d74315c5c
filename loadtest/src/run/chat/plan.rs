//! What is due, and when: activities at steady rates, what follows each of them, and receipts. Knows no connection
//! but by its index, and sends nothing.

use std::collections::VecDeque;

use super::receipts::Receipts;
use crate::args::ChatArgs;
use crate::scenario::{Schedule, Span};

/// From a typing start to its stop; well within the 6 s after which the server would end it.
const TYPING_NS: u64 = 2_000_000_000;
/// From leaving to joining again, so that one's work is not counted as the other's.
const OUT_NS: u64 = 100_000_000;

/// Everything that will be due.
pub(super) struct Plan {
    typing: Schedule,
    updates: Schedule,
    leaves: Schedule,
    stops: Later,
    rejoins: Later,
    receipts: Receipts,
}

/// When which connections have something to do; in order, since it is always as long after what it follows.
type Later = VecDeque<(u64, usize)>;

/// Something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Join the side room again.
    Rejoin,
    /// Cease to type.
    StopTyping,
    /// Change one's status.
    Update,
    /// Leave the side room.
    Leave,
    /// Begin to type.
    Type,
    /// Say that all messages up to this offset were read.
    Confirm(u64),
}

/// Something that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) action: Action,
    /// When it was to be done.
    pub(super) due_ns: u64,
    pub(super) who: Who,
}

/// Who does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// Whose turn it is with this number. Each activity goes round the connections in the order in which messages do,
    /// but some quarters of the way ahead of them: who has just begun to type should not send at once.
    Turn { number: u64, quarters_ahead: u64 },
    /// This connection, if it still can.
    Connection(usize),
}

impl Plan {
    /// Nothing is due.
    pub(super) fn new(connections: usize, args: &ChatArgs) -> Self {
        Self {
            typing: Schedule::never(),
            updates: Schedule::never(),
            leaves: Schedule::never(),
            stops: Later::new(),
            rejoins: Later::new(),
            receipts: Receipts::new(connections, args.receipts),
        }
    }

    /// Plans the activities of a run.
    pub(super) fn start(&mut self, span: Span, args: &ChatArgs) {
        self.typing = Schedule::over(span, args.typing_rate);
        self.updates = Schedule::over(span, args.presence_rate);
        self.leaves = Schedule::over(span, args.join_rate);
    }

    /// Nothing is due any more.
    pub(super) fn stop(&mut self) {
        for schedule in [&mut self.typing, &mut self.updates, &mut self.leaves] {
            *schedule = Schedule::never();
        }
        self.stops.clear();
        self.rejoins.clear();
        self.receipts.clear();
    }

    /// The connection has done this; plans what follows.
    pub(super) fn on_done(&mut self, index: usize, Due { action, due_ns, .. }: Due) {
        match action {
            Action::Type => self.stops.push_back((due_ns + TYPING_NS, index)),
            Action::Leave => self.rejoins.push_back((due_ns + OUT_NS, index)),
            _ => {}
        }
    }

    /// Somebody else's message came to the connection. The hot path.
    #[inline]
    pub(super) fn on_delivery(&mut self, index: usize, offset: u64, now_ns: u64) {
        self.receipts.on_delivery(index, offset, now_ns);
    }

    /// Whether somebody is out of a side room.
    pub(super) fn owes_rejoins(&self) -> bool {
        !self.rejoins.is_empty()
    }

    /// When [`Plan::take`] should be called next; `u64::MAX` for never.
    #[inline]
    pub(super) fn due_ns(&self) -> u64 {
        self.next().0
    }

    #[inline]
    fn next(&self) -> (u64, Action) {
        let front = |later: &Later| later.front().map_or(u64::MAX, |(due_ns, _)| *due_ns);
        let actions = [
            (front(&self.rejoins), Action::Rejoin),
            (front(&self.stops), Action::StopTyping),
            (self.updates.due_ns(), Action::Update),
            (self.leaves.due_ns(), Action::Leave),
            (self.typing.due_ns(), Action::Type),
            (self.receipts.due_ns(), Action::Confirm(0)),
        ];
        actions.into_iter().min_by_key(|(due_ns, _)| *due_ns).expect("there are six")
    }

    /// Takes what has been due the longest, if anything is.
    pub(super) fn take(&mut self, now_ns: u64) -> Option<Due> {
        let (due_ns, action) = self.next();
        if due_ns > now_ns {
            return None;
        }
        let turn = |schedule: &mut Schedule, quarters_ahead| {
            schedule.take(now_ns).map(|(number, _)| Who::Turn { number, quarters_ahead })
        };
        let later = |later: &mut Later| later.pop_front().map(|(_, index)| Who::Connection(index));
        let who = match action {
            Action::Type => turn(&mut self.typing, 1),
            Action::Update => turn(&mut self.updates, 2),
            Action::Leave => turn(&mut self.leaves, 3),
            Action::StopTyping => later(&mut self.stops),
            Action::Rejoin => later(&mut self.rejoins),
            Action::Confirm(_) => {
                let receipt = self.receipts.take(now_ns)?;
                let action = Action::Confirm(receipt.up_to_offset);
                return Some(Due { action, due_ns, who: Who::Connection(receipt.index) });
            }
        }?;
        Some(Due { action, due_ns, who })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Args;

    const SECOND_NS: u64 = 1_000_000_000;

    /// A second of typing, updates and leaves at these rates, with a receipt for every message.
    fn plan(rates: [&str; 3]) -> Plan {
        let flags = ["loadtest", "--receipts", "1", "--typing-rate", rates[0], "--presence-rate", rates[1]];
        let args =
            Args::try_parse_from(flags.iter().chain(&["--join-rate", rates[2]])).expect("valid flags").chat;
        let mut plan = Plan::new(8, &args);
        plan.start(Span { start_ns: 0, measured_from_ns: 0, end_ns: SECOND_NS }, &args);
        plan
    }

    /// All that is taken until `end_ns`, as (action, when in ms), each done by connection 5.
    fn taken(plan: &mut Plan, end_ns: u64) -> Vec<(Action, u64)> {
        let mut taken = Vec::new();
        while plan.due_ns() <= end_ns {
            if let Some(due) = plan.take(end_ns) {
                plan.on_done(5, due);
                taken.push((due.action, due.due_ns / 1_000_000));
            }
        }
        taken
    }

    #[test]
    fn what_is_due_comes_in_order_and_brings_what_follows() {
        let mut plan = plan(["2", "1", "1"]);
        assert_eq!(
            taken(&mut plan, 10 * SECOND_NS),
            [
                (Action::Update, 0),
                (Action::Leave, 0),
                (Action::Type, 0),
                (Action::Rejoin, 100),
                (Action::Type, 500),
                (Action::StopTyping, 2000),
                (Action::StopTyping, 2500),
            ]
        );
        assert_eq!(plan.due_ns(), u64::MAX);
    }

    #[test]
    fn what_follows_is_for_the_same_connection_and_turns_go_round() {
        let mut plan = plan(["1", "0", "0"]);
        let begun = plan.take(0).expect("due");
        assert_eq!(begun.who, Who::Turn { number: 0, quarters_ahead: 1 });
        plan.on_done(3, begun);
        let ended = plan.take(TYPING_NS).expect("due");
        assert_eq!((ended.action, ended.who), (Action::StopTyping, Who::Connection(3)));
        assert_eq!(ended.due_ns, TYPING_NS);
    }

    #[test]
    fn receipts_wait_for_their_turn_like_all_others() {
        let mut plan = plan(["0", "1", "0"]);
        plan.on_delivery(2, 9, 5);
        let due: Vec<_> = [plan.take(5), plan.take(5), plan.take(5)].into_iter().flatten().collect();
        assert_eq!(
            due.iter().map(|due| due.action).collect::<Vec<_>>(),
            [Action::Update, Action::Confirm(9)]
        );
        assert_eq!(due[1].who, Who::Connection(2));
    }

    #[test]
    fn nothing_is_due_after_a_stop() {
        let mut plan = plan(["1", "1", "1"]);
        plan.on_delivery(2, 9, 0);
        for _ in 0..3 {
            let due = plan.take(0).expect("due");
            plan.on_done(1, due);
        }
        assert!(plan.owes_rejoins());
        plan.stop();
        assert_eq!((plan.owes_rejoins(), plan.due_ns(), plan.take(u64::MAX / 2)), (false, u64::MAX, None));
    }
}
