//! What a backend answered to an event, as the client's reply (`docs/backends.md`).

use hyper::StatusCode;
use roomcast_shards::protocol::error_code::{CommandError, Detail, ErrorCode};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::failure::Failure;
use super::http_client::Answer;

/// Messages and events that one answer may publish.
const PUBLISHES_MAX: usize = 64;
/// Bytes of an error's message and details: an error stays under 8 KiB.
const MESSAGE_BYTES_MAX: usize = 1024;
const DETAILS_BYTES_MAX: usize = 4096;
/// Bytes of a code that is none of the registry's.
const CODE_BYTES_MAX: usize = 64;

/// What is to be done with an answer.
#[derive(Debug)]
pub(crate) struct Said {
    /// The members of the reply's `data`, or the error.
    pub(crate) reply: Result<Vec<u8>, CommandError>,
    /// What it wants published, each an object in the server API's shape; what is none fails alone.
    pub(crate) publish: Vec<Box<RawValue>>,
}

/// An answer that says more than what the reply is.
#[derive(Debug, Default, Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    reply: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    publish: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct Refusal<'a> {
    code: Option<String>,
    message: Option<String>,
    #[serde(borrow)]
    details: Option<&'a RawValue>,
    recoverable: Option<bool>,
}

/// Reads an answer to an event.
///
/// # Errors
/// [`Failure`] when it is none of those that the documentation names.
pub(crate) fn read(answer: &Answer) -> Result<Said, Failure> {
    let body = answer.body.trim_ascii();
    if !answer.status.is_success() {
        return Ok(Said { reply: Err(refused(answer.status, body)), publish: Vec::new() });
    }
    if body.is_empty() {
        return Ok(Said { reply: Ok(Vec::new()), publish: Vec::new() });
    }
    let whole: &RawValue = serde_json::from_slice(body).map_err(|_| Failure::Malformed)?;
    let whole_members = members(whole).ok_or(Failure::Malformed)?;
    let Envelope { reply, error, publish } = serde_json::from_slice(body).map_err(|_| Failure::Malformed)?;
    let reply = match (reply, error) {
        (_, Some(error)) => Err(read_error(error).ok_or(Failure::Malformed)?),
        (Some(reply), None) => Ok(members(reply).ok_or(Failure::Malformed)?),
        (None, None) if publish.is_none() => Ok(whole_members),
        (None, None) => Ok(Vec::new()),
    };
    let publish = publish.map_or(Ok(Vec::new()), read_publish)?;
    Ok(Said { reply, publish })
}

/// The text between an object's braces.
fn members(value: &RawValue) -> Option<Vec<u8>> {
    let inner = value.get().trim().strip_prefix('{')?.strip_suffix('}')?;
    Some(inner.trim().as_bytes().to_vec())
}

fn read_publish(value: &RawValue) -> Result<Vec<Box<RawValue>>, Failure> {
    let list: Vec<Box<RawValue>> = serde_json::from_str(value.get()).map_err(|_| Failure::Malformed)?;
    if list.len() > PUBLISHES_MAX { Err(Failure::Malformed) } else { Ok(list) }
}

/// What the client is told of a request that the backend refused by its status.
pub(super) fn refused(status: StatusCode, body: &[u8]) -> CommandError {
    let envelope: Envelope<'_> = serde_json::from_slice(body).unwrap_or_default();
    if let Some(error) = envelope.error.and_then(read_error) {
        return error;
    }
    let (code, message) = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            (ErrorCode::PermissionDenied, "the backend does not allow this")
        }
        _ => (ErrorCode::InvalidPayload, "the backend does not take this"),
    };
    CommandError::new(code, message).with("status", Detail::Number(status.as_u16().into()))
}

/// Reads an error of a backend's; `None` when it is no object of that kind.
pub(super) fn read_error(value: &RawValue) -> Option<CommandError> {
    let Refusal { code, message, details, recoverable } = serde_json::from_str(value.get()).ok()?;
    let known = code.as_deref().and_then(|code| ErrorCode::ALL.into_iter().find(|it| it.name() == code));
    let message = message.map_or("the backend refused this".to_owned(), |text| cut(text, MESSAGE_BYTES_MAX));
    let mut error = CommandError::new(known.unwrap_or(ErrorCode::ClientError), message);
    error.recoverable = recoverable;
    if let (None, Some(code)) = (known, code) {
        error = error.with("code", Detail::Text(cut(code, CODE_BYTES_MAX).into()));
    }
    let details =
        details.filter(|details| details.get().len() <= DETAILS_BYTES_MAX && details.get() != "null");
    if let Some(details) = details {
        let members: serde_json::Map<String, serde_json::Value> = serde_json::from_str(details.get()).ok()?;
        let taken = known.is_none();
        for (key, value) in members.into_iter().filter(|(key, _)| !(taken && key == "code")) {
            error = error.with(key, Detail::Json(value.to_string().into()));
        }
    }
    Some(error)
}

