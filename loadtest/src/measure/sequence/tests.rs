//! Planted faults, each reported as what it is.

use super::*;

/// Two members in one room; connection 0 sends messages 1 to `sent`.
fn checker(sent: u64) -> Checker {
    let mut checker = Checker::new(Layout::new(2, 1, 0.0), 100.0, true);
    checker.on_joined(0, 40);
    checker.on_joined(1, 40);
    (0..sent).for_each(|_| checker.on_sent(0));
    checker
}

fn mark(sequence: u32) -> Mark {
    Mark { sender: 0, sequence, intended_us: 0 }
}

/// Member 0 sees messages 1 to `sent` at offsets 41 on; member 1 sees `seen`, as (message, offset).
fn faults_when(sent: u32, seen: &[(u32, u64)]) -> Faults {
    let mut checker = checker(u64::from(sent));
    for sequence in 1..=sent {
        checker.on_delivery(0, mark(sequence), 40 + u64::from(sequence));
    }
    for (sequence, offset) in seen {
        checker.on_delivery(1, mark(*sequence), *offset);
    }
    checker.faults()
}

#[test]
fn a_perfect_run_has_no_faults() {
    assert_eq!(faults_when(3, &[(1, 41), (2, 42), (3, 43)]), Faults::default());
}

#[test]
fn a_planted_loss_is_one_loss_wherever_it_is() {
    let lost = Faults { lost: 1, ..Faults::default() };
    assert_eq!(faults_when(3, &[(2, 42), (3, 43)]), lost);
    assert_eq!(faults_when(3, &[(1, 41), (3, 43)]), lost);
    assert_eq!(faults_when(3, &[(1, 41), (2, 42)]), lost);
}

#[test]
fn a_planted_duplicate_is_one_duplicate_and_hides_no_loss() {
    assert_eq!(
        faults_when(3, &[(1, 41), (1, 41), (2, 42), (3, 43)]),
        Faults { duplicates: 1, ..Faults::default() }
    );
    assert_eq!(
        faults_when(3, &[(1, 41), (2, 42), (2, 42)]),
        Faults { duplicates: 1, lost: 1, ..Faults::default() }
    );
}

#[test]
fn a_planted_swap_is_one_order_fault() {
    let swapped = faults_when(4, &[(1, 41), (3, 43), (2, 42), (4, 44)]);
    assert_eq!(swapped, Faults { order: 1, ..Faults::default() });
}

#[test]
fn members_that_disagree_about_an_offset_are_found() {
    let disagreeing = faults_when(3, &[(1, 41), (3, 42), (2, 43)]);
    assert_eq!(disagreeing, Faults { order: 2, ..Faults::default() });
    // Two messages at one offset: the second is no duplicate.
    assert_eq!(faults_when(2, &[(1, 41), (2, 41)]), Faults { order: 1, ..Faults::default() });
}

#[test]
fn a_message_published_twice_is_a_duplicate_at_each_member() {
    let mut checker = checker(2);
    for member in [0, 1] {
        for (sequence, offset) in [(1, 41), (1, 42), (2, 43)] {
            checker.on_delivery(member, mark(sequence), offset);
        }
    }
    assert_eq!(checker.faults(), Faults { duplicates: 2, ..Faults::default() });
}

#[test]
fn messages_of_one_sender_that_overtake_each_other_are_found() {
    let mut checker = checker(2);
    for member in [0, 1] {
        for (sequence, offset) in [(2, 41), (1, 42)] {
            checker.on_delivery(member, mark(sequence), offset);
        }
    }
    assert_eq!(checker.faults(), Faults { order: 1, ..Faults::default() });
}

#[test]
fn offsets_that_skip_without_a_loss_are_order_faults_but_foreign_messages_are_not() {
    let mut checker = checker(2);
    checker.on_delivery(0, mark(1), 41);
    checker.on_foreign(0, 42);
    checker.on_delivery(0, mark(2), 43);
    checker.on_delivery(1, mark(1), 41);
    checker.on_delivery(1, mark(2), 43);
    assert_eq!(checker.faults(), Faults { order: 1, ..Faults::default() });
}

