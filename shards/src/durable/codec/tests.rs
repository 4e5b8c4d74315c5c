use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::access::revocations::{Revocation, Subject};
use crate::durable::record::{Card, Record, RoomRecord, SessionRecord, Space};
use crate::id::{Epoch, SessionId};
use crate::protocol::message::{Except, Metadata, Publication, Revised, Revision};
use crate::room::dedupe::Accepted;
use crate::user::progress::{Place, Progress, Step, Steps};
use crate::user::session::SessionRoom;

fn entry() -> Publication {
    let revision = Revision { kind: Revised::Deleted, unix_ms: 9, by: "b".into(), offset: 300, of: 7 };
    Publication {
        metadata: Some(Metadata {
            raw: Bytes::from_static(b"{}"),
            for_topics: Some(Bytes::from_static(b"{ }")),
        }),
        client_id: Some("c".into()),
        exclude: Except::Session(SessionId(u64::MAX)),
        revision: Some(Box::new(revision)),
        binary: true,
        ..Publication::sample("7 room:é", 1 << 40, 1_700_000_000_000)
    }
}

fn session() -> SessionRecord {
    let step = |room| Step { epoch: Epoch(3), room, first: 4, last: 5 };
    let steps = Steps {
        from: Some(Place::Start),
        steps: vec![step(None), step(Some(2))],
        acknowledged: None,
        named: Some(Place::Behind(Epoch(8), 1)),
        is_cut: false,
    };
    let rooms = [SessionRoom { room: "r".into(), epoch: Epoch(1), offset: 2 }];
    SessionRecord {
        user: "u".into(),
        session: SessionId(5),
        until_unix_ms: Some(77),
        progress: Progress { rooms: rooms.into(), steps: Some(Arc::new(steps)), granted: Vec::new() },
    }
}

/// One of each kind.
fn records() -> Vec<Record> {
    let (room, user): (Arc<str>, Arc<str>) = ("room".into(), "user".into());
    let accepted = Accepted { id: entry().id, offset: 3, unix_ms: 4 };
    let card = Card {
        owner: Arc::clone(&user),
        audience: Some(vec!["a".into(), "b".into()]),
        metadata: Some(Bytes::from_static(b"{\"a\":1}")),
        members_max: Some(12),
    };
    vec![
        Record::Entry(Arc::new(entry())),
        Record::Entry(Arc::new(Publication::sample("r", 1, 2))),
        Record::Room(Box::new(RoomRecord {
            name: Arc::clone(&room),
            epoch: Epoch(9),
            offset: 10,
            created_unix_ms: 11,
            counts: (1, 2, 3),
            active_unix_ms: 12,
            card: Some(card),
        })),
        Record::Gone { room: Arc::clone(&room), place: 3, ended: 4 },
        Record::Renewed { room: Arc::clone(&room), epoch: Epoch(5) },
        Record::Member {
            room: Arc::clone(&room),
            epoch: Epoch(5),
            user: Arc::clone(&user),
            offset: 6,
            away_since_unix_ms: None,
        },
        Record::MemberGone { room: Arc::clone(&room), user: Arc::clone(&user) },
        Record::Receipt {
            room: Arc::clone(&room),
            user: Arc::clone(&user),
            delivered: vec![(1, 2), (300, 4)],
            read: Vec::new(),
        },
        Record::Name { room, sender: Arc::clone(&user), client_id: "x".into(), accepted },
        Record::Session(Box::new(session())),
        Record::Session(Box::new(granted())),
        Record::SessionRoom {
            user: Arc::clone(&user),
            session: SessionId(1),
            room: "r".into(),
            entered: Some((Epoch(4), 5)),
        },
        Record::SessionGone { user: Arc::clone(&user), session: SessionId(1) },
        Record::Seen { user, account: Some("7".into()), unix_ms: 5, online: true },
        Record::Revoked(Revocation { subject: Subject::Token("t".into()), until_unix_ms: Some(9) }),
        Record::Revoked(Revocation { subject: Subject::User("u".into()), until_unix_ms: None }),
        Record::Place { place: 65_535, ended: 1 },
        Record::Value { space: Space::Outbox, key: Bytes::from_static(b"k"), value: Some(Bytes::new()) },
        Record::Value { space: Space::DeadLetters, key: Bytes::from_static(b"k"), value: None },
        Record::Values,
        Record::Told { round: 128 },
    ]
}

fn granted() -> SessionRecord {
    let mut session = session();
    session.progress.granted = vec!["r".into(), "s".into()];
    session
}

fn encoded(records: &[Record]) -> Vec<u8> {
    let mut bytes = Vec::new();
    records.iter().for_each(|record| encode(record, &mut bytes));
    bytes
}

fn read(bytes: &[u8]) -> (Vec<Record>, Result<(), Malformed>) {
    let mut records = Vec::new();
    let outcome = Reader::default().read(bytes, |record| records.push(record));
    (records, outcome)
}

#[test]
fn every_kind_reads_what_it_writes() {
    let records = records();
    let (again, outcome) = read(&encoded(&records));
    assert_eq!(outcome, Ok(()));
    assert_eq!(format!("{again:?}"), format!("{records:?}"));
}

#[test]
fn what_is_cut_off_is_noticed_and_what_came_before_is_good() {
    let records = records();
    let bytes = encoded(&records);
    let ends: Vec<usize> = (0..=records.len()).map(|count| encoded(&records[..count]).len()).collect();
    for end in 0..bytes.len() {
        let (again, outcome) = read(&bytes[..end]);
        assert_eq!(outcome.is_ok(), ends.contains(&end), "{end}");
        assert_eq!(again.len(), ends.iter().filter(|whole| **whole <= end).count() - 1, "{end}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0usize..400) {
        let _ = read(&bytes);
        let mut spoilt = encoded(&records());
        let at = at.min(spoilt.len() - 1);
        spoilt[at] ^= bytes.first().copied().unwrap_or(1);
        let _ = read(&spoilt);
    }
}
