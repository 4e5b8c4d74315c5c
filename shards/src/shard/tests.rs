//! An owner shard alone: another shard asks, and gets its answers.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;

use super::Shard;
use super::timers::Timer;
use crate::access::permission::Identity;
use crate::clock::Now;
use crate::config::{Config, StoreMode};
use crate::connection::{Connection, Phase, Subscription};
use crate::durable::Record;
use crate::gateway_event::EventKind;
use crate::id::{ConnectionId, SessionId, ShardId};
use crate::mesh::item::{Ask, Caller, Item, ReplyTo};
use crate::mesh::operation::{Joining, Operation, Reader, UserOperation};
use crate::mesh::outcome::Outcome;
use crate::protocol::command::{Creation, Draft, Status, StatusUpdate, UpTo};
use crate::protocol::error_code::{CommandError, ErrorCode};
use crate::protocol::message::MessageType;
use crate::protocol::push::News;
use crate::protocol::reply::SessionError;
use crate::room::directory::LocalRoom;
use crate::room::name::user_room;
use crate::room::owned::OwnedRoom;
use crate::testing::{client_frame, upgrade_head};
use crate::user::progress::Progress;
use crate::user::session::SESSIONS_MAX;
use crate::user::users::User;

const NOW: Now = Now { ms: 0, unix_ms: 0 };
const HOME: ShardId = ShardId(1);

fn shard() -> Shard {
    shard_with(Config { shards: 2, ..Config::default() })
}

fn shard_with(config: Config) -> Shard {
    Shard::new(ShardId(0), Arc::new(config), 1, [7; 32], NOW)
}

fn ask(shard: &mut Shard, slot: u32, room: &str, operation: Operation, now: Now) {
    let connection = ConnectionId { slot, generation: 0 };
    let caller = Caller { connection, reply: ReplyTo::Attach };
    shard.on_ring(HOME, Item::Ask(Box::new(Ask { caller, room: room.into(), operation })), now);
}

fn joining(user: &str, number: u32) -> Joining {
    Joining {
        reader: Reader { user: user.into(), entitled: false },
        session: SessionId(number.into()),
        session_user: None,
        number,
        sequence: number,
        again: false,
        history: 0,
        recover: None,
        until: None,
        account: None,
        anonymous: false,
    }
}

fn join(shard: &mut Shard, user: &str, number: u32, room: &str, now: Now) {
    ask(shard, number, room, Operation::Join(Box::new(joining(user, number))), now);
}

fn leave(shard: &mut Shard, user: &str, number: u32, room: &str, lost: bool, now: Now) {
    let leave =
        Operation::Leave { user: user.into(), number, lost, seen: None, anonymous: false, session: None };
    ask(shard, number, room, leave, now);
}

fn publish(shard: &mut Shard, user: &str, room: &str, now: Now) {
    let draft = Draft::new(room.into(), MessageType::Chat, Bytes::from_static(b"{}"));
    let session = SessionId(1);
    let publish = Operation::Publish { sender: user.into(), session, draft, confirm: true, outside: None };
    ask(shard, 1, room, publish, now);
}

/// What the other shard was answered, and for which of its connections.
fn answers(shard: &mut Shard) -> Vec<(u32, Result<Outcome, CommandError>)> {
    let answer = |item| match item {
        Item::Answer(answer) => Some((answer.caller.connection.slot, answer.outcome)),
        _ => None,
    };
    shard.effects.outbox(HOME).items.drain(..).filter_map(answer).collect()
}

#[test]
fn who_waits_for_a_session_that_is_dropped_is_told() {
    let mut shard = shard();
    let user = |operation| Operation::User(operation);
    for number in (0..).take(SESSIONS_MAX) {
        let session = SessionId(number.into());
        ask(&mut shard, number, "user:a", user(UserOperation::OpenSession { session, progress: None }), NOW);
        ask(&mut shard, 100 + number, "user:a", user(UserOperation::Resume { session }), NOW);
    }
    assert_eq!(answers(&mut shard).len(), SESSIONS_MAX, "all claims wait");
    let open = UserOperation::OpenSession { session: SessionId(99), progress: None };
    ask(&mut shard, 99, "user:a", user(open), NOW);
    let answers = answers(&mut shard);
    assert!(matches!(
        &answers[..],
        [
            (100, Ok(Outcome::Resumed { session: SessionId(0), progress: Err(SessionError::Expired), .. })),
            (99, Ok(Outcome::SessionOpened(SessionId(99)))),
        ]
    ));
    assert_eq!(shard.metrics.sessions_dropped, 1);
}

