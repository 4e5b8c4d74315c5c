//! The members of an envelope's `data`, each read as what it must be.

use std::borrow::Cow;

use bytes::Bytes;

use crate::id::MessageId;
use crate::protocol::catalog::Constants;
use crate::protocol::error_code::CommandError;
use crate::protocol::json::Value;
use crate::room::pattern::validate_name;

const USER_ID_BYTES_MAX: usize = 120;
/// Most rooms, patterns, users or messages in one command.
const BATCH_MAX: usize = 256;

/// The `data` of an envelope; absent is empty.
#[derive(Clone, Copy)]
pub(super) struct Data<'a> {
    value: Option<Value<'a>>,
    /// What the event's name alone says.
    constants: Constants,
}

impl<'a> Data<'a> {
    pub(super) fn of(data: Option<Value<'a>>, constants: Constants) -> Result<Self, CommandError> {
        match data.filter(|value| !value.is_null()) {
            None => Ok(Self { value: None, constants }),
            Some(value) if value.is_object() => Ok(Self { value: Some(value), constants }),
            Some(_) => Err(CommandError::invalid("data", "must be an object")),
        }
    }

    /// One object of a list, read like a `data` of its own.
    pub(super) fn part(value: Value<'a>) -> Self {
        Self { value: Some(value), constants: &[] }
    }

    /// All of it, as it was sent.
    pub(super) fn raw(self) -> Bytes {
        self.value.map_or(Bytes::from_static(b"{}"), |value| Bytes::copy_from_slice(value.raw()))
    }

    /// A member that is there and not null.
    pub(super) fn get(self, field: &str) -> Option<Value<'a>> {
        self.value?.get(field).filter(|value| !value.is_null())
    }

    /// A member that is there, be it null.
    pub(super) fn get_any(self, field: &str) -> Option<Value<'a>> {
        self.value?.get(field)
    }

    pub(super) fn text(self, field: &'static str) -> Result<&'a str, CommandError> {
        self.optional_text(field)?.ok_or_else(|| CommandError::invalid(field, "is required"))
    }

    pub(super) fn optional_text(self, field: &'static str) -> Result<Option<&'a str>, CommandError> {
        self.get(field)
            .map(|value| value.as_str().ok_or_else(|| CommandError::invalid(field, "must be a string")))
            .transpose()
    }

    pub(super) fn number(self, field: &'static str) -> Result<Option<u64>, CommandError> {
        self.get(field)
            .map(|value| {
                value.as_u64().ok_or_else(|| CommandError::invalid(field, "must be a whole number from 0"))
            })
            .transpose()
    }

    pub(super) fn flag(self, field: &'static str, default: bool) -> Result<bool, CommandError> {
        if let Some((_, constant)) = self.constants.iter().find(|(name, _)| *name == field) {
            return Ok(*constant);
        }
        self.get(field).map_or(Ok(default), |value| {
            value.as_bool().ok_or_else(|| CommandError::invalid(field, "must be true or false"))
        })
    }

    /// A number from 1, cut to `max`.
    pub(super) fn limit(self, default: u64, max: u64) -> Result<usize, CommandError> {
        match self.number("limit")? {
            Some(0) => Err(CommandError::invalid("limit", "must be at least 1")),
            limit => Ok(to_usize(limit.unwrap_or(default).min(max))),
        }
    }

    /// The room, under its own name or one of the seeds' (protocol §5).
    pub(super) fn room(self) -> Result<String, CommandError> {
        self.optional_room()?.ok_or_else(|| CommandError::invalid("roomId", "is required"))
    }

    /// A name; where the seeds' clients have ids of a database, numbers are names too.
    fn optional_name(self, field: &'static str) -> Result<Option<Cow<'a, str>>, CommandError> {
        match self.get(field).and_then(|value| value.as_u64()).filter(|_| field != "roomId") {
            Some(number) => Ok(Some(number.to_string().into())),
            None => Ok(self.optional_text(field)?.map(Cow::Borrowed)),
        }
    }

    pub(super) fn optional_room(self) -> Result<Option<String>, CommandError> {
        for (field, prefix) in [
            ("roomId", ""),
            ("chatId", ""),
            ("conversationId", "conversation:"),
            ("channelId", "channel:"),
            ("threadId", "thread:"),
        ] {
            if let Some(name) = self.optional_name(field)? {
                let room = if prefix.is_empty() { name.into_owned() } else { format!("{prefix}{name}") };
                validate_name(&room).map_err(|_| invalid_room(field))?;
                return Ok(Some(room));
            }
        }
        Ok(None)
    }

    pub(super) fn user(self, field: &'static str) -> Result<String, CommandError> {
        user(self.text(field)?, field)
    }

    pub(super) fn message_id(self) -> Result<MessageId, CommandError> {
        MessageId::parse(self.text("messageId")?).ok_or_else(unknown_message)
    }

    pub(super) fn list(self, field: &'static str) -> Result<Vec<Value<'a>>, CommandError> {
        let Some(value) = self.get(field) else { return Ok(Vec::new()) };
        let elements = value.elements().ok_or_else(|| CommandError::invalid(field, "must be an array"))?;
        if elements.len() > BATCH_MAX {
            return Err(CommandError::invalid(field, "has more than 256 entries"));
        }
        Ok(elements.collect())
    }

    /// A list of user ids.
    pub(super) fn users(self, field: &'static str) -> Result<Vec<String>, CommandError> {
        let read = |value: &Value<'_>| match value.as_str() {
            Some(text) => user(text, field),
            None => Err(CommandError::invalid(field, "must hold user ids")),
        };
        self.list(field)?.iter().map(read).collect()
    }
}

fn user(text: &str, field: &'static str) -> Result<String, CommandError> {
    if validate_name(text).is_err() || text.len() > USER_ID_BYTES_MAX {
        return Err(CommandError::invalid(field, "is no user id: 1 to 120 bytes of a room name's"));
    }
    Ok(text.to_owned())
}

/// A message that the room does not have, or no longer has.
pub(super) fn unknown_message() -> CommandError {
    CommandError::invalid("messageId", "is no message of this room")
}

pub(super) fn invalid_room(field: &'static str) -> CommandError {
    CommandError::invalid(
        field,
        "is no room name: 1 to 128 bytes of printable ASCII without space, *, \" and \\",
    )
}

pub(super) fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
