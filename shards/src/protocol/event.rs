//! The event dialect, inbound: an envelope to a command (protocol §1, §5).

use bytes::Bytes;

use super::catalog::Event;
use super::command::{Command, Draft, Invalid, Position, Rejection, Request, RequestId};
use super::error_code::{CommandError, Detail};
use super::json::Value;
use super::message::{MessageType, Metadata};
use crate::room::pattern::{Pattern, validate_name};

/// Most messages that one reply carries.
pub const HISTORY_LIMIT_MAX: u64 = 1000;
const HISTORY_LIMIT_DEFAULT: u64 = 50;
const ONLINE_LIMIT_DEFAULT: u64 = 100;
const ONLINE_LIMIT_MAX: u64 = 1000;
const EVENT_BYTES_MAX: usize = 64;
const REQUEST_ID_BYTES_MAX: usize = 64;
const CLIENT_ID_BYTES_MAX: usize = 128;
const USER_ID_BYTES_MAX: usize = 120;
/// Most rooms, patterns or messages in one command.
const BATCH_MAX: usize = 256;

/// Decodes a frame that was parsed.
///
/// # Errors
/// A [`Rejection`] to answer with.
pub fn decode(frame: Value<'_>) -> Result<Request, Rejection> {
    let id = request_id(frame)?;
    let event = match event(frame) {
        Ok(event) => event,
        Err(error) => return Err(Rejection { legible: true, event: None, id, error }),
    };
    match data(frame).and_then(|data| data.command(event)) {
        Ok(command) => Ok(Request { event, id, command }),
        Err(error) => Err(Rejection { legible: true, event: Some(event), id, error }),
    }
}

fn request_id(frame: Value<'_>) -> Result<RequestId, Rejection> {
    let Some(value) = frame.get("requestId").filter(|value| !value.is_null()) else { return Ok(None) };
    let legible = value.as_str().is_some_and(|text| text.len() <= REQUEST_ID_BYTES_MAX)
        || (value.is_number() && value.raw().len() <= REQUEST_ID_BYTES_MAX);
    let raw = std::str::from_utf8(value.raw()).ok().filter(|_| legible);
    match raw {
        Some(raw) => Ok(Some(raw.into())),
        None => Err(Rejection::illegible("requestId must be a string or number of at most 64 bytes")),
    }
}

fn event(frame: Value<'_>) -> Result<Event, CommandError> {
    let name = frame.get("event").and_then(|value| value.as_str());
    let name = name.ok_or_else(|| CommandError::protocol("the frame has no event"))?;
    check_version(frame)?;
    let event = Some(name).filter(|name| name.len() <= EVENT_BYTES_MAX).and_then(Event::find);
    event.ok_or_else(|| CommandError::protocol("unknown event"))
}

fn data(frame: Value<'_>) -> Result<Data<'_>, CommandError> {
    match frame.get("data").filter(|value| !value.is_null()) {
        None => Ok(Data(None)),
        Some(value) if value.is_object() => Ok(Data(Some(value))),
        Some(_) => Err(CommandError::invalid("data", "must be an object")),
    }
}

fn check_version(frame: Value<'_>) -> Result<(), CommandError> {
    let Some(version) = frame.get("version") else { return Ok(()) };
    match (version.as_str(), version.as_u64()) {
        (Some("1" | "1.0"), _) | (_, Some(1)) => Ok(()),
        _ => Err(CommandError::protocol("unknown version").with("supported", Detail::List(&["1", "1.0"]))),
    }
}

/// The `data` of an envelope; absent is empty.
#[derive(Clone, Copy)]
struct Data<'a>(Option<Value<'a>>);

impl<'a> Data<'a> {
    fn command(self, event: Event) -> Result<Command, CommandError> {
        Ok(match event {
            Event::Auth | Event::AuthRefresh => Command::Auth { token: self.text("token")?.to_owned() },
            Event::Ping => Command::Ping,
            Event::RoomJoin => {
                let history = self.number("history")?.unwrap_or(0).min(HISTORY_LIMIT_MAX);
                Command::Join {
                    room: self.room()?,
                    history: to_usize(history),
                    recover: Position::read(self.get("recover"))?,
                }
            }
            Event::RoomLeave => Command::Leave { room: self.room()? },
            Event::RoomList => Command::List,
            Event::RoomInfo => Command::Info { room: self.room()? },
            Event::RoomOnline => Command::Online {
                room: self.room()?,
                limit: self.limit(ONLINE_LIMIT_DEFAULT, ONLINE_LIMIT_MAX)?,
                cursor: self.optional_text("cursor")?.map(str::to_owned),
            },
            Event::RoomSubscribeMultiple => self.multiple(true)?,
            Event::RoomUnsubscribeMultiple => self.multiple(false)?,
            Event::RoomHistory => Command::History {
                room: self.room()?,
                before: self.number("before")?,
                after: self.number("after")?,
                limit: self.limit(HISTORY_LIMIT_DEFAULT, HISTORY_LIMIT_MAX)?,
            },
            Event::MessageSend => Command::Send(self.draft(self.room()?)?),
            Event::MessageSendBatch => Command::SendBatch(self.batch()?),
            Event::UserSend => {
                let user = self.text("userId")?.to_owned();
                let room = format!("user:{user}");
                if validate_name(&user).is_err() || user.len() > USER_ID_BYTES_MAX {
                    return Err(CommandError::invalid(
                        "userId",
                        "is no user id: 1 to 120 bytes of a room name's",
                    ));
                }
                Command::UserSend { user, draft: self.draft(room)? }
            }
        })
    }