#[test]
fn without_offsets_each_sender_is_followed_alone() {
    // Two senders; member 1 sees their messages interleaved otherwise than member 0, which cannot be told.
    let faults_when = |seen: &[(u32, u32)]| {
        let mut checker = Checker::new(Layout::new(2, 1, 0.0), 100.0, false);
        checker.on_joined(0, 0);
        checker.on_joined(1, 0);
        for (sender, sequence) in [(0, 1), (1, 1), (0, 2), (0, 3)] {
            checker.on_sent(0);
            checker.on_unnumbered(0, Mark { sender, sequence, intended_us: 0 });
        }
        for (sender, sequence) in seen {
            checker.on_unnumbered(1, Mark { sender: *sender, sequence: *sequence, intended_us: 0 });
        }
        assert_eq!(checker.unseen(), 0);
        checker.faults()
    };
    assert_eq!(faults_when(&[(1, 1), (0, 1), (0, 2), (0, 3)]), Faults::default());
    assert_eq!(faults_when(&[(0, 1), (0, 3), (1, 1)]), Faults { lost: 1, ..Faults::default() });
    assert_eq!(
        faults_when(&[(0, 1), (0, 3), (0, 2), (0, 2), (1, 1)]),
        Faults { order: 1, duplicates: 1, ..Faults::default() }
    );
    assert_eq!(
        faults_when(&[(0, 1), (0, 2), (0, 3), (7, 1)]),
        Faults { lost: 1, misrouted: 1, ..Faults::default() }
    );
}

#[test]
fn who_left_misses_nothing_afterwards_and_who_is_forgiven_nothing_at_all() {
    let mut checker = checker(1);
    checker.on_left(1, false);
    checker.on_sent(0);
    assert_eq!(checker.faults().lost, 3);
    assert_eq!(checker.unseen(), 2);
    checker.on_delivery(0, mark(1), 41);
    checker.on_delivery(0, mark(2), 42);
    assert_eq!((checker.faults().lost, checker.unseen(), checker.is_complete()), (1, 0, false));
    let mut forgiving = self::checker(1);
    forgiving.on_left(1, true);
    forgiving.on_delivery(0, mark(1), 41);
    assert!(forgiving.is_complete());
}

#[test]
fn what_is_written_off_is_lost_once_and_spoils_nothing_afterwards() {
    let mut checker = checker(3);
    for (sequence, offset) in [(1, 41), (2, 42), (3, 43)] {
        checker.on_delivery(0, mark(sequence), offset);
    }
    checker.on_delivery(1, mark(1), 41);
    checker.write_off();
    let lost = Faults { lost: 2, ..Faults::default() };
    assert_eq!((checker.faults(), checker.is_complete()), (lost, true));
    checker.on_sent(0);
    checker.on_delivery(0, mark(4), 44);
    assert_eq!((checker.faults().since(lost).lost, checker.is_complete()), (1, false));
    checker.on_delivery(1, mark(4), 44);
    assert_eq!((checker.faults(), checker.is_complete()), (lost, true));
}

#[test]
fn who_joins_again_misses_only_what_is_sent_from_then_on() {
    let mut checker = checker(2);
    for (sequence, offset) in [(1, 41), (2, 42)] {
        checker.on_delivery(0, mark(sequence), offset);
    }
    checker.on_left(1, false);
    checker.write_off();
    checker.on_joined(1, 42);
    assert_eq!((checker.faults().lost, checker.is_complete()), (2, true));
    checker.on_sent(0);
    checker.on_delivery(0, mark(3), 43);
    assert_eq!(checker.faults().lost, 3);
    checker.on_delivery(1, mark(3), 43);
    assert_eq!(checker.faults(), Faults { lost: 2, ..Faults::default() });
}

#[test]
fn strangers_are_misrouted_and_never_panic() {
    let mut checker = Checker::new(Layout::new(2, 2, 0.0), 1.0, true);
    checker.on_delivery(0, Mark { sender: 1, ..mark(1) }, 1);
    checker.on_delivery(0, Mark { sender: u32::MAX, ..mark(1) }, u64::MAX);
    assert_eq!(checker.faults().misrouted, 2);
}
