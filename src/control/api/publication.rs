//! What a service wants published: by the server API, or in its answer to a client's event.
//!
//! Either a message, which has a place in its room's stream, or a push: an event of the application's own, which the
//! members get now or never. Pure.

use std::sync::Arc;

use bytes::Bytes;
use roomcast_shards::id::{Epoch, SessionId};
use roomcast_shards::protocol::app_event::{AppEvent, is_free};
use roomcast_shards::protocol::error_code::CommandError;
use roomcast_shards::protocol::event::{read_draft, read_room};
use roomcast_shards::protocol::json::Value;
use roomcast_shards::protocol::message::Except;
use roomcast_shards::room::name::{qualify, user_room};

use super::call::user_in;
use super::gateway::Publish;

/// The sender of what names none.
const SYSTEM: &str = "system";

/// What is to be published.
#[derive(Debug)]
pub(crate) enum Publication {
    /// A message.
    Message(Box<Publish>),
    /// An event of the application's own, for the members of a room but some.
    Push(Arc<str>, AppEvent, Except),
}

impl Publication {
    /// Reads an object that names its room, or its user.
    ///
    /// # Errors
    /// `INVALID_PAYLOAD` with the member that is wrong.
    pub(crate) fn read(namespace: Option<&str>, value: Value<'_>) -> Result<Self, CommandError> {
        if !value.is_object() {
            return Err(CommandError::invalid("", "must be an object"));
        }
        Self::read_for(namespace, room_of(namespace, value)?, value, None)
    }

    /// Reads an object for a room inside the gateway; what names no `clientId` has the key in its place.
    ///
    /// # Errors
    /// As [`Publication::read`].
    pub(super) fn read_for(
        namespace: Option<&str>,
        room: String,
        value: Value<'_>,
        idempotency_key: Option<&str>,
    ) -> Result<Self, CommandError> {
        match value.get("event").filter(|event| !event.is_null()) {
            Some(event) => push(namespace, room, event, value),
            None => message(namespace, room, value, idempotency_key),
        }
    }
}

/// The room inside the gateway that an object names: its own, or a user's.
fn room_of(namespace: Option<&str>, value: Value<'_>) -> Result<String, CommandError> {
    let Some(user) = text(value, "userId")? else {
        return Ok(qualify(namespace, &read_room(value)?).into_owned());
    };
    if value.get("roomId").is_some_and(|room| !room.is_null()) {
        return Err(CommandError::invalid("userId", "and roomId are not possible together"));
    }
    Ok(user_room(&user_in(namespace, user, "userId")?))
}

fn message(
    namespace: Option<&str>,
    room: String,
    value: Value<'_>,
    idempotency_key: Option<&str>,
) -> Result<Publication, CommandError> {
    let mut draft = read_draft(value, room)?;
    if draft.client_id.is_none() {
        draft.client_id = idempotency_key.map(Into::into);
    }
    let sender = sender(namespace, value)?;
    let except = except(namespace, value, draft.exclude_sender.then_some(&sender))?;
    draft.exclude_sender = false;
    Ok(Publication::Message(Box::new(Publish { sender: Some(sender), draft, except })))
}

fn push(
    namespace: Option<&str>,
    room: String,
    event: Value<'_>,
    value: Value<'_>,
) -> Result<Publication, CommandError> {
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
    Ok(Publication::Push(room.into(), AppEvent { name: name.into(), data }, except))
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

#[cfg(test)]
mod tests {
    use roomcast_shards::protocol::json::Parser;

    use super::*;

    fn read(text: &str, namespace: Option<&str>) -> Result<Publication, String> {
        let read = Parser::new(8).parse(text.as_bytes(), |value| Publication::read(namespace, value));
        read.expect("it is flat").map_err(|error| error.message.into_owned())
    }

    #[test]
    fn a_message_is_as_a_client_sends_it() {
        let text = r#"{"conversationId":7,"content":{"a":1e400},"type":"robot","senderId":"bot"}"#;
        let Ok(Publication::Message(publish)) = read(text, Some("acme")) else { panic!("a message") };
        assert_eq!(&*publish.draft.room, qualify(Some("acme"), "conversation:7"));
        assert_eq!(
            (&publish.draft.content[..], publish.draft.kind.name()),
            (&br#"{"a":1e400}"#[..], "robot")
        );
        assert_eq!(publish.sender.as_deref(), Some(&*qualify(Some("acme"), "bot")));
    }

    #[test]
    fn what_is_for_a_user_goes_into_its_room() {
        let Ok(Publication::Message(publish)) = read(r#"{"userId":"ana","content":1}"#, None) else {
            panic!("a message")
        };
        assert_eq!((&*publish.draft.room, publish.sender.as_deref()), ("user:ana", Some(SYSTEM)));
    }

    #[test]
    fn an_event_has_a_free_name_and_an_object() {
        let text = r#"{"roomId":"a","event":"order.made","data":{"b":[ ]},"excludeUser":"ben"}"#;
        let Ok(Publication::Push(room, event, except)) = read(text, None) else { panic!("an event") };
        assert_eq!((&*room, &*event.name, &event.data[..]), ("a", "order.made", &br#"{"b":[ ]}"#[..]));
        assert!(matches!(except, Except::User(user) if &*user == "ben"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, field) in [
            (r#"{"roomId":"a","event":"message:sent","data":{}}"#, "event"),
            (r#"{"roomId":"a","event":"x.y","data":1}"#, "data"),
            (r#"{"event":"x.y","data":{}}"#, "roomId"),
            (r#"{"roomId":"a","userId":"b","content":1}"#, "userId"),
            (r#"{"roomId":"a"}"#, "content"),
            (r#"{"roomId":"a","content":1,"senderId":"a b"}"#, "senderId"),
            (r#"{"roomId":"a","content":1,"excludeUser":"b","excludeSession":"0"}"#, "excludeUser"),
        ] {
            let error = read(text, None).expect_err(text);
            assert!(error.starts_with(field), "{error}");
        }
    }
}