    fn get(self, field: &str) -> Option<Value<'a>> {
        self.0?.get(field).filter(|value| !value.is_null())
    }

    fn text(self, field: &'static str) -> Result<&'a str, CommandError> {
        self.optional_text(field)?.ok_or_else(|| CommandError::invalid(field, "is required"))
    }

    fn optional_text(self, field: &'static str) -> Result<Option<&'a str>, CommandError> {
        self.get(field)
            .map(|value| value.as_str().ok_or_else(|| CommandError::invalid(field, "must be a string")))
            .transpose()
    }

    fn number(self, field: &'static str) -> Result<Option<u64>, CommandError> {
        self.get(field)
            .map(|value| {
                value.as_u64().ok_or_else(|| CommandError::invalid(field, "must be a whole number from 0"))
            })
            .transpose()
    }

    fn flag(self, field: &'static str) -> Result<bool, CommandError> {
        self.get(field).map_or(Ok(false), |value| {
            value.as_bool().ok_or_else(|| CommandError::invalid(field, "must be true or false"))
        })
    }

    fn limit(self, default: u64, max: u64) -> Result<usize, CommandError> {
        match self.number("limit")? {
            Some(0) => Err(CommandError::invalid("limit", "must be at least 1")),
            limit => Ok(to_usize(limit.unwrap_or(default).min(max))),
        }
    }

    /// The room, under its own name or one of the seeds' (protocol §5).
    fn room(self) -> Result<String, CommandError> {
        for (field, prefix) in [
            ("roomId", ""),
            ("chatId", ""),
            ("conversationId", "conversation:"),
            ("channelId", "channel:"),
            ("threadId", "thread:"),
        ] {
            if let Some(name) = self.optional_text(field)? {
                let room = format!("{prefix}{name}");
                validate_name(&room).map_err(|_| invalid_room(field))?;
                return Ok(room);
            }
        }
        Err(CommandError::invalid("roomId", "is required"))
    }

    fn draft(self, room: String) -> Result<Draft, CommandError> {
        let content = self.0.and_then(|data| data.get("content"));
        let content = content.ok_or_else(|| CommandError::invalid("content", "is required"))?;
        let kind = self.optional_text("type")?.unwrap_or("chat");
        let kind =
            MessageType::find(kind).ok_or_else(|| CommandError::invalid("type", "is no message type"))?;
        let metadata = self.get("metadata");
        if metadata.is_some_and(|value| !value.is_object()) {
            return Err(CommandError::invalid("metadata", "must be an object"));
        }
        let client_id = self.optional_text("clientId")?;
        if client_id.is_some_and(|id| id.is_empty() || id.len() > CLIENT_ID_BYTES_MAX) {
            return Err(CommandError::invalid("clientId", "must have 1 to 128 bytes"));
        }
        Ok(Draft {
            room,
            kind,
            content: Bytes::copy_from_slice(content.raw()),
            metadata: metadata.map(Metadata::read),
            client_id: client_id.map(Into::into),
            exclude_sender: self.flag("excludeSender")?,
        })
    }

    fn list(self, field: &'static str) -> Result<Vec<Value<'a>>, CommandError> {
        let Some(value) = self.get(field) else { return Ok(Vec::new()) };
        let elements = value.elements().ok_or_else(|| CommandError::invalid(field, "must be an array"))?;
        if elements.len() > BATCH_MAX {
            return Err(CommandError::invalid(field, "has more than 256 entries"));
        }
        Ok(elements.collect())
    }

    fn multiple(self, subscribe: bool) -> Result<Command, CommandError> {
        let room = |value: &Value<'_>| match value.as_str() {
            Some(name) if validate_name(name).is_ok() => Ok(name.to_owned()),
            name => Err(Invalid { text: shorten(name), error: invalid_room("roomId") }),
        };
        let pattern = |value: &Value<'_>| {
            let parsed = value.as_str().and_then(|text| Pattern::parse(text).ok());
            parsed.ok_or_else(|| Invalid {
                text: shorten(value.as_str()),
                error: CommandError::invalid("pattern", "is no room pattern"),
            })
        };
        let rooms: Vec<_> = self.list("rooms")?.iter().map(room).collect();
        let patterns: Vec<_> = self.list("patterns")?.iter().map(pattern).collect();
        if rooms.is_empty() && patterns.is_empty() {
            return Err(CommandError::invalid("rooms", "names no room and no pattern"));
        }
        Ok(Command::Multiple { subscribe, rooms, patterns })
    }

    fn batch(self) -> Result<Vec<Result<Draft, CommandError>>, CommandError> {
        let messages = self.list("messages")?;
        if messages.is_empty() {
            return Err(CommandError::invalid("messages", "holds no message"));
        }
        let draft = |value: &Value<'_>| {
            if !value.is_object() {
                return Err(CommandError::invalid("messages", "must hold objects"));
            }
            let data = Data(Some(*value));
            data.draft(data.room()?)
        };
        Ok(messages.iter().map(draft).collect())
    }
}

fn invalid_room(field: &'static str) -> CommandError {
    CommandError::invalid(
        field,
        "is no room name: 1 to 128 bytes of printable ASCII without space, *, \" and \\",
    )
}

fn shorten(text: Option<&str>) -> String {
    text.unwrap_or_default().chars().take(32).collect()
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