#[test]
fn an_unknown_user_who_updates_its_status_is_answered() {
    let mut shard = shard();
    let update = StatusUpdate { status: Status::Away, text: None };
    let update = UserOperation::UpdateStatus { update, rate: None };
    ask(&mut shard, 1, "user:a", Operation::User(update), NOW);
    let answers = answers(&mut shard);
    assert!(matches!(&answers[..], [(1, Err(error))] if error.code == ErrorCode::RoomAccessDenied));
}

#[test]
fn a_busy_room_leaves_no_timers_behind() {
    let mut shard = shard();
    join(&mut shard, "a", 1, "r", NOW);
    join(&mut shard, "b", 2, "r", NOW);
    for second in 0..600 {
        let now = Now { ms: second * 1_000, unix_ms: second * 1_000 };
        shard.on_tick(now);
        publish(&mut shard, "a", "r", now);
        for (tenth, upto) in [(0, second), (1, second + 1)] {
            let now = Now { ms: now.ms + tenth * 100, ..now };
            let upto = UpTo::Offset(upto);
            let receipt = Operation::Receipt { user: "b".into(), session: SessionId(2), upto, read: true };
            ask(&mut shard, 2, "r", receipt, now);
        }
        if second % 10 == 0 {
            ask(&mut shard, 2, "r", Operation::Typing { user: "b".into(), typing: true }, now);
        }
        assert!(answers(&mut shard).iter().all(|(_, answer)| answer.is_ok()));
        assert!(shard.timers.len() <= 16, "{} after {second} s", shard.timers.len());
    }
}

#[test]
fn a_user_who_comes_and_goes_leaves_no_timers_behind() {
    let mut shard = shard();
    for minute in 0..1_000 {
        let now = Now { ms: minute * 60_000, unix_ms: minute * 60_000 };
        shard.on_tick(now);
        join(&mut shard, "a", 1, "user:a", now);
        leave(&mut shard, "a", 1, "user:a", true, now);
        assert!(shard.timers.len() <= 16, "{} after {minute} min", shard.timers.len());
    }
}

#[test]
fn a_closed_room_gives_its_place_back() {
    let mut shard = shard();
    let members: Vec<String> = (0..256).map(|number| format!("user-{number}")).collect();
    let create = |shard: &mut Shard, room: &str| {
        let creation = Creation {
            room: room.into(),
            private: true,
            members: members.clone(),
            metadata: Some(vec![b' '; 4096].into()),
            members_max: None,
        };
        let operation =
            Operation::Create { joining: Box::new(joining("a", 1)), creation: Box::new(creation) };
        ask(shard, 1, room, operation, NOW);
        !answers(shard).iter().any(|(_, answer)| matches!(answer, Ok(Outcome::Refused { .. })))
    };
    let created = (0..1_000).take_while(|number| create(&mut shard, &format!("r{number}"))).count();
    assert_eq!(created, 256);
    let before = shard.snapshot();
    assert!(before.rooms_created_bytes / before.rooms_created > 4096 + 256 * 64);
    ask(&mut shard, 1, "r7", Operation::Close { user: "a".into(), supervisor: false }, NOW);
    leave(&mut shard, "a", 1, "r7", false, NOW);
    assert!(shard.snapshot().rooms_created_bytes < before.rooms_created_bytes);
    assert!(create(&mut shard, "another"));
    let after = shard.snapshot();
    assert_eq!(
        (after.rooms_created, after.rooms_created_bytes),
        (before.rooms_created, before.rooms_created_bytes)
    );
}

#[test]
fn a_room_that_is_created_again_is_another_one() {
    let mut shard = shard();
    let mut epoch = || {
        let creation = Creation {
            room: "r".into(),
            private: false,
            members: Vec::new(),
            metadata: None,
            members_max: None,
        };
        let create = Operation::Create { joining: Box::new(joining("a", 1)), creation: Box::new(creation) };
        ask(&mut shard, 1, "r", create, NOW);
        ask(&mut shard, 1, "r", Operation::Close { user: "a".into(), supervisor: false }, NOW);
        leave(&mut shard, "a", 1, "r", false, NOW);
        let created = answers(&mut shard).into_iter().find_map(|(_, answer)| match answer {
            Ok(Outcome::Created(card)) => Some(card.epoch),
            _ => None,
        });
        created.expect("the room is new")
    };
    assert_ne!(epoch(), epoch());
}

