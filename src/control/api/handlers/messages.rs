//! Publishing: to a room, to a user, many at once.

use std::sync::Arc;

use bytes::Bytes;
use roomcast_shards::id::{Epoch, SessionId};
use roomcast_shards::protocol::app_event::{AppEvent, is_free};
use roomcast_shards::protocol::error_code::CommandError;
use roomcast_shards::protocol::event::read_draft;
use roomcast_shards::protocol::json::Value;
use roomcast_shards::protocol::message::Except;
use roomcast_shards::protocol::profile::{Dialect, PROFILES, Variant};
use roomcast_shards::protocol::reply::{self, Reply};
use roomcast_shards::protocol::write::{self, display, key};
use roomcast_shards::room::name::{qualify, user_room};

use super::super::Api;
use super::super::answer::{Answer, Failure};
use super::super::call::{Call, room_in, user_in};
use super::super::gateway::Publish;

/// Messages of a batch.
const BATCH_MAX: usize = 1000;
/// The sender of what names none.
const SYSTEM: &str = "system";

/// What a body asks for.
enum Wanted {
    Message(Box<Publish>),
    Push(AppEvent, Except),
}

impl Api {
    pub(super) async fn publish(&self, call: &Call, room: String) -> Result<Answer, Failure> {
        let namespace = call.namespace()?;
        let wanted = self.parse(&call.body, |value| match value.get("event").filter(|it| !it.is_null()) {
            Some(event) => push(namespace.as_deref(), event, value),
            None => {
                let publish = message(namespace.as_deref(), value, room.clone(), call.idempotency_key())?;
                Ok(Wanted::Message(Box::new(publish)))
            }
        })?;
        match wanted {
            Wanted::Message(publish) => {
                let sent = self.data_plane.publish(*publish).await?;
                Ok(Answer::reply(&Reply::Sent(sent)))
            }
            Wanted::Push(event, except) => {
                let members = self.data_plane.push(room.as_str().into(), event, except).await?;
                let mut json = vec![b'{'];
                write::room(&mut json, &room);
                key(&mut json, "members");
                display(&mut json, members);
                json.push(b'}');
                Ok(Answer::new(200, json))
            }
        }
    }

    pub(super) async fn publish_to_user(&self, call: &Call) -> Result<Answer, Failure> {
        let room = user_room(&call.user(0)?);
        self.publish(call, room).await
    }

    pub(super) async fn publish_batch(&self, call: &Call) -> Result<Answer, Failure> {
        let namespace = call.namespace()?;
        let drafts = self.parse(&call.body, |value| {
            let messages = value.get("messages").and_then(|messages| messages.elements());
            let messages = messages.ok_or_else(|| CommandError::invalid("messages", "must be an array"))?;
            if !(1..=BATCH_MAX).contains(&messages.len()) {
                return Err(CommandError::invalid("messages", "must hold 1 to 1000 messages"));
            }
            Ok(messages.map(|value| part(namespace.as_deref(), value)).collect::<Vec<_>>())
        })?;
        let results = self.data_plane.publish_all(drafts).await;
        let variant = Variant::new(Dialect::Event, &PROFILES[0]);
        let mut json = br#"{"results":"#.to_vec();
        write::list(&mut json, results, |out, result| match result {
            Ok(sent) => sent.write_result(out),
            Err(error) => reply::write_failure(out, variant, None, &error),
        });
        json.push(b'}');
        Ok(Answer::new(200, json))
    }
}

/// One message of a batch.
fn part(namespace: Option<&str>, value: Value<'_>) -> Result<Publish, CommandError> {
    if !value.is_object() {
        return Err(CommandError::invalid("messages", "must hold objects"));
    }
    if value.get("event").is_some_and(|event| !event.is_null()) {
        return Err(CommandError::invalid("event", "is not possible in a batch"));
    }
    let room = match (text(value, "roomId")?, text(value, "userId")?) {
        (Some(room), None) => room_in(namespace, room)?,
        (None, Some(user)) => user_room(&user_in(namespace, user, "userId")?),
        _ => return Err(CommandError::invalid("roomId", "or userId is required, and not both")),
    };
    message(namespace, value, room, None)
}

fn message(
    namespace: Option<&str>,
    value: Value<'_>,
    room: String,
    idempotency_key: Option<&str>,
) -> Result<Publish, CommandError> {
    let mut draft = read_draft(value, room)?;
    if draft.client_id.is_none() {
        draft.client_id = idempotency_key.map(Into::into);
    }
    let sender = sender(namespace, value)?;
    let except = except(namespace, value, draft.exclude_sender.then_some(&sender))?;
    draft.exclude_sender = false;
    Ok(Publish { sender: Some(sender), draft, except })
}

fn push(namespace: Option<&str>, event: Value<'_>, value: Value<'_>) -> Result<Wanted, CommandError> {
    let name = event.as_str().filter(|name| is_free(name)).ok_or_else(|| {
        let rule = "must be 1 to 64 letters, digits and . : _ - /, and no name of the gateway's own";
        CommandError::invalid("event", rule)
    })?;
    let data = match value.get("data").filter(|data| !data.is_null()) {
        None => Bytes::from_static(b"{}"),
        Some(data) if data.is_object() => Bytes::copy_from_slice(data.raw()),
        Some(_) => return Err(CommandError::invalid("data", "must be an object")),
    };
    let excludes_sender = match value.get("excludeSender").filter(|it| !it.is_null()) {
        None => false,
        Some(flag) => {
            flag.as_bool().ok_or_else(|| CommandError::invalid("excludeSender", "must be true or false"))?
        }
    };
    let sender = sender(namespace, value)?;
    let except = except(namespace, value, excludes_sender.then_some(&sender))?;
    Ok(Wanted::Push(AppEvent { name: name.into(), data }, except))
}

fn sender(namespace: Option<&str>, value: Value<'_>) -> Result<Arc<str>, CommandError> {
    match text(value, "senderId")? {
        Some(sender) => user_in(namespace, sender, "senderId"),
        None => Ok(qualify(namespace, SYSTEM).into()),
    }
}

fn except(
    namespace: Option<&str>,
    value: Value<'_>,
    sender: Option<&Arc<str>>,
) -> Result<Except, CommandError> {
    match (sender, text(value, "excludeUser")?, text(value, "excludeSession")?) {
        (None, None, None) => Ok(Except::Nobody),
        (Some(sender), None, None) => Ok(Except::User(Arc::clone(sender))),
        (None, Some(user), None) => Ok(Except::User(user_in(namespace, user, "excludeUser")?)),
        (None, None, Some(session)) => {
            // A session is written as an epoch is.
            let id = Epoch::parse(session)
                .ok_or_else(|| CommandError::invalid("excludeSession", "is no id of a session"))?;
            Ok(Except::Session(SessionId(id.0)))
        }
        _ => Err(CommandError::invalid(
            "excludeUser",
            "excludeSession and excludeSender: only one of them is possible",
        )),
    }
}

fn text<'a>(value: Value<'a>, field: &'static str) -> Result<Option<&'a str>, CommandError> {
    let value = value.get(field).filter(|value| !value.is_null());
    value
        .map(|value| value.as_str().ok_or_else(|| CommandError::invalid(field, "must be a string")))
        .transpose()
}
