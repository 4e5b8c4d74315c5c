//! What a backend's answer wants published: messages, and events of the application's own.

use std::sync::Arc;

use bytes::Bytes;
use roomcast_shards::backend::Routes;
use roomcast_shards::protocol::app_event::{AppEvent, is_free};
use roomcast_shards::protocol::command::{Command, Request};
use roomcast_shards::protocol::error_code::CommandError;
use roomcast_shards::protocol::event::decode_named;
use roomcast_shards::protocol::json::{Parser, Value};
use roomcast_shards::protocol::profile::PROFILES;
use roomcast_shards::protocol::push::Except;
use roomcast_shards::room::name::qualify;
use roomcast_shards::room::pattern::validate_name;
use serde_json::value::RawValue;

use crate::control::{DataPlane, Publish};

/// Nesting of what is published, as of what clients send by default.
const DEPTH_MAX: usize = 32;

/// One thing to publish.
#[derive(Debug)]
enum Item {
    /// A message, which has a place in its room's stream.
    Message(Publish),
    /// An event, which the members get now or never.
    Event(Arc<str>, AppEvent),
}

/// Publishes an object of an answer's `publish`; names in it are those of a namespace.
///
/// # Errors
/// What is wrong with it, or what its room's owner says against it.
pub(crate) async fn publish(
    data_plane: &DataPlane,
    item: &RawValue,
    namespace: Option<&str>,
) -> Result<(), CommandError> {
    match read(item, namespace)? {
        Item::Message(publish) => data_plane.publish(publish).await.map(drop),
        Item::Event(room, event) => data_plane.push(room, event, Except::Nobody).await.map(drop),
    }
}

fn read(item: &RawValue, namespace: Option<&str>) -> Result<Item, CommandError> {
    let text = item.get().as_bytes();
    let read = Parser::new(DEPTH_MAX).parse(text, |value| match value.get("event") {
        Some(event) => read_event(value, event, namespace),
        None => read_message(value, namespace),
    });
    read.unwrap_or_else(|_| Err(CommandError::protocol("nested too deep")))
}

/// A message, with the members of `message:send`, and its sender.
fn read_message(value: Value<'_>, namespace: Option<&str>) -> Result<Item, CommandError> {
    let Command::Send(draft) = command("message:send", value, namespace)? else {
        return Err(CommandError::protocol("no message"));
    };
    let sender = match value.get("senderId") {
        None => None,
        Some(sender) => {
            let sender = sender.as_str().filter(|sender| validate_name(sender).is_ok());
            let sender = sender.ok_or_else(|| CommandError::invalid("senderId", "is no user id"))?;
            Some(qualify(namespace, sender).into())
        }
    };
    Ok(Item::Message(Publish { sender, draft, except: Except::Nobody }))
}

fn read_event(value: Value<'_>, event: Value<'_>, namespace: Option<&str>) -> Result<Item, CommandError> {
    let Command::Info { room } = command("room:info", value, namespace)? else {
        return Err(CommandError::protocol("no room"));
    };
    let name = event.as_str().filter(|name| is_free(name));
    let name = name.ok_or_else(|| CommandError::invalid("event", "is no name for an application's event"))?;
    let data = value.get("data").filter(Value::is_object);
    let data = data.ok_or_else(|| CommandError::invalid("data", "must be an object"))?;
    Ok(Item::Event(room.into(), AppEvent { name: name.into(), data: Bytes::copy_from_slice(data.raw()) }))
}

/// The command that these members are for a client's event of that name.
fn command(event: &str, data: Value<'_>, namespace: Option<&str>) -> Result<Command, CommandError> {
    let request = decode_named(event, Some(data), None, (&PROFILES[0], Routes::NONE));
    let Request { mut command, .. } = request.map_err(|rejection| rejection.error)?;
    if let Some(namespace) = namespace {
        command.enter_namespace(namespace);
    }
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(text: &str, namespace: Option<&str>) -> Result<Item, String> {
        let raw: Box<RawValue> = serde_json::from_str(text).expect("JSON");
        read(&raw, namespace).map_err(|error| error.message.into_owned())
    }

    #[test]
    fn a_message_is_as_a_client_sends_it() {
        let text = r#"{"conversationId":7,"content":{"a":1e400},"type":"robot","senderId":"bot"}"#;
        let Ok(Item::Message(publish)) = item(text, Some("acme")) else { panic!("a message") };
        assert_eq!(&*publish.draft.room, qualify(Some("acme"), "conversation:7"));
        assert_eq!(
            (&publish.draft.content[..], publish.draft.kind.name()),
            (&br#"{"a":1e400}"#[..], "robot")
        );
        assert_eq!(publish.sender.as_deref(), Some(&*qualify(Some("acme"), "bot")));
    }

    #[test]
    fn an_event_has_a_free_name_and_an_object() {
        let Ok(Item::Event(room, event)) =
            item(r#"{"roomId":"a","event":"order.made","data":{"b":[ ]}}"#, None)
        else {
            panic!("an event")
        };
        assert_eq!((&*room, &*event.name, &event.data[..]), ("a", "order.made", &br#"{"b":[ ]}"#[..]));
        for (text, field) in [
            (r#"{"roomId":"a","event":"message:sent","data":{}}"#, "event"),
            (r#"{"roomId":"a","event":"x.y"}"#, "data"),
            (r#"{"event":"x.y","data":{}}"#, "roomId"),
            (r#"{"roomId":"a"}"#, "content"),
            (r#"{"roomId":"a","content":1,"senderId":"a b"}"#, "senderId"),
        ] {
            let error = item(text, None).expect_err(text);
            assert!(error.starts_with(field), "{error}");
        }
    }
}