/// An idle connection costs about the sum of these, and most gateways hold far more idle connections than busy ones. A
/// field for what few of them have belongs into `Rare`, `Contents` or a box.
#[test]
fn what_every_idle_connection_has_stays_small() {
    assert!(size_of::<Connection>() <= 384, "a connection: {}", size_of::<Connection>());
    assert!(size_of::<Subscription>() <= 32, "one of its rooms: {}", size_of::<Subscription>());
    assert!(size_of::<Identity>() <= 64, "who it is: {}", size_of::<Identity>());
    assert!(size_of::<User>() <= 160, "its user: {}", size_of::<User>());
    assert!(size_of::<LocalRoom>() <= 72, "the user's room here: {}", size_of::<LocalRoom>());
    assert!(size_of::<OwnedRoom>() <= 120, "and on its owner: {}", size_of::<OwnedRoom>());
    assert!(size_of::<Timer>() <= 24, "its timer: {}", size_of::<Timer>());
}

/// The names of what happened since somebody asked last.
fn happened(shard: &mut Shard) -> Vec<&'static str> {
    shard.effects.events.drain(..).map(|event| event.kind().name()).collect()
}

#[test]
fn what_happens_in_a_room_is_told_in_its_order() {
    let events = EventKind::ALL.into_iter().collect();
    let mut shard = shard_with(Config { shards: 2, events, presence_room_max: 1, ..Config::default() });
    join(&mut shard, "a", 1, "user:a", NOW);
    join(&mut shard, "a", 1, "r", NOW);
    join(&mut shard, "b", 2, "r", NOW);
    assert_eq!(happened(&mut shard), ["gateway.user.online", "gateway.joined", "gateway.joined"]);
    ask(&mut shard, 2, "r", Operation::Typing { user: "b".into(), typing: true }, NOW);
    publish(&mut shard, "b", "r", NOW);
    let published = ["gateway.typing.started", "gateway.message.published", "gateway.typing.stopped"];
    assert_eq!(happened(&mut shard), published);
    let receipt =
        Operation::Receipt { user: "a".into(), session: SessionId(1), upto: UpTo::Offset(1), read: true };
    ask(&mut shard, 1, "r", receipt, NOW);
    leave(&mut shard, "b", 2, "r", true, NOW);
    assert_eq!(happened(&mut shard), ["gateway.message.read"], "who was lost may come back");
    leave(&mut shard, "a", 1, "user:a", true, NOW);
    leave(&mut shard, "a", 1, "user:a", true, NOW);
    let later = Now { ms: 60_000, unix_ms: 60_000 };
    shard.on_tick(later);
    let mut gone = happened(&mut shard);
    gone.sort_unstable();
    assert_eq!(gone, ["gateway.left", "gateway.user.offline"]);
    assert_eq!(shard.metrics.gateway_events, 9);
}

#[test]
fn nothing_is_told_that_a_crash_could_take_back() {
    let events = EventKind::ALL.into_iter().collect();
    let store = StoreMode::Batch;
    let mut shard = shard_with(Config { shards: 2, events, store, ..Config::default() });
    join(&mut shard, "a", 1, "r", NOW);
    assert_eq!(happened(&mut shard), ["gateway.joined"], "nothing is kept of that");
    publish(&mut shard, "b", "r", NOW);
    ask(&mut shard, 1, "r", Operation::Typing { user: "a".into(), typing: true }, NOW);
    assert_eq!(happened(&mut shard), Vec::<&str>::new());
    let batch = shard.take_batch().expect("a message is kept").number;
    shard.on_stored(batch - 1, NOW);
    assert_eq!(happened(&mut shard), Vec::<&str>::new());
    shard.on_stored(batch, NOW);
    assert_eq!(happened(&mut shard), ["gateway.message.published", "gateway.typing.started"]);

    let upto = UpTo::Offset(1);
    let receipt = Operation::Receipt { user: "a".into(), session: SessionId(1), upto, read: true };
    let creation = Creation {
        room: "made".into(),
        private: false,
        members: Vec::new(),
        metadata: None,
        members_max: None,
    };
    let found = Operation::Found { owner: "a".into(), account: None, creation: Box::new(creation) };
    let close = Operation::Close { user: "a".into(), supervisor: false };
    let steps = [
        ("r", receipt, "gateway.message.read"),
        ("made", found, "gateway.room.created"),
        ("made", close, "gateway.room.closed"),
    ];
    for (room, operation, told) in steps {
        ask(&mut shard, 1, room, operation, NOW);
        assert_eq!(happened(&mut shard), Vec::<&str>::new(), "before {told}");
        let batch = shard.take_batch().expect(told).number;
        shard.on_stored(batch, NOW);
        assert_eq!(happened(&mut shard), [told]);
    }
}

#[test]
fn nothing_is_told_that_nobody_listens_to() {
    let events = [EventKind::Left].into_iter().collect();
    let mut shard = shard_with(Config { shards: 2, events, ..Config::default() });
    join(&mut shard, "a", 1, "r", NOW);
    publish(&mut shard, "a", "r", NOW);
    leave(&mut shard, "a", 1, "r", false, NOW);
    assert_eq!(happened(&mut shard), ["gateway.left"]);
}

