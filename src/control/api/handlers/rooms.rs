//! Rooms: described, paged through, created, closed; users put into them and taken out.

use std::sync::Arc;

use roomcast_shards::id::SessionId;
use roomcast_shards::mesh::administration::Administration;
use roomcast_shards::mesh::operation::{Operation, Question, Reader};
use roomcast_shards::mesh::outcome::Outcome;
use roomcast_shards::protocol::error_code::{CommandError, ErrorCode};
use roomcast_shards::protocol::event::read_creation;
use roomcast_shards::protocol::write::{display, key};
use roomcast_shards::room::name::{is_forced, local, qualify};

use super::super::Api;
use super::super::answer::{Answer, Failure};
use super::super::call::{Call, user_in};
use super::super::gateway::unexpected;

/// Who reads for the application.
const SYSTEM: &str = "system";
const HISTORY_DEFAULT: usize = 50;

impl Api {
    /// Asks a room's owner something, and answers with what it replies.
    async fn ask_room(&self, room: &str, operation: Operation) -> Result<Answer, Failure> {
        let outcome = self.data_plane.ask(room.into(), operation).await?;
        reply(outcome)
    }

    async fn tell(&self, room: &str, question: Question) -> Result<Answer, Failure> {
        let reader = Reader { user: SYSTEM.into(), entitled: true };
        self.ask_room(room, Operation::Tell { reader, question }).await
    }

    pub(super) async fn room_info(&self, call: &Call) -> Result<Answer, Failure> {
        self.tell(&call.room()?, Question::Info).await
    }

    pub(super) async fn members(&self, call: &Call) -> Result<Answer, Failure> {
        let cursor = call
            .query("cursor")
            .map(|cursor| Ok::<_, Failure>(qualify(call.namespace()?.as_deref(), cursor).into_owned()));
        let question = Question::Online { limit: call.page()?, cursor: cursor.transpose()? };
        self.tell(&call.room()?, question).await
    }

    pub(super) async fn history(&self, call: &Call) -> Result<Answer, Failure> {
        let question = Question::History {
            session: SessionId(0),
            before: call.number("before")?,
            after: call.number("after")?,
            limit: call.limit(HISTORY_DEFAULT)?,
        };
        self.tell(&call.room()?, question).await
    }

    pub(super) async fn close_room(&self, call: &Call) -> Result<Answer, Failure> {
        let room = call.room()?;
        refuse_forced(&room)?;
        self.ask_room(&room, Operation::Close { user: SYSTEM.into(), supervisor: true }).await
    }

    pub(super) async fn create_room(&self, call: &Call) -> Result<Answer, Failure> {
        let namespace = call.namespace()?;
        let namespace = namespace.as_deref();
        let (mut creation, owner, account) = self.parse(&call.body, |value| {
            let text = |field| value.get(field).and_then(|value| value.as_str());
            let owner = user_in(namespace, text("ownerId").unwrap_or(SYSTEM), "ownerId")?;
            let account = text("accountId").or(namespace).filter(|account| !account.is_empty());
            Ok((read_creation(value)?, owner, account.map(Arc::<str>::from)))
        })?;
        if creation.room.is_empty() {
            creation.room = format!("room:{:032x}", rand::random::<u128>());
        }
        let inside = |name: &String| qualify(namespace, name).into_owned();
        creation.members = creation.members.iter().map(inside).collect();
        creation.room = inside(&creation.room);
        refuse_forced(&creation.room)?;
        let room = creation.room.clone();
        let operation = Operation::Found { owner, account, creation: Box::new(creation) };
        let created = self.ask_room(&room, operation).await?;
        Ok(Answer { status: 201, ..created })
    }

    /// Puts a user into a room, or takes it out.
    pub(super) async fn place(&self, call: &Call, inside: bool) -> Result<Answer, Failure> {
        let (room, user) = (call.room()?, call.user(1)?);
        refuse_forced(&room)?;
        let place = Administration::Place { user, room: room.into(), inside };
        let connections = self.data_plane.administer(&place).await?;
        Ok(affected(connections))
    }
}

/// What a client would be replied.
pub(super) fn reply(outcome: Outcome) -> Result<Answer, Failure> {
    // It is moved, so what it was cannot be told any more when it is no reply.
    match outcome.into_reply() {
        Some(reply) => Ok(Answer::reply(&reply)),
        None => Err(unexpected(&Outcome::Interested).into()),
    }
}

/// How many connections something was done with.
pub(super) fn affected(connections: usize) -> Answer {
    let mut json = vec![b'{'];
    key(&mut json, "connections");
    display(&mut json, connections);
    json.push(b'}');
    Answer::new(200, json)
}

/// Of a user's own room, and an account's, the gateway alone decides who is in it.
fn refuse_forced(room: &str) -> Result<(), CommandError> {
    if is_forced(room) {
        let kind = if local(room).starts_with("user:") { "a user's own room" } else { "an account's room" };
        return Err(CommandError::new(
            ErrorCode::RoomAccessDenied,
            format!("{kind} is not created, closed, entered or left"),
        ));
    }
    Ok(())
}
