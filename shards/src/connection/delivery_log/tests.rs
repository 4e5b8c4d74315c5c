use super::*;

fn log() -> DeliveryLog {
    let mut log = DeliveryLog { is_session: true, ..DeliveryLog::default() };
    log.enter(1, &"a".into(), Epoch(1), 0);
    log.enter(2, &"b".into(), Epoch(2), 10);
    for (number, offset, end) in [(1, 1, 100), (2, 11, 200), (1, 2, 300), (2, 12, 400)] {
        log.note(number, offset, end);
    }
    log
}

fn offsets(log: &DeliveryLog) -> Vec<Offset> {
    log.positions().map(|room| room.offset).collect()
}

#[test]
fn a_pong_confirms_what_was_before_its_ping() {
    let mut log = log();
    let ping = log.probe(300, 5_000).expect("there is something to ask");
    assert!(log.probe(400, 9_000).is_none(), "one at a time");
    assert!(!log.pong(b"1234"));
    assert!(log.pong(&ping));
    assert_eq!(offsets(&log), [2, 11]);
    assert_eq!(log.unconfirmed().map(|room| room.offset).collect::<Vec<_>>(), [11]);
    assert_eq!((log.certain(1, 0), log.certain(2, 0), log.certain(2, 400)), (None, Some(11), None));
    let ping = log.probe(400, 9_000).expect("what was behind it is asked about at once");
    assert!(log.pong(&ping));
    assert_eq!(offsets(&log), [2, 12]);
    assert_eq!((log.probe(400, 9_000), log.next_probe_ms()), (None, None), "nothing to ask");
}

#[test]
fn under_steady_traffic_one_ping_a_second_asks() {
    let mut log = DeliveryLog::default();
    log.enter(1, &"a".into(), Epoch(1), 0);
    let mut pings = 0;
    for at in 0..100_000_u64 / 10 {
        log.note(1, at + 1, at);
        if let Some(ping) = log.probe(at, at * 10) {
            pings += 1;
            assert!(log.pong(&ping));
        }
        if let Some(due) = log.next_probe_ms() {
            assert!(due <= at * 10 + 1_000);
        }
    }
    assert!((100..=133).contains(&pings), "{pings}");
}

#[test]
fn who_does_not_answer_does_not_read() {
    let mut log = log();
    assert!(log.reads(9_000));
    log.probe(400, 9_000).expect("there is something to ask");
    assert!(log.reads(9_000 + PONG_PATIENCE_MS - 1));
    log.start_probe(400, 9_400).expect("there is something to ask");
    assert!(!log.reads(9_000 + PONG_PATIENCE_MS));
}

#[test]
fn a_gap_is_told_until_the_client_has_heard_of_it() {
    let mut log = log();
    log.enter_anew(1, &"a".into(), Epoch(3), 7);
    log.confirm(400);
    let room = |log: &DeliveryLog| log.positions().next().map(|room| (room.epoch, room.offset));
    assert_eq!(room(&log), Some((Epoch(0), 7)), "and what was on its way in the old stream counts no more");
    log.note(1, 8, 500);
    log.confirm(500);
    assert_eq!(room(&log), Some((Epoch(0), 8)));
    log.note_answer(1, 8, 600);
    log.confirm(600);
    assert_eq!(room(&log), Some((Epoch(3), 8)));
}

#[test]
fn what_was_given_and_never_queued_is_unconfirmed() {
    let mut log = DeliveryLog::default();
    log.enter(1, &"a".into(), Epoch(1), 4);
    log.owe(1);
    log.confirm(u64::MAX);
    assert_eq!(log.unconfirmed().map(|room| room.offset).collect::<Vec<_>>(), [4]);
    log.note_answer(1, 6, 100);
    log.confirm(100);
    assert_eq!(log.unconfirmed().count(), 0);
}

#[test]
fn a_long_log_gets_coarser_and_never_too_new() {
    let mut log = DeliveryLog { is_session: true, ..DeliveryLog::default() };
    log.enter(1, &"a".into(), Epoch(1), 0);
    for offset in 1..=10 * ENTRIES_MAX as u64 {
        log.note(1, offset, offset * 10);
        assert!(log.entries.len() <= ENTRIES_MAX);
    }
    for place in [5, 777, 50_000, 102_399, 102_400] {
        log.confirm(place);
        assert!(offsets(&log)[0] <= place / 10);
    }
    assert_eq!(offsets(&log), [10 * ENTRIES_MAX as u64]);
}

#[test]
fn a_room_that_was_left_is_not_resumed() {
    let mut log = log();
    log.leave(1);
    log.confirm(400);
    assert_eq!(log.positions().map(|room| room.room.to_string()).collect::<Vec<_>>(), ["b"]);
}

#[test]
fn a_run_is_noted_as_each_of_its_messages_would_be() {
    let log = |by_run: bool| {
        let mut log = DeliveryLog { is_session: true, ..DeliveryLog::default() };
        log.follow_trail(None);
        log.enter(1, &"a".into(), Epoch(1), 0);
        log.enter(2, &"b".into(), Epoch(2), 10);
        for (key, number, offset, end) in
            [(7, 1, 1, 100), (7, 1, 2, 200), (8, 2, 11, 300), (7, 1, 3, 400), (7, 1, 4, 500)]
        {
            if !by_run {
                log.note(number, offset, end);
            } else if !log.extend(key, Epoch(u64::from(number)), offset, end) {
                log.begin_run(key, number, offset, end);
            }
            if end == 400 {
                log.note_ping(end, 1_000);
            }
        }
        log
    };
    let (mut by_run, mut one_by_one) = (log(true), log(false));
    assert_eq!(by_run.place(), Some(Place::Behind(Epoch(1), 4)));
    assert_eq!(by_run.place(), one_by_one.place());
    for place in
        [Place::Start, Place::Behind(Epoch(1), 1), Place::Behind(Epoch(2), 11), Place::Behind(Epoch(1), 4)]
    {
        assert_eq!(by_run.progress(&[]).at(place), one_by_one.progress(&[]).at(place), "{place}");
    }
    by_run.note_pong();
    assert_eq!(offsets(&by_run), [3, 11], "what was behind the ping is not confirmed");
    assert!(
        !log(false).extend(7, Epoch(1), 6, 600) && !log(true).extend(7, Epoch(1), 6, 600),
        "a gap is no run"
    );
}

#[test]
fn where_rooms_stand_is_no_place_that_a_client_has_reached() {
    let mut log = DeliveryLog { is_session: true, ..DeliveryLog::default() };
    let place = Place::Behind(Epoch(2), 10);
    log.follow_trail(Some(place));
    log.enter(1, &"a".into(), Epoch(1), 0);
    log.enter(2, &"b".into(), Epoch(2), 10);
    log.note(1, 1, 100);
    log.note_position(1, 1, 100);
    log.note_position(2, 10, 100);
    assert_eq!(log.place(), Some(Place::Behind(Epoch(1), 1)));
    let missed = |log: &mut DeliveryLog| log.progress(&[]).at(place).map(|rooms| rooms[0].offset);
    assert_eq!(
        missed(&mut log),
        Some(0),
        "who comes back from where it was has not got the message of the other room"
    );
    log.note(2, 10, 200);
    assert_eq!(missed(&mut log), Some(0), "be it that it was given there again what it had");
}
