//! From an event and its `data` to the command.

use bytes::Bytes;

use super::data::{Data, invalid_room, to_usize};
use crate::backend::Forwarded;
use crate::protocol::catalog::Event;
use crate::protocol::command::{
    Command, Creation, Draft, Invalid, Monitoring, Position, Status, StatusUpdate, UpTo,
};
use crate::protocol::error_code::CommandError;
use crate::protocol::json::Value;
use crate::protocol::message::{Lane, MessageType, Metadata};
use crate::room::pattern::{Pattern, validate_name};

/// Most messages that one reply carries.
const HISTORY_LIMIT_MAX: u64 = 1000;
const HISTORY_LIMIT_DEFAULT: u64 = 50;
const ONLINE_LIMIT_DEFAULT: u64 = 100;
const ONLINE_LIMIT_MAX: u64 = 1000;
const CLIENT_ID_BYTES_MAX: usize = 128;
const STATUS_TEXT_BYTES_MAX: usize = 256;
/// Bytes of what an application keeps with a room.
const ROOM_METADATA_BYTES_MAX: usize = 4096;
const SESSION_TOKEN_BYTES_MAX: usize = 1024;
const ROOM_MEMBERS_MAX: u64 = 1_000_000;

impl Data<'_> {
    pub(super) fn command(self, event: Event, custom: Option<&str>) -> Result<Command, CommandError> {
        Ok(match event {
            Event::Auth | Event::AuthRefresh => Command::Auth { token: self.text("token")?.to_owned() },
            Event::Ping => Command::Ping,
            Event::RoomJoin => self.join()?,
            Event::RoomLeave => Command::Leave { room: self.room()? },
            Event::RoomCreate => Command::Create(self.creation()?),
            Event::RoomClose => Command::CloseRoom { room: self.room()? },
            Event::RoomList => Command::List,
            Event::RoomInfo => Command::Info { room: self.room()? },
            Event::RoomOnline => {
                let (limit, cursor) = self.page()?;
                Command::Online { room: self.room()?, limit, cursor }
            }
            Event::RoomSubscribeMultiple => self.multiple(true)?,
            Event::RoomUnsubscribeMultiple => self.multiple(false)?,
            Event::RoomSubscriptionStatus => {
                Command::Subscription { room: self.optional_room()?, details: false }
            }
            Event::RoomSubscriptionDetails => {
                Command::Subscription { room: self.optional_room()?, details: true }
            }
            Event::RoomHistory => Command::History {
                room: self.room()?,
                before: self.number("before")?,
                after: self.number("after")?,
                limit: self.limit(HISTORY_LIMIT_DEFAULT, HISTORY_LIMIT_MAX)?,
            },
            Event::MessageSend => Command::Send(self.draft(self.room()?)?),
            Event::MessageSendBatch => Command::SendBatch(self.batch()?),
            Event::MessageEdit => {
                let content = Bytes::copy_from_slice(self.content()?.raw());
                let (room, message) = (self.room()?, self.message_id()?);
                Command::Revise { room, message, content: Some(content), binary: false }
            }
            Event::MessageDelete => {
                let (room, message) = (self.room()?, self.message_id()?);
                Command::Revise { room, message, content: None, binary: false }
            }
            Event::MessageDelivered => {
                Command::Receipt { room: self.room()?, upto: self.upto()?, read: false }
            }
            Event::MessageRead => Command::Receipt { room: self.room()?, upto: self.upto()?, read: true },
            Event::MessageDeliveryStatus => {
                Command::DeliveryStatus { room: self.room()?, message: self.message_id()? }
            }
            Event::MessageTyping => {
                Command::Typing { room: self.room()?, typing: self.flag("isTyping", true)? }
            }
            Event::MessageTypingUsers => Command::TypingUsers { room: self.room()? },
            Event::MessageStats => Command::MessageStats { room: self.room()? },
            Event::UserSend => {
                let user = self.user("userId")?;
                let draft = self.draft(format!("user:{user}"))?;
                Command::UserSend { user, draft }
            }
            Event::PresenceUpdateStatus => Command::UpdateStatus(self.status()?),
            Event::PresenceWatch => self.watch(true)?,
            Event::PresenceUnwatch => self.watch(false)?,
            Event::PresenceOnlineUsers => {
                let (limit, cursor) = self.page()?;
                Command::OnlineUsers { limit, cursor }
            }
            Event::PresenceUserStatus => Command::UserStatus { user: self.user("userId")? },
            Event::PresenceStats => Command::PresenceStats,
            Event::ConnectionCreateSession => Command::CreateSession,
            Event::ConnectionRecover => self.recovery()?,
            Event::ConnectionSessionInfo => Command::SessionInfo,
            Event::ConnectionStats => Command::RecoveryStats,
            Event::MonitoringMetrics => self.monitor(Monitoring::Metrics)?,
            Event::MonitoringEvents => self.monitor(Monitoring::Events)?,
            Event::MonitoringStats => self.monitor(Monitoring::Stats)?,
            Event::MonitoringHealth => self.monitor(Monitoring::Health)?,
            Event::FileUpload | Event::RobotInteract | Event::EscalationCreate | Event::Custom => {
                let name = custom.map(Into::into);
                Command::Forward(Forwarded { name, room: self.optional_room()?, data: self.raw() })
            }
        })
    }

    fn join(self) -> Result<Command, CommandError> {
        let history = self.number("history")?.unwrap_or(0).min(HISTORY_LIMIT_MAX);
        Ok(Command::Join {
            room: self.room()?,
            history: to_usize(history),
            recover: Position::read(self.get("recover"))?,
        })
    }

    fn page(self) -> Result<(usize, Option<String>), CommandError> {
        let cursor = self.optional_text("cursor")?.map(str::to_owned);
        Ok((self.limit(ONLINE_LIMIT_DEFAULT, ONLINE_LIMIT_MAX)?, cursor))
    }

    pub(super) fn creation(self) -> Result<Creation, CommandError> {
        let private = match self.optional_text("visibility")? {
            None | Some("public") => false,
            Some("private") => true,
            Some(_) => return Err(CommandError::invalid("visibility", "must be public or private")),
        };
        let metadata = self.get("metadata");
        if metadata.is_some_and(|value| !value.is_object()) {
            return Err(CommandError::invalid("metadata", "must be an object"));
        }
        if metadata.is_some_and(|value| value.raw().len() > ROOM_METADATA_BYTES_MAX) {
            return Err(CommandError::invalid("metadata", "has more than 4096 bytes"));
        }
        let members_max = self.number("maxMembers")?;
        if members_max.is_some_and(|max| max == 0 || max > ROOM_MEMBERS_MAX) {
            return Err(CommandError::invalid("maxMembers", "must be from 1 to 1000000"));
        }
        Ok(Creation {
            room: self.optional_room()?.unwrap_or_default(),
            private,
            members: self.users("members")?,
            metadata: metadata.map(|value| Bytes::copy_from_slice(value.raw())),
            members_max: members_max.map(to_usize),
        })
    }

    fn content(&self) -> Result<Value<'_>, CommandError> {
        self.get_any("content").ok_or_else(|| CommandError::invalid("content", "is required"))
    }

    pub(super) fn draft(self, room: String) -> Result<Draft, CommandError> {
        let content = self.content()?;
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
        let lane = match self.optional_text("deliveryStatus")? {
            None => Lane::of(kind),
            Some("streaming") => Lane::Streaming,
            Some("batch-delay") => Lane::BatchDelay,
            Some(_) => {
                return Err(CommandError::invalid("deliveryStatus", "must be streaming or batch-delay"));
            }
        };
        Ok(Draft {
            room,
            kind,
            content: Bytes::copy_from_slice(content.raw()),
            metadata: metadata.map(Metadata::read),
            client_id: client_id.map(Into::into),
            exclude_sender: self.flag("excludeSender", false)?,
            exclude_user: None,
            lane,
            binary: false,
            ack_requested: self.flag("ackRequested", false)?,
        })
    }

    fn multiple(self, subscribe: bool) -> Result<Command, CommandError> {
        let room = |value: &Value<'_>| match value.as_str() {
            Some(name) if validate_name(name).is_ok() => Ok(name.to_owned()),
            _ => Err(Invalid { text: shorten(value), error: invalid_room("roomId") }),
        };
        let pattern = |value: &Value<'_>| {
            let parsed = value.as_str().and_then(|text| Pattern::parse(text).ok());
            parsed.ok_or_else(|| Invalid {
                text: shorten(value),
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
            let data = Data::part(*value);
            data.draft(data.room()?)
        };
        Ok(messages.iter().map(draft).collect())
    }

    fn upto(self) -> Result<UpTo, CommandError> {
        if self.get("messageId").is_some() {
            return self.message_id().map(UpTo::Message);
        }
        match self.number("upToOffset")? {
            Some(offset) => Ok(UpTo::Offset(offset)),
            None => Err(CommandError::invalid("messageId", "or upToOffset is required")),
        }
    }

    fn status(self) -> Result<StatusUpdate, CommandError> {
        let status = Status::find(self.text("status")?)
            .ok_or_else(|| CommandError::invalid("status", "must be online, away, busy or offline"))?;
        let text = self.optional_text("statusText")?.filter(|text| !text.is_empty());
        if text.is_some_and(|text| text.len() > STATUS_TEXT_BYTES_MAX) {
            return Err(CommandError::invalid("statusText", "has more than 256 bytes"));
        }
        Ok(StatusUpdate { status, text: text.map(Into::into) })
    }

    fn watch(self, watch: bool) -> Result<Command, CommandError> {
        let (users, room) = (self.users("userIds")?, self.optional_room()?);
        if users.is_empty() && room.is_none() {
            return Err(CommandError::invalid("userIds", "or roomId is required"));
        }
        Ok(Command::Watch { watch, users, room })
    }

    fn recovery(self) -> Result<Command, CommandError> {
        let token = self.text("token")?;
        if token.len() > SESSION_TOKEN_BYTES_MAX {
            return Err(CommandError::invalid("token", "is no token of a session"));
        }
        let position = |value: &Value<'_>| {
            let data = Data::part(*value);
            let position = Position::read(Some(*value))?;
            let position = position.ok_or_else(|| CommandError::invalid("positions", "must hold objects"))?;
            Ok((data.room()?, position))
        };
        let positions = self.list("positions")?.iter().map(position).collect::<Result<_, CommandError>>()?;
        Ok(Command::RecoverSession { token: token.to_owned(), positions })
    }

    fn monitor(self, topic: Monitoring) -> Result<Command, CommandError> {
        Ok(Command::Monitor { topic, limit: self.limit(ONLINE_LIMIT_DEFAULT, ONLINE_LIMIT_MAX)? })
    }
}

/// What was sent instead, so that its sender finds it again.
fn shorten(value: &Value<'_>) -> String {
    let text = value.as_str().map_or_else(|| String::from_utf8_lossy(value.raw()), Into::into);
    text.chars().take(32).collect()
}
