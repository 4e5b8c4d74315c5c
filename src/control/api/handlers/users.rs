//! Users: their presence, the end of their connections, and who is refused.

use std::sync::Arc;

use roomcast_shards::access::revocations::Subject;
use roomcast_shards::id::ShardId;
use roomcast_shards::mesh::administration::{Administration, Whom};
use roomcast_shards::mesh::operation::{Operation, UserOperation};
use roomcast_shards::mesh::outcome::Outcome;
use roomcast_shards::protocol::close_code::CloseCode;
use roomcast_shards::protocol::error_code::CommandError;
use roomcast_shards::protocol::json::Value;
use roomcast_shards::protocol::reply::Presence;
use roomcast_shards::protocol::write::{self, time};
use roomcast_shards::room::name::{qualify, user_room};
use roomcast_shards::user::users::Viewer;

use super::super::Api;
use super::super::answer::{Answer, Failure};
use super::super::call::{Call, user_in};
use super::super::gateway::unexpected;
use super::super::spread;
use super::rooms::{affected, reply};
use crate::engine::redis::unix_ms;

/// Users that one request may ask about.
const USERS_MAX: usize = 1000;
/// Bytes of a close frame's reason (RFC 6455 §5.5).
const REASON_BYTES_MAX: usize = 123;
/// For how long somebody is refused who is refused without a time, and for how long at most.
const REVOCATION_MS: u64 = 24 * 3_600_000;
const REVOCATION_MS_MAX: u64 = 366 * 24 * 3_600_000;
/// Codes that the application may close connections with.
const CODES: [CloseCode; 6] = [
    CloseCode::Policy,
    CloseCode::Normal,
    CloseCode::GoingAway,
    CloseCode::Overloaded,
    CloseCode::AuthFailed,
    CloseCode::Abuse,
];

impl Api {
    pub(super) async fn presence(&self, call: &Call) -> Result<Answer, Failure> {
        let (room, operation) = presence_of(&call.user(0)?);
        reply(self.data_plane.ask(room, operation).await?)
    }

    pub(super) async fn presence_of_many(&self, call: &Call) -> Result<Answer, Failure> {
        let namespace = call.namespace()?;
        let users = self.parse(&call.body, |value| {
            let users = value.get("userIds").and_then(|users| users.elements());
            let users = users.ok_or_else(|| CommandError::invalid("userIds", "must be an array"))?;
            if !(1..=USERS_MAX).contains(&users.len()) {
                return Err(CommandError::invalid("userIds", "must hold 1 to 1000 names"));
            }
            let user =
                |value: Value<'_>| user_in(namespace.as_deref(), value.as_str().unwrap_or(""), "userIds");
            users.map(user).collect::<Result<Vec<_>, _>>()
        })?;
        let asked = users.iter().map(presence_of).collect();
        let mut found: Vec<Presence> = Vec::with_capacity(users.len());
        for outcome in self.data_plane.ask_many(asked).await {
            match outcome? {
                Outcome::Presence(presence) => found.push(presence),
                outcome => return Err(unexpected(&outcome).into()),
            }
        }
        let mut json = br#"{"users":"#.to_vec();
        write::list(&mut json, &found, |out, presence| presence.write_entry(out));
        json.push(b'}');
        Ok(Answer::new(200, json))
    }

    pub(super) async fn disconnect_user(&self, call: &Call) -> Result<Answer, Failure> {
        let (code, reason) = self.parse(&call.body, farewell)?;
        let disconnect = Administration::Disconnect { whom: Whom::User(call.user(0)?), code, reason };
        Ok(affected(self.data_plane.administer(&disconnect).await?))
    }

    /// Closes the connection of a shard as the body says; how many those were.
    pub(super) async fn disconnect_on(
        &self,
        call: &Call,
        shard: ShardId,
        whom: Whom,
    ) -> Result<usize, Failure> {
        let (code, reason) = self.parse(&call.body, farewell)?;
        let operation = Operation::Administer(Administration::Disconnect { whom, code, reason });
        match self.data_plane.ask_shard(shard, operation).await? {
            Outcome::Administered { connections } => Ok(connections),
            outcome => Err(unexpected(&outcome).into()),
        }
    }

    pub(super) async fn block_user(&self, call: &Call, block: bool) -> Result<Answer, Failure> {
        let user = call.user(0)?;
        self.revoke(call, Subject::User(user), block).await
    }

