//! The event dialect, inbound: an envelope to a command (protocol §1, §5).
//!
//! `data` reads the members of an envelope's `data`, `commands` makes the command of each event from them.

mod commands;
mod data;

use super::catalog::{Constants, Event};
use super::command::{Creation, Draft, Rejection, Request, RequestId};
use super::error_code::{CommandError, Detail};
use super::json::Value;
use super::profile::Profile;
use crate::backend::Routes;
use data::Data;

const EVENT_BYTES_MAX: usize = 64;
const REQUEST_ID_BYTES_MAX: usize = 64;

/// Decodes a frame that was parsed; a profile may know further names of events, and routes may take others.
///
/// # Errors
/// A [`Rejection`] to answer with.
pub fn decode(frame: Value<'_>, profile: &Profile, routes: &Routes) -> Result<Request, Rejection> {
    let id = request_id(frame)?;
    let name = frame.get("event").and_then(|value| value.as_str());
    let name = name.ok_or_else(|| CommandError::protocol("the frame has no event"));
    match name.and_then(|name| check_version(frame).map(|()| name)) {
        Ok(name) => decode_named(name, frame.get("data"), id, (profile, routes)),
        Err(error) => Err(Rejection { legible: true, event: None, id, error }),
    }
}

/// Decodes an event by its name and `data`, however they came.
///
/// # Errors
/// A [`Rejection`] to answer with.
pub fn decode_named(
    name: &str,
    data: Option<Value<'_>>,
    id: RequestId,
    (profile, routes): (&Profile, &Routes),
) -> Result<Request, Rejection> {
    let (event, constants) = match event(name, profile, routes) {
        Ok(found) => found,
        Err(error) => return Err(Rejection { legible: true, event: None, id, error }),
    };
    let custom = (event == Event::Custom).then_some(name);
    match Data::of(data, constants).and_then(|data| data.command(event, custom)) {
        Ok(command) => Ok(Request { event, id, command }),
        Err(error) => Err(Rejection { legible: true, event: Some(event), id, error }),
    }
}

/// Reads a message for a room, as `message:send` has it but for the room.
///
/// # Errors
/// `INVALID_PAYLOAD` with the member that is wrong.
pub fn read_draft(data: Value<'_>, room: String) -> Result<Draft, CommandError> {
    Data::of(Some(data), &[])?.draft(room)
}

/// Reads which room an object is for, under `roomId` or one of the seeds' names for it.
///
/// # Errors
/// `INVALID_PAYLOAD` with the member that is wrong.
pub fn read_room(data: Value<'_>) -> Result<String, CommandError> {
    Data::of(Some(data), &[])?.room()
}

/// Reads what a room that is to be created is to be, as `room:create` has it.
///
/// # Errors
/// `INVALID_PAYLOAD` with the member that is wrong.
pub fn read_creation(data: Value<'_>) -> Result<Creation, CommandError> {
    Data::of(Some(data), &[])?.creation()
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

fn event(name: &str, profile: &Profile, routes: &Routes) -> Result<(Event, Constants), CommandError> {
    let name = Some(name).filter(|name| name.len() <= EVENT_BYTES_MAX);
    let known = name.and_then(|name| profile.find_inbound(name).or_else(|| Event::find(name)));
    let custom = || name.filter(|name| routes.takes(name)).map(|_| (Event::Custom, [].as_slice()));
    known.or_else(custom).ok_or_else(|| CommandError::protocol("unknown event"))
}

fn check_version(frame: Value<'_>) -> Result<(), CommandError> {
    let Some(version) = frame.get("version") else { return Ok(()) };
    match (version.as_str(), version.as_u64()) {
        (Some("1" | "1.0"), _) | (_, Some(1)) => Ok(()),
        _ => Err(CommandError::protocol("unknown version").with("supported", Detail::List(&["1", "1.0"]))),
    }
}

#[cfg(test)]
mod tests;
