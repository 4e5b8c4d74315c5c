//! The contract of [`roomcast_shards::engine::Engine`], as one suite that runs on every engine: on the one in memory, and
//! on a real Redis, with and without sharded channels.

mod rig;

use bytes::Bytes;
use roomcast_shards::engine::{Appended, Event, Field, Keep, Once, Request, Table};
use roomcast_shards::id::{Epoch, Offset};

use rig::{Memory, Node, Redis, Rig};

const KEEP: Keep = Keep { entries_max: 100, ttl_ms: 60_000 };

/// A test for each engine.
macro_rules! on_every_engine {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(#[test] fn $name() { super::$name(&mut super::Memory::start()); })*
        }
        mod redis {
            $(#[test] fn $name() { super::$name(&mut super::Redis::start(&[])); })*
        }
        mod redis_without_sharded_channels {
            const OLD: [&str; 6] = ["--rename-command", "SPUBLISH", "", "--rename-command", "SSUBSCRIBE", ""];
            $(#[test] fn $name() { super::$name(&mut super::Redis::start(&OLD)); })*
        }
    };
}

on_every_engine!(
    entries_are_in_one_order_for_all_followers,
    what_a_room_says_when_it_is_opened_and_what_follows_meet,
    a_stream_has_an_epoch_of_its_own,
    a_name_is_appended_once_within_its_window,
    no_more_is_kept_than_is_asked_for,
    words_come_to_the_others_and_fields_stay,
    a_field_is_taken_by_one,
    what_is_closed_is_forgotten,
    a_stream_ends_for_who_was_in_it,
    a_node_that_ends_leaves_nobody_behind,
    a_node_that_ends_is_told_of_whatever_comes_meanwhile,
    what_is_not_answered_is_refused_and_nothing_is_heard_while_it_is_away,
    who_releases_a_room_hears_no_more,
    requests_of_one_shard_take_effect_in_their_order,
);

/// Opens a room; its epoch, offset, entries and fields.
fn open(rig: &mut dyn Rig, node: Node, room: &str) -> (Epoch, Offset, Vec<(Offset, Bytes)>, Vec<Field>) {
    rig.submit(node, Request::Open { room: room.into(), ended: None });
    match rig.next(node) {
        Event::Opened { room: opened, state } if *opened == *room => {
            (state.epoch, state.offset, state.entries, state.fields)
        }
        other => panic!("{room} is not opened: {other:?}"),
    }
}

fn append_with(rig: &mut dyn Rig, node: Node, room: &str, entry: &str, once: Option<Once>, keep: Keep) {
    let entry = Bytes::copy_from_slice(entry.as_bytes());
    rig.submit(node, Request::Append { room: room.into(), ticket: 1, entry, once, keep });
}

/// Appends; what the node hears of it up to the answer, and the answer.
fn append(rig: &mut dyn Rig, node: Node, room: &str, entry: &str) -> (Vec<(Offset, String)>, Appended) {
    append_with(rig, node, room, entry, None, KEEP);
    answer(rig, node)
}

fn answer(rig: &mut dyn Rig, node: Node) -> (Vec<(Offset, String)>, Appended) {
    let mut heard = Vec::new();
    loop {
        match rig.next(node) {
            Event::Appended { place, .. } => return (heard, place.expect("the engine is there")),
            event => heard.push(entry_of(event)),
        }
    }
}

fn entry_of(event: Event) -> (Offset, String) {
    let Event::Entry { offset, entry, .. } = event else { panic!("no entry: {event:?}") };
    (offset, String::from_utf8(entry.to_vec()).expect("entries of these tests are text"))
}

fn note(room: &str, field: Option<(Table, &str, Option<&str>)>, word: Option<&str>) -> Request {
    let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    Request::Note {
        room: room.into(),
        field: field.map(|(table, name, value)| (table, name.to_owned(), value.map(bytes))),
        word: word.map(bytes),
    }
}

fn word_of(event: Event) -> String {
    let Event::Word { word, .. } = event else { panic!("no word: {event:?}") };
    String::from_utf8(word.to_vec()).expect("words of these tests are text")
}

fn take(room: &str, value: &str, only_new: bool) -> Request {
    Request::Take {
        room: room.into(),
        ticket: 2,
        table: Table::Card,
        name: String::new(),
        value: Bytes::copy_from_slice(value.as_bytes()),
        only_new,
        word: Some(Bytes::from_static(b"taken")),
    }
}

fn held_of(event: Event) -> Option<String> {
    let Event::Taken { held, .. } = event else { panic!("nothing taken: {event:?}") };
    held.expect("the engine is there").map(|held| String::from_utf8(held.to_vec()).expect("text"))
}

fn entries_are_in_one_order_for_all_followers(rig: &mut dyn Rig) {
    let nodes = [rig.join(), rig.join()];
    nodes.iter().for_each(|node| drop(open(rig, *node, "a")));
    for n in 0..40 {
        append_with(rig, nodes[n % 2], "a", &n.to_string(), None, KEEP);
    }
    let heard = nodes.map(|node| {
        let (mut entries, mut places) = (Vec::new(), Vec::new());
        while entries.len() < 40 || places.len() < 20 {
            match rig.next(node) {
                Event::Appended { place, .. } => places.push(place.expect("the engine is there").offset),
                event => entries.push(entry_of(event)),
            }
        }
        assert!(places.is_sorted());
        entries
    });
    assert_eq!(heard[0], heard[1]);
    assert!(heard[0].iter().map(|(offset, _)| *offset).eq(1..=40));
}

fn what_a_room_says_when_it_is_opened_and_what_follows_meet(rig: &mut dyn Rig) {
    let [first, second] = [rig.join(), rig.join()];
    open(rig, first, "a");
    for n in 1..=5 {
        let (heard, appended) = append(rig, first, "a", &n.to_string());
        assert_eq!(heard, [(n, n.to_string())], "it hears its own in front of the answer");
        assert_eq!((appended.offset, appended.first), (n, None));
    }
    let (_, offset, entries, _) = open(rig, second, "a");
    assert_eq!((offset, entries.iter().map(|(offset, _)| *offset).collect()), (5, vec![1, 2, 3, 4, 5]));
    append(rig, first, "a", "six");
    assert_eq!(entry_of(rig.next(second)), (6, "six".to_owned()));
}

fn a_stream_has_an_epoch_of_its_own(rig: &mut dyn Rig) {
    let [first, second] = [rig.join(), rig.join()];
    let a = open(rig, first, "a").0;
    assert_eq!(open(rig, second, "a").0, a);
    assert_ne!(open(rig, first, "b").0, a);
    assert_eq!(append(rig, first, "a", "x").1.epoch, a);
}

fn a_name_is_appended_once_within_its_window(rig: &mut dyn Rig) {
    let nodes = [rig.join(), rig.join()];
    nodes.iter().for_each(|node| drop(open(rig, *node, "a")));
    let once = |says: &str, window_ms| {
        Some(Once { name: "ana/1".to_owned(), says: Bytes::copy_from_slice(says.as_bytes()), window_ms })
    };
    append_with(rig, nodes[0], "a", "first", once("it was first", 300), KEEP);
    let (_, first) = answer(rig, nodes[0]);
    assert_eq!(entry_of(rig.next(nodes[1])), (1, "first".to_owned()));
    append_with(rig, nodes[1], "a", "second", once("it was second", 300), KEEP);
    let (heard, repeat) = answer(rig, nodes[1]);
    assert_eq!((heard.len(), repeat.offset, repeat.epoch), (0, 1, first.epoch));
    assert_eq!(repeat.first.as_deref(), Some(&b"it was first"[..]));
    rig.pass_ms(400);
    append_with(rig, nodes[1], "a", "third", once("it was third", 300), KEEP);
    assert_eq!(answer(rig, nodes[1]).1.offset, 2);
}

fn no_more_is_kept_than_is_asked_for(rig: &mut dyn Rig) {
    let [first, second] = [rig.join(), rig.join()];
    open(rig, first, "a");
    open(rig, first, "none");
    for n in 1..=5 {
        append_with(rig, first, "a", &n.to_string(), None, Keep { entries_max: 3, ..KEEP });
        answer(rig, first);
        append_with(rig, first, "none", &n.to_string(), None, Keep { entries_max: 0, ..KEEP });
        assert_eq!(answer(rig, first).1.offset, n);
    }
    let (_, offset, entries, _) = open(rig, second, "a");
    assert_eq!((offset, entries.iter().map(|(offset, _)| *offset).collect()), (5, vec![3, 4, 5]));
    let (_, offset, entries, _) = open(rig, second, "none");
    assert_eq!((offset, entries.len()), (5, 0));
}

fn words_come_to_the_others_and_fields_stay(rig: &mut dyn Rig) {
    let nodes = [rig.join(), rig.join()];
    nodes.iter().for_each(|node| drop(open(rig, *node, "a")));
    let member = Some((Table::Receipts, "ana", Some("5")));
    rig.submit(nodes[0], note("a", member, Some("hello")));
    assert_eq!(word_of(rig.next(nodes[1])), "hello");
    let third = rig.join();
    let fields = open(rig, third, "a").3;
    let expected = Field { table: Table::Receipts, name: "ana".to_owned(), value: Bytes::from_static(b"5") };
    assert_eq!(fields, [expected]);
    rig.submit(nodes[0], note("a", Some((Table::Receipts, "ana", None)), Some("forgotten")));
    // It hears nothing of what it said itself, and the word that it has not heard is not told again.
    assert_eq!([nodes[1], third].map(|node| word_of(rig.next(node))), ["forgotten", "forgotten"]);
    append(rig, nodes[0], "a", "x");
    let fourth = rig.join();
    assert_eq!(open(rig, fourth, "a").3, []);
}

fn a_field_is_taken_by_one(rig: &mut dyn Rig) {
    let nodes = [rig.join(), rig.join()];
    nodes.iter().for_each(|node| drop(open(rig, *node, "a")));
    rig.submit(nodes[0], take("a", "mine", true));
    assert_eq!(held_of(rig.next(nodes[0])), None);
    assert_eq!(word_of(rig.next(nodes[1])), "taken");
    rig.submit(nodes[1], take("a", "yours", true));
    assert_eq!(held_of(rig.next(nodes[1])).as_deref(), Some("mine"));
    // Nothing was taken, so that nothing is told.
    rig.submit(nodes[1], take("a", "yours", false));
    assert_eq!(held_of(rig.next(nodes[1])).as_deref(), Some("mine"));
    assert_eq!(word_of(rig.next(nodes[0])), "taken");
    rig.submit(nodes[0], take("a", "x", true));
    assert_eq!(held_of(rig.next(nodes[0])).as_deref(), Some("yours"));
}

fn what_is_closed_is_forgotten(rig: &mut dyn Rig) {
    let [first, second] = [rig.join(), rig.join()];
    let before = open(rig, first, "a").0;
    open(rig, second, "a");
    append(rig, first, "a", "x");
    entry_of(rig.next(second));
    rig.submit(first, note("a", Some((Table::Card, "", Some("card"))), None));
    rig.submit(first, Request::Close { room: "a".into(), word: Bytes::from_static(b"closed") });
    assert_eq!(word_of(rig.next(second)), "closed");
    let third = rig.join();
    let (epoch, offset, entries, fields) = open(rig, third, "a");
    assert_ne!(epoch, before);
    assert_eq!((offset, entries.len(), fields.len()), (0, 0, 0));
}

fn a_stream_ends_for_who_was_in_it(rig: &mut dyn Rig) {
    let [first, second] = [rig.join(), rig.join()];
    let before = open(rig, first, "a").0;
    open(rig, second, "a");
    append(rig, first, "a", "x");
    entry_of(rig.next(second));
    rig.submit(first, Request::Open { room: "a".into(), ended: Some(before) });
    let Event::Restarted { epoch, .. } = rig.next(second) else { panic!("not told") };
    let mut opened = rig.next(first);
    if matches!(opened, Event::Restarted { .. }) {
        opened = rig.next(first);
    }
    let Event::Opened { state, .. } = opened else { panic!("not opened: {opened:?}") };
    assert_eq!((state.epoch, state.offset, state.entries.len()), (epoch, 0, 0));
    // Who comes later to end the same stream finds another, which it does not end.
    rig.submit(second, Request::Open { room: "a".into(), ended: Some(before) });
    let Event::Opened { state, .. } = rig.next(second) else { panic!("not opened") };
    assert_eq!(state.epoch, epoch);
}

fn a_node_that_ends_leaves_nobody_behind(rig: &mut dyn Rig) {
    let [first, second] = [rig.join(), rig.join()];
    open(rig, first, "a");
    open(rig, second, "a");
    let name = roomcast_shards::engine::codec::member_name(second.id, "ben");
    rig.submit(second, note("a", Some((Table::Members, &name, Some("{}"))), Some("ben is here")));
    assert_eq!(word_of(rig.next(first)), "ben is here");
    rig.end(second);
    let Event::NodeGone(gone) = rig.next(first) else { panic!("not told") };
    assert_eq!(gone, second.id);
    let third = rig.join();
    assert_eq!(open(rig, third, "a").3, []);
}

fn a_node_that_ends_is_told_of_whatever_comes_meanwhile(rig: &mut dyn Rig) {
    let [first, second] = [rig.join(), rig.join()];
    let member = |node: Node| roomcast_shards::engine::codec::member_name(node.id, "ben");
    open(rig, first, "a");
    rig.submit(second, note("a", Some((Table::Members, &member(second), Some("{}"))), Some("ben is here")));
    assert_eq!(word_of(rig.next(first)), "ben is here");
    rig.end(second);
    // A room with a member of a node that the first has never heard of.
    let third = rig.join();
    rig.submit(third, note("b", Some((Table::Members, &member(third), Some("{}"))), None));
    open(rig, third, "b");
    rig.submit(first, Request::Open { room: "b".into(), ended: None });
    let (mut is_told, mut members) = (false, None);
    while !is_told || members.is_none() {
        match rig.next(first) {
            Event::NodeGone(gone) => is_told = gone == second.id,
            Event::Opened { state, .. } => members = Some(state.fields.len()),
            event => panic!("unexpected: {event:?}"),
        }
    }
    assert_eq!(members, Some(1), "the third is there");
}

fn what_is_not_answered_is_refused_and_nothing_is_heard_while_it_is_away(rig: &mut dyn Rig) {
    let node = rig.join();
    let before = open(rig, node, "a").0;
    append(rig, node, "a", "x");
    rig.go_away(node);
    let Event::Down = rig.next(node) else { panic!("not told") };
    append_with(rig, node, "a", "lost", None, KEEP);
    rig.submit(node, take("a", "lost", false));
    let Event::Appended { place: Err(_), .. } = rig.next(node) else { panic!("not refused") };
    let Event::Taken { held: Err(_), .. } = rig.next(node) else { panic!("not refused") };
    rig.come_back(node);
    let Event::Up = rig.next(node) else { panic!("not told") };
    // It has kept what it had, and follows nothing yet.
    let (epoch, offset, entries, _) = open(rig, node, "a");
    assert_eq!((epoch, offset, entries.len()), (before, 1, 1));
    assert_eq!(append(rig, node, "a", "y").1.offset, 2);
}

fn who_releases_a_room_hears_no_more(rig: &mut dyn Rig) {
    let [first, second] = [rig.join(), rig.join()];
    open(rig, first, "a");
    open(rig, second, "a");
    rig.submit(second, Request::Release { room: "a".into() });
    open(rig, second, "b");
    append(rig, first, "a", "x");
    append(rig, second, "b", "y");
    let (_, offset, ..) = open(rig, second, "a");
    assert_eq!(offset, 1);
}

fn requests_of_one_shard_take_effect_in_their_order(rig: &mut dyn Rig) {
    let node = rig.join();
    rig.submit_all(
        node,
        vec![
            note("a", Some((Table::Receipts, "ana", Some("1"))), None),
            note("a", Some((Table::Receipts, "ana", Some("2"))), None),
            Request::Open { room: "a".into(), ended: None },
            take("a", "first", true),
            take("a", "second", true),
        ],
    );
    let Event::Opened { state, .. } = rig.next(node) else { panic!("not opened") };
    assert_eq!(state.fields.iter().map(|field| &field.value[..]).collect::<Vec<_>>(), [b"2"]);
    assert_eq!([held_of(rig.next(node)), held_of(rig.next(node))], [None, Some("first".to_owned())]);
}
