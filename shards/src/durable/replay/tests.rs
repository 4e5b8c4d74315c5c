use super::*;
use crate::durable::SessionRecord;
use crate::id::SessionId;
use crate::protocol::message::{Except, Revision};
use crate::user::progress::Progress;

fn message(offset: Offset, client_id: Option<&str>) -> Publication {
    Publication { client_id: client_id.map(Into::into), ..Publication::sample("r", offset, offset * 1_000) }
}

fn replayed(records: impl IntoIterator<Item = Record>, messages_max: usize) -> Saved {
    let mut replay = Replay::new(HistoryLimits { messages_max, ..HistoryLimits::default() });
    records.into_iter().for_each(|record| replay.take(record));
    replay.finish()
}

fn entries(messages: impl IntoIterator<Item = Publication>) -> Vec<Record> {
    messages.into_iter().map(|message| Record::Entry(Arc::new(message))).collect()
}

fn offsets(saved: &Saved) -> Vec<Offset> {
    saved.rooms["r"].entries.iter().map(|entry| entry.offset).collect()
}

#[test]
fn a_room_is_what_was_sent_in_it_within_its_bounds() {
    let saved = replayed(entries((1..=5).map(|offset| message(offset, Some("n")))), 3);
    let room = &saved.rooms["r"];
    assert_eq!((offsets(&saved), room.offset, room.counts), (vec![3, 4, 5], 5, (5, 0, 0)));
    assert_eq!((room.names.len(), room.active_unix_ms), (5, 5_000), "names outlive their messages");
}

#[test]
fn a_change_shows_in_its_message() {
    let first = Publication { exclude: Except::Session(SessionId(3)), ..message(1, None) };
    let revision = Revision { kind: Revised::Edited, unix_ms: 9_000, by: "s".into(), offset: 2, of: 1 };
    let change = Publication {
        content: Bytes::from_static(b"2"),
        offset: 2,
        revision: Some(Box::new(revision)),
        exclude: Except::Nobody,
        ..first.clone()
    };
    let saved = replayed(entries([first, change]), 9);
    let room = &saved.rooms["r"];
    let original = &room.entries[0];
    assert_eq!(
        (&original.content[..], original.offset, &original.exclude),
        (&b"2"[..], 1, &Except::Session(SessionId(3)))
    );
    assert!(original.change().is_none() && room.entries[1].change().is_some());
    assert_eq!((room.counts, room.active_unix_ms), ((1, 1, 0), 9_000));
}

#[test]
fn another_stream_and_a_hole_leave_nothing_before_them() {
    let mut records = entries([message(1, None), message(2, None), message(4, None)]);
    assert_eq!(offsets(&replayed(records.clone(), 9)), [4]);
    records.extend(entries([Publication { epoch: Epoch(2), ..message(1, None) }]));
    let saved = replayed(records, 9);
    assert_eq!((saved.rooms["r"].epoch, saved.rooms["r"].offset, offsets(&saved)), (Epoch(2), 1, vec![1]));
}

#[test]
fn a_room_that_is_gone_leaves_how_many_streams_have_ended() {
    let mut records = entries([message(1, None)]);
    records.push(Record::Gone { room: "r".into(), place: 7, ended: 2 });
    records.push(Record::Place { place: 7, ended: 1 });
    let saved = replayed(records, 9);
    assert_eq!((saved.rooms.len(), saved.ended[&7]), (0, 2));
}

#[test]
fn renewed_streams_keep_their_offsets() {
    let mut saved = replayed(entries([message(1, None), message(2, None)]), 9);
    let records = saved.renew(|| Epoch(77));
    assert_eq!((saved.rooms["r"].epoch, saved.rooms["r"].entries[1].epoch), (Epoch(77), Epoch(77)));
    let again = replayed(entries([message(1, None), message(2, None)]).into_iter().chain(records), 9);
    assert_eq!((again.rooms["r"].epoch, offsets(&again)), (Epoch(77), vec![1, 2]));
}

#[test]
fn sessions_and_values_are_the_last_that_was_said() {
    let session = |id, until_unix_ms| {
        let progress = Progress::of([].into());
        Record::Session(Box::new(SessionRecord {
            user: "u".into(),
            session: SessionId(id),
            until_unix_ms,
            progress,
        }))
    };
    let value = |key: &'static str, value: Option<&'static str>| Record::Value {
        space: Space::Outbox,
        key: key.into(),
        value: value.map(Into::into),
    };
    let gone = Record::SessionGone { user: "u".into(), session: SessionId(2) };
    let records = [session(1, None), session(2, None), gone, session(1, Some(9)), value("a", Some("1"))];
    let saved = replayed(records.into_iter().chain([value("b", Some("2")), value("a", None)]), 9);
    let sessions: Vec<_> = saved.users["u"].sessions.iter().map(|it| (it.id.0, it.until_unix_ms)).collect();
    assert_eq!((sessions, saved.values.len()), (vec![(1, Some(9))], 1));
}
