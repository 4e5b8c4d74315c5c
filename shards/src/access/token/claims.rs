//! From the JSON of a token to [`Claims`]: strict where a mistake would open a door.
//!
//! An object with a member twice is refused at any depth, because two readers of such a token may disagree on
//! what it says. A member that is `null` counts as absent.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::TokenError;
use crate::room::pattern::validate_name;

/// Bytes of the longest `sub` or account, so that `user:` or `account:` before it still makes a room name.
const SUBJECT_BYTES_MAX: usize = 120;

/// The role of a user; what it may do is the table of `access::permission`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UserType {
    /// A member of staff.
    Employee,
    /// A visitor, and everybody whose type is unknown.
    Guest,
    /// Staff who moderate.
    Supervisor,
}

/// What a verified token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The user: 1–120 bytes that may stand in a room name.
    pub sub: String,
    /// When the token ends, milliseconds since 1970, the leeway included: a live connection ends here, and not
    /// earlier than a new one would be refused.
    pub expires_unix_ms: u64,
    /// The role.
    pub user_type: UserType,
    /// The account, if the user has one; as `sub`.
    pub account_id: Option<String>,
    /// Permissions as written; `access::permission` gives them their meaning.
    pub permissions: Vec<String>,
    /// Rooms to join on connecting; each is a valid name.
    pub rooms: Vec<String>,
    /// The token's id, for revocation.
    pub jti: Option<String>,
}

/// Reads the claims that describe the user.
///
/// # Errors
/// [`TokenError::Subject`] for `sub`, [`TokenError::Claims`] for any other.
pub(super) fn read(members: &Members, leeway_ms: u64) -> Result<Claims, TokenError> {
    let sub = members.text("sub").ok().flatten().ok_or(TokenError::Subject)?;
    if !is_subject(sub) {
        return Err(TokenError::Subject);
    }
    let rooms = strings(members, "rooms").ok_or(TokenError::Claims("rooms is no array of strings"))?;
    if rooms.iter().any(|room| validate_name(room).is_err()) {
        return Err(TokenError::Claims("rooms has an invalid name"));
    }
    Ok(Claims {
        sub: sub.to_owned(),
        expires_unix_ms: expires_unix_ms(members)?.saturating_add(leeway_ms),
        user_type: user_type(members),
        account_id: account_id(members)?,
        permissions: strings(members, "permissions")
            .ok_or(TokenError::Claims("permissions is no array of strings"))?,
        rooms,
        jti: members.text("jti").map_err(|_| TokenError::Claims("jti is no string"))?.map(str::to_owned),
    })
}

/// `exp` in milliseconds, without leeway.
pub(super) fn expires_unix_ms(members: &Members) -> Result<u64, TokenError> {
    members
        .number("exp")
        .map_err(|_| TokenError::Claims("exp is no number"))?
        .map(unix_ms)
        .ok_or(TokenError::Claims("exp is missing"))
}

/// `nbf` in milliseconds, without leeway.
pub(super) fn not_before_unix_ms(members: &Members) -> Result<Option<u64>, TokenError> {
    let start = members.number("nbf").map_err(|_| TokenError::Claims("nbf is no number"))?;
    Ok(start.map(unix_ms))
}

/// Whether `aud`, a string or an array with strings, names one of `wanted`.
pub(super) fn audience_names(members: &Members, wanted: &[String]) -> bool {
    let is_wanted = |value: &Value| value.as_str().is_some_and(|name| wanted.iter().any(|it| it == name));
    match members.present("aud") {
        Some(Value::Array(names)) => names.iter().any(is_wanted),
        Some(name) => is_wanted(name),
        None => false,
    }
}

/// An unknown type has the least rights.
fn user_type(members: &Members) -> UserType {
    match members.text("userType") {
        Ok(Some("employee")) => UserType::Employee,
        Ok(Some("supervisor")) => UserType::Supervisor,
        _ => UserType::Guest,
    }
}

fn account_id(members: &Members) -> Result<Option<String>, TokenError> {
    let account = match members.present("accountId") {
        None => return Ok(None),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) if !number.is_f64() => number.to_string(),
        Some(_) => return Err(TokenError::Claims("accountId is no string or integer")),
    };
    if !is_subject(&account) {
        return Err(TokenError::Claims("accountId is no usable name"));
    }
    Ok(Some(account))
}

fn is_subject(text: &str) -> bool {
    text.len() <= SUBJECT_BYTES_MAX && validate_name(text).is_ok()
}

/// The array of strings of that name, empty when absent; `None` for anything else.
fn strings(members: &Members, name: &str) -> Option<Vec<String>> {
    match members.present(name) {
        None => Some(Vec::new()),
        Some(Value::Array(items)) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        Some(_) => None,
    }
}

/// Seconds since 1970, perhaps with a fraction, in milliseconds: before 1970 is 0, beyond the range its end.
fn unix_ms(seconds: &Number) -> u64 {
    if let Some(seconds) = seconds.as_u64() {
        return seconds.saturating_mul(1000);
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast of a float saturates, which is what is wanted"
    )]
    let ms = seconds.as_f64().map_or(0, |seconds| (seconds * 1000.0) as u64);
    ms
}

/// A member that is not of the type that its reader asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WrongType;

/// The members of a header or of a set of claims, none of them twice.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Members(#[serde(deserialize_with = "unique_members")] Map<String, Value>);

impl Members {
    /// Reads one part of a token.
    ///
    /// # Errors
    /// What is wrong with it, in words that hold nothing of it.
    pub(super) fn decode(part: &str) -> Result<Self, &'static str> {
        // The library keeps its base64 decoder to itself; reading the claims of a token that has no other
        // part is the way to it.
        let lone_part = ["", part, ""].join(".");
        jsonwebtoken::dangerous::insecure_decode_claims(lone_part)
            .map_err(|_| "a part is no base64url of a JSON object with unique members")
    }

    /// Whether the member is there, be it null.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The string of that name.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, WrongType> {
        self.present(name).map(|value| value.as_str().ok_or(WrongType)).transpose()
    }

    /// The number of that name.
    pub(super) fn number(&self, name: &str) -> Result<Option<&Number>, WrongType> {
        self.present(name).map(|value| value.as_number().ok_or(WrongType)).transpose()
    }

    fn present(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }
}

fn unique_members<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Map<String, Value>, D::Error> {
    match UniqueValue::deserialize(deserializer)?.0 {
        Value::Object(members) => Ok(members),
        _ => Err(de::Error::custom("not an object")),
    }
}

/// Any JSON value in which no object has a member twice.
struct UniqueValue(Value);

impl<'de> Deserialize<'de> for UniqueValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(UniqueValue)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("JSON with unique members")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(UniqueValue(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(array.into())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, UniqueValue(value))) = entries.next_entry::<String, UniqueValue>()? {
            if members.insert(name, value).is_some() {
                return Err(de::Error::custom("a member twice"));
            }
        }
        Ok(members.into())
    }
}