    pub(super) async fn revoke_token(&self, call: &Call, revoke: bool) -> Result<Answer, Failure> {
        let token = call.parameter(0);
        if token.len() > 512 || token.contains(' ') {
            return Err(CommandError::invalid("tokenId", "must have 1 to 512 bytes without spaces").into());
        }
        let token = qualify(call.namespace()?.as_deref(), token).into();
        self.revoke(call, Subject::Token(token), revoke).await
    }

    async fn revoke(&self, call: &Call, subject: Subject, refuse: bool) -> Result<Answer, Failure> {
        let until =
            if refuse { Some(self.parse(&call.body, |value| until(value, unix_ms()))?) } else { None };
        let (connections, gathered) = self.refused.decide(subject, until).await?;
        let mut text = Vec::new();
        until.iter().for_each(|until| time(&mut text, *until));
        let until: Option<String> = serde_json::from_slice(&text).ok();
        let members: Vec<_> = until.into_iter().map(|until| ("until", until)).collect();
        spread::affected(connections as u64, gathered, &members)
    }
}

/// What a user's owner is asked; whoever asks is shown what the user itself would be.
fn presence_of(user: &Arc<str>) -> (Arc<str>, Operation) {
    let viewer = Viewer { user: Arc::clone(user), account: None, rooms: Arc::default() };
    (user_room(user).into(), Operation::User(UserOperation::Presence(viewer)))
}

/// With which code and reason to close.
fn farewell(value: Value<'_>) -> Result<(CloseCode, Arc<str>), CommandError> {
    let code = match value.get("code").filter(|code| !code.is_null()) {
        None => CloseCode::Policy,
        Some(code) => code
            .as_u64()
            .and_then(|number| CODES.into_iter().find(|code| u64::from(code.number()) == number))
            .ok_or_else(|| CommandError::invalid("code", "must be 1000, 1001, 1008, 1013, 4401 or 4429"))?,
    };
    let reason = match value.get("reason").filter(|reason| !reason.is_null()) {
        None => "disconnected by the application",
        Some(reason) => reason
            .as_str()
            .filter(|reason| reason.len() <= REASON_BYTES_MAX)
            .ok_or_else(|| CommandError::invalid("reason", "must be a string of at most 123 bytes"))?,
    };
    Ok((code, reason.into()))
}

/// Until when somebody is refused.
fn until(value: Value<'_>, now: u64) -> Result<u64, CommandError> {
    let Some(until) = value.get("until").filter(|until| !until.is_null()) else {
        return Ok(now.saturating_add(REVOCATION_MS));
    };
    let time = until.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let ms = time.and_then(|time| u64::try_from(time.as_millisecond()).ok());
    ms.filter(|until| (now..=now.saturating_add(REVOCATION_MS_MAX)).contains(until)).ok_or_else(|| {
        CommandError::invalid(
            "until",
            "must be a time to come, such as 2030-01-31T12:00:00Z, within 366 days",
        )
    })
}

#[cfg(test)]
mod tests {
    use roomcast_shards::protocol::json::Parser;

    use super::*;

    fn read<T>(text: &str, read: impl FnOnce(Value<'_>) -> T) -> T {
        Parser::new(8).parse(text.as_bytes(), read).unwrap()
    }

    #[test]
    fn only_some_codes_and_short_reasons_are_possible() {
        let (code, reason) = read("{}", farewell).unwrap();
        assert_eq!((code, &*reason), (CloseCode::Policy, "disconnected by the application"));
        let (code, reason) = read(r#"{"code":4401,"reason":"bye"}"#, farewell).unwrap();
        assert_eq!((code, &*reason), (CloseCode::AuthFailed, "bye"));
        let long = format!(r#"{{"reason":"{}"}}"#, "a".repeat(124));
        for wrong in [r#"{"code":1006}"#, r#"{"code":"1000"}"#, r#"{"code":4000}"#, r#"{"reason":1}"#, &long]
        {
            assert!(read(wrong, farewell).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_to_come_and_within_a_year() {
        let now = 1_700_000_000_000;
        assert_eq!(read("{}", |value| until(value, now)), Ok(now + REVOCATION_MS));
        assert_eq!(read(r#"{"until":"2023-11-14T22:13:21Z"}"#, |value| until(value, now)), Ok(now + 1000));
        for wrong in ["2023-11-14T22:13:19Z", "2025-11-14T22:13:19Z", "tomorrow", ""] {
            let text = format!(r#"{{"until":"{wrong}"}}"#);
            assert!(read(&text, |value| until(value, now)).is_err(), "{wrong}");
        }
    }
}