/// The beginning of a text.
fn cut(mut text: String, bytes_max: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes_max));
    text
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use hyper::HeaderMap;

    use super::*;

    fn answer(status: u16, body: &str) -> Result<Said, Failure> {
        let status = StatusCode::from_u16(status).expect("a status");
        read(&Answer { status, headers: HeaderMap::new(), body: Bytes::copy_from_slice(body.as_bytes()) })
    }

    fn reply(status: u16, body: &str) -> Result<String, String> {
        let said = answer(status, body).map_err(|failure| failure.reason().to_owned())?;
        let members = said.reply.map_err(|error| {
            let details: Vec<_> =
                error.details.iter().map(|(key, value)| format!("{key}={value:?}")).collect();
            format!(
                "{} {} {} {}",
                error.code.name(),
                error.message,
                details.join(","),
                error.is_recoverable()
            )
        })?;
        Ok(String::from_utf8(members).expect("UTF-8"))
    }

    #[test]
    fn an_object_is_the_reply_unless_it_says_which_part_is() {
        assert_eq!(reply(200, r#" {"url": "x", "n": 1e999} "#).as_deref(), Ok(r#""url": "x", "n": 1e999"#));
        assert_eq!(reply(200, r#"{"reply":{"a":1}, "b":2}"#).as_deref(), Ok(r#""a":1"#));
        assert_eq!(reply(200, r#"{"reply":{"error":1}}"#).as_deref(), Ok(r#""error":1"#));
        assert_eq!(reply(200, r#"{"publish":[{}]}"#).as_deref(), Ok(""));
        assert_eq!(reply(200, r#"{"publish":[]}"#).as_deref(), Ok(""));
        for empty in [("204", ""), ("200", ""), ("200", "{}"), ("202", " \n")] {
            assert_eq!(reply(empty.0.parse().expect("a number"), empty.1).as_deref(), Ok(""));
        }
        assert_eq!(answer(200, r#"{"publish":[{"roomId":"a"},7]}"#).expect("good").publish.len(), 2);
    }

    #[test]
    fn what_is_no_answer_is_malformed() {
        let too_many = format!(r#"{{"publish":[{}{{}}]}}"#, "{},".repeat(PUBLISHES_MAX));
        for body in [
            "[]",
            "null",
            "7",
            "{",
            "<html>",
            r#"{"reply":7}"#,
            r#"{"reply":[]}"#,
            r#"{"publish":{}}"#,
            r#"{"error":"no"}"#,
            "{\"a\":\"\n\"}",
            r#"{"reply":{},"reply":{}}"#,
            &too_many,
        ] {
            assert_eq!(reply(200, body), Err("malformed".to_owned()), "{body}");
        }
        assert_eq!(answer(200, "{\"a\":\"\u{fffd}\"}").map(|_| ()), Ok(()));
    }

    #[test]
    fn errors_are_the_registrys_and_other_codes_are_details() {
        let known = r#"{"error":{"code":"RATE_LIMITED","message":"slow","details":{"retryAfterMs":5}}}"#;
        assert_eq!(reply(200, known), Err(r#"RATE_LIMITED slow retryAfterMs=Json("5") true"#.to_owned()));
        let other = r#"{"error":{"code":"TOO_BIG","recoverable":false,"details":{"code":1,"b":[2]}}}"#;
        let expected = r#"CLIENT_ERROR the backend refused this code=Text("TOO_BIG"),b=Json("[2]") false"#;
        assert_eq!(reply(422, other), Err(expected.to_owned()));
        assert_eq!(reply(200, other), Err(expected.to_owned()));
    }

    #[test]
    fn a_status_alone_says_what_is_wrong() {
        let told = |status| reply(status, "no").expect_err("refused");
        assert!(told(403).starts_with("PERMISSION_DENIED") && told(401).starts_with("PERMISSION_DENIED"));
        assert!(told(400).starts_with("INVALID_PAYLOAD") && told(404).contains("status=Number(404)"));
    }

    #[test]
    fn what_is_too_long_is_cut() {
        let long = format!(
            r#"{{"error":{{"code":"{0}","message":"{0}","details":{{"a":"{0}"}}}}}}"#,
            "ä".repeat(5000)
        );
        let said = answer(200, &long).expect("an error").reply.expect_err("an error");
        assert!(said.message.len() <= MESSAGE_BYTES_MAX && said.details.len() == 1, "{said:?}");
    }
}
