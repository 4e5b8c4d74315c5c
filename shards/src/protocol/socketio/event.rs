//! From an event's arguments to the request that they amount to: the native envelope, its id being the ack's.

use crate::backend::Routes;
use crate::protocol::command::{Rejection, Request};
use crate::protocol::error_code::CommandError;
use crate::protocol::event;
use crate::protocol::json::Value;
use crate::protocol::profile::Profile;

/// Names that only the library itself may use.
const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// Why an event is no request.
#[derive(Debug)]
pub enum Refused {
    /// No event by the protocol: the connection ends.
    Malformed,
    /// An event that the gateway does not take.
    Rejected(Rejection),
}

/// The name of an event, `None` when these are no arguments of one; a number stands as its digits.
#[must_use]
pub fn name<'a>(arguments: Value<'a>) -> Option<&'a str> {
    let first = arguments.elements()?.next()?;
    let name = match first.as_str() {
        Some(name) => name,
        None if first.is_number() => std::str::from_utf8(first.raw()).ok()?,
        None => return None,
    };
    (!RESERVED.contains(&name)).then_some(name)
}

/// Decodes an event.
///
/// # Errors
/// [`Refused`] with what is to follow from it.
pub fn decode(
    arguments: Value<'_>,
    id: Option<&str>,
    profile: &Profile,
    routes: &Routes,
) -> Result<Request, Refused> {
    let name = name(arguments).ok_or(Refused::Malformed)?;
    let mut elements = arguments.elements().ok_or(Refused::Malformed)?.skip(1);
    let data = elements.next();
    let id = id.map(Into::into);
    if elements.next().is_some() {
        let error = CommandError::invalid("data", "an event takes one object");
        return Err(Refused::Rejected(Rejection { legible: true, event: None, id, error }));
    }
    event::decode_named(name, data, id, (profile, routes)).map_err(Refused::Rejected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::catalog::Event;
    use crate::protocol::command::Command;
    use crate::protocol::error_code::ErrorCode;
    use crate::protocol::json::Parser;
    use crate::protocol::profile::PROFILES;

    fn read(text: &str) -> Result<Request, Refused> {
        Parser::new(32)
            .parse(text.as_bytes(), |value| decode(value, Some("7"), &PROFILES[0], Routes::NONE))
            .expect("JSON")
    }

    #[test]
    fn an_event_is_an_envelope() {
        let request = read(r#"["room:join",{"roomId":"a"}]"#).expect("a request");
        assert_eq!((request.event, request.id.as_deref()), (Event::RoomJoin, Some("7")));
        assert!(matches!(request.command, Command::Join { room, .. } if room == "a"));
        for text in [r#"["ping"]"#, r#"["ping",null]"#, r#"["ping",{}]"#] {
            assert!(matches!(read(text).map(|request| request.command), Ok(Command::Ping)), "{text}");
        }
    }

    #[test]
    fn what_the_gateway_does_not_take_is_refused_by_name() {
        for (text, code) in [
            (r#"["no:such"]"#, ErrorCode::ProtocolError),
            (r#"[7]"#, ErrorCode::ProtocolError),
            (r#"["room:join","a"]"#, ErrorCode::InvalidPayload),
            (r#"["room:join",{"roomId":"a"},1]"#, ErrorCode::InvalidPayload),
        ] {
            let Err(Refused::Rejected(rejection)) = read(text) else { panic!("{text}") };
            assert_eq!((rejection.error.code, rejection.id.as_deref()), (code, Some("7")), "{text}");
        }
    }

    #[test]
    fn what_is_no_event_is_malformed() {
        for text in
            ["[]", "{}", "[null]", "[{}]", "[[\"a\"]]", "[true]", r#"["connect"]"#, r#"["disconnecting",1]"#]
        {
            assert!(matches!(read(text), Err(Refused::Malformed)), "{text}");
        }
    }
}
