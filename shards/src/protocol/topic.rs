//! The topic dialect, inbound: a frame with a `type` to a command (protocol §6).

use bytes::Bytes;

use super::catalog::Event;
use super::command::{Command, Draft, Position, Rejection, Request};
use super::error_code::CommandError;
use super::json::Value;
use super::message::{MessageType, Metadata};
use crate::room::pattern::{Pattern, validate_name};

/// Decodes a frame that was parsed.
///
/// # Errors
/// A [`Rejection`] to answer with; it never has a request id.
pub fn decode(frame: Value<'_>) -> Result<Request, Rejection> {
    let reject = |event, error| Rejection { legible: true, event, id: None, error };
    let event = event(frame).map_err(|error| reject(None, error))?;
    match command(event, frame) {
        Ok(command) => Ok(Request { event, id: None, command }),
        Err(error) => Err(reject(Some(event), error)),
    }
}

fn event(frame: Value<'_>) -> Result<Event, CommandError> {
    // With both keys a frame is one of the event dialect (protocol, introduction).
    let name = frame.get("type").filter(|_| frame.get("event").is_none()).and_then(|value| value.as_str());
    match name.ok_or_else(|| CommandError::protocol("the frame has no type"))? {
        "auth" => Ok(Event::Auth),
        "ping" => Ok(Event::Ping),
        "subscribe" => Ok(Event::RoomJoin),
        "unsubscribe" => Ok(Event::RoomLeave),
        "message" => Ok(Event::MessageSend),
        _ => Err(CommandError::protocol("unknown event")),
    }
}

fn command(event: Event, frame: Value<'_>) -> Result<Command, CommandError> {
    match event {
        Event::Auth => Ok(Command::Auth { token: text(frame, "token")?.to_owned() }),
        Event::RoomJoin => subscribe(frame),
        Event::RoomLeave => unsubscribe(frame),
        Event::MessageSend => message(frame).map(Command::Send),
        _ => Ok(Command::Ping),
    }
}

fn text<'a>(frame: Value<'a>, field: &'static str) -> Result<&'a str, CommandError> {
    let value = frame.get(field).filter(|value| !value.is_null());
    let value = value.ok_or_else(|| CommandError::invalid(field, "is required"))?;
    value.as_str().ok_or_else(|| CommandError::invalid(field, "must be a string"))
}

/// A topic: a room, or a pattern when it holds a `*`.
enum Topic {
    Room(String),
    Pattern(Pattern),
}

fn topic(frame: Value<'_>) -> Result<Topic, CommandError> {
    let topic = text(frame, "topic")?;
    if topic.contains('*') {
        let pattern =
            Pattern::parse(topic).map_err(|_| CommandError::invalid("topic", "is no topic pattern"))?;
        return Ok(Topic::Pattern(pattern));
    }
    validate_name(topic).map_err(|_| CommandError::invalid("topic", "is no topic name"))?;
    Ok(Topic::Room(topic.to_owned()))
}

fn subscribe(frame: Value<'_>) -> Result<Command, CommandError> {
    match topic(frame)? {
        Topic::Pattern(pattern) => Ok(Command::SubscribePattern(pattern)),
        Topic::Room(room) => {
            Ok(Command::Join { room, history: 0, recover: Position::read(frame.get("recover"))? })
        }
    }
}

fn unsubscribe(frame: Value<'_>) -> Result<Command, CommandError> {
    Ok(match topic(frame)? {
        Topic::Pattern(pattern) => Command::UnsubscribePattern(pattern),
        Topic::Room(room) => Command::Leave { room },
    })
}

fn message(frame: Value<'_>) -> Result<Draft, CommandError> {
    let Topic::Room(room) = topic(frame)? else {
        return Err(CommandError::invalid("topic", "a message goes to a topic, not to a pattern"));
    };
    let content = frame.get("data").ok_or_else(|| CommandError::invalid("data", "is required"))?;
    let metadata = frame.get("metadata").filter(|value| !value.is_null());
    if let Some(metadata) = metadata {
        check_metadata(metadata)?;
    }
    Ok(Draft {
        metadata: metadata.map(Metadata::read),
        ..Draft::new(room, MessageType::Chat, Bytes::copy_from_slice(content.raw()))
    })
}

fn check_metadata(metadata: Value<'_>) -> Result<(), CommandError> {
    if !metadata.is_object() {
        return Err(CommandError::invalid("metadata", "must be an object"));
    }
    if Metadata::names_reserved(metadata) {
        return Err(CommandError::invalid("metadata", "may not name id, senderId, epoch or offset"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::error_code::ErrorCode;
    use crate::protocol::json::Parser;

    fn read(text: &str) -> Result<Command, ErrorCode> {
        let decoded = Parser::new(32).parse(text.as_bytes(), decode).expect("valid JSON");
        decoded.map(|request| request.command).map_err(|rejection| rejection.error.code)
    }

    #[test]
    fn a_star_makes_a_pattern() {
        assert!(matches!(read(r#"{"type":"subscribe","topic":"a.*"}"#), Ok(Command::SubscribePattern(_))));
        assert!(matches!(read(r#"{"type":"subscribe","topic":"a.b"}"#), Ok(Command::Join { .. })));
        assert!(matches!(read(r#"{"type":"unsubscribe","topic":"**"}"#), Ok(Command::UnsubscribePattern(_))));
        for text in [
            r#"{"type":"subscribe","topic":"a*"}"#,
            r#"{"type":"message","topic":"a.*","data":1}"#,
            r#"{"type":"message","topic":"a"}"#,
            r#"{"type":"message","topic":"a","data":1,"metadata":{"offset":1}}"#,
            r#"{"type":"message","topic":"a","data":1,"metadata":[]}"#,
            r#"{"type":"subscribe","topic":7}"#,
            r#"{"type":"subscribe","topic":"a","recover":{"epoch":"x"}}"#,
        ] {
            assert_eq!(read(text).expect_err(text), ErrorCode::InvalidPayload);
        }
    }

    #[test]
    fn other_types_are_unknown() {
        for text in [r#"{"type":"nope"}"#, "{}", r#"{"event":"ping"}"#, "[]"] {
            assert_eq!(read(text).expect_err(text), ErrorCode::ProtocolError);
        }
    }
}
