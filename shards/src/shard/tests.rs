//! An owner shard alone: another shard asks, and gets its answers.

use std::sync::Arc;

use super::Shard;
use crate::clock::Now;
use crate::config::Config;
use crate::id::{ConnectionId, SessionId, ShardId};
use crate::mesh::item::{Ask, Caller, Item, ReplyTo};
use crate::mesh::operation::{Operation, UserOperation};
use crate::mesh::outcome::Outcome;
use crate::protocol::command::{Status, StatusUpdate};
use crate::protocol::error_code::{CommandError, ErrorCode};
use crate::protocol::reply::SessionError;
use crate::user::session::SESSIONS_MAX;

const NOW: Now = Now { ms: 0, unix_ms: 0 };
const HOME: ShardId = ShardId(1);

fn shard() -> Shard {
    let config = Config { shards: 2, ..Config::default() };
    Shard::new(ShardId(0), Arc::new(config), 1, [7; 32], NOW)
}

fn ask(shard: &mut Shard, slot: u32, room: &str, operation: Operation, now: Now) {
    let connection = ConnectionId { slot, generation: 0 };
    let caller = Caller { connection, reply: ReplyTo::Attach };
    shard.on_ring(HOME, Item::Ask(Box::new(Ask { caller, room: room.into(), operation })), now);
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
    for number in 0..SESSIONS_MAX as u32 {
        let session = SessionId(number.into());
        ask(&mut shard, number, "user:a", user(UserOperation::OpenSession { session }), NOW);
        ask(&mut shard, 100 + number, "user:a", user(UserOperation::Resume { session }), NOW);
    }
    assert_eq!(answers(&mut shard).len(), SESSIONS_MAX, "all claims wait");
    let open = UserOperation::OpenSession { session: SessionId(99) };
    ask(&mut shard, 99, "user:a", user(open), NOW);
    let answers = answers(&mut shard);
    assert!(matches!(
        &answers[..],
        [
            (100, Ok(Outcome::Resumed { session: SessionId(0), rooms: Err(SessionError::Expired), .. })),
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