#[test]
fn receipts_that_wait_are_told_before_a_room_is_closed() {
    let mut shard = shard();
    let sender = (0..).map(|number| format!("s{number}"));
    let sender =
        sender.into_iter().find(|user| shard.router.owner(&user_room(user)) == HOME).expect("one is");
    let creation =
        Creation { room: "r".into(), private: false, members: Vec::new(), metadata: None, members_max: None };
    let create = Operation::Create { joining: Box::new(joining(&sender, 1)), creation: Box::new(creation) };
    ask(&mut shard, 1, "r", create, NOW);
    join(&mut shard, "reader", 2, "r", NOW);
    publish(&mut shard, &sender, "r", NOW);
    publish(&mut shard, &sender, "r", NOW);
    let mut told = |operation| {
        ask(&mut shard, 2, "r", operation, NOW);
        let receipt = |item| match item {
            Item::Relay(notice) if *notice.room == *user_room(&sender) => match notice.news {
                News::Receipt(status) => Some(status.offset),
                _ => None,
            },
            _ => None,
        };
        shard.effects.outbox(HOME).items.drain(..).filter_map(receipt).collect::<Vec<_>>()
    };
    let reads = |upto| {
        let (user, session) = ("reader".into(), SessionId(2));
        Operation::Receipt { user, session, upto: UpTo::Offset(upto), read: true }
    };
    assert_eq!(told(reads(1)), [1]);
    assert_eq!(told(reads(2)), [0; 0], "it waits for others");
    assert_eq!(told(Operation::Close { user: sender.as_str().into(), supervisor: false }), [2]);
}

/// A connection of a shard with a store, in its user's room, with a session.
fn connected(shard: &mut Shard) -> ConnectionId {
    loop {
        let id = shard.on_open(IpAddr::V4(Ipv4Addr::LOCALHOST), None, NOW);
        shard.on_bytes(id, &upgrade_head("/ws", &[]), NOW);
        say(shard, id, r#"{"event":"connection:create-session"}"#);
        // The others wait for a shard that does not answer.
        if shard.connections[id.slot as usize].phase == Phase::Open {
            return id;
        }
    }
}

fn say(shard: &mut Shard, id: ConnectionId, text: &str) {
    shard.on_bytes(id, &client_frame(1, true, text.as_bytes(), [0; 4]), NOW);
}

#[test]
fn a_session_does_not_keep_a_room_that_it_was_not_let_into() {
    let mut shard = shard_with(Config { shards: 2, store: StoreMode::Async, ..Config::default() });
    let id = connected(&mut shard);
    let mut room = |owner| {
        let names = (0..).map(|number| format!("r{number}"));
        let name = names.into_iter().find(|name| shard.router.owner(name) == owner).expect("one is");
        say(&mut shard, id, &format!(r#"{{"event":"room:join","data":{{"roomId":"{name}"}}}}"#));
        name
    };
    let (_, asked) = (room(ShardId(0)), room(HOME));
    shard.on_gone(id, NOW);
    let left = |record: &Record| matches!(record, Record::SessionRoom { entered: None, .. });
    assert!(!shard.effects.store.records.iter().any(left), "it was in that one");
    let forgets = shard.effects.outbox(HOME).items.iter().any(|item| match item {
        Item::Ask(ask) => {
            *ask.room == *asked && matches!(ask.operation, Operation::Leave { session: Some(_), .. })
        }
        _ => false,
    });
    assert!(forgets, "what its owner lets it into later is not the session's");
}

#[test]
fn a_session_on_its_way_is_told_anew() {
    let mut shard = shard_with(Config { shards: 2, store: StoreMode::Async, ..Config::default() });
    let session = SessionId(7);
    let mut told = |operation| {
        ask(&mut shard, 1, "user:a", operation, NOW);
        shard.take_batch();
        shard.tell_anew(1, NOW);
        while shard.is_telling() {
            shard.tell_on(NOW);
        }
        let is_session = |record: &Record| matches!(record, Record::Session(_));
        shard.take_batch().expect("it ends with a record").records.iter().any(is_session)
    };
    let progress = || Box::new(Progress::of([].into()));
    let user = Operation::User;
    assert!(
        !told(user(UserOperation::OpenSession { session, progress: None })),
        "its connection tells of it"
    );
    let connection = ConnectionId { slot: 1, generation: 0 };
    assert!(told(Operation::Park { session, connection, progress: *progress() }), "it is nowhere");
    assert!(told(user(UserOperation::Resume { session })), "it is on its way to a connection");
    assert!(!told(user(UserOperation::Checkpoint { session, progress: progress() })), "it is there");
    assert!(told(user(UserOperation::Resume { session })), "it is wanted elsewhere");
}
