//! Hooks: a backend's leave to connect, to enter a room, to publish (`docs/backends.md`).

use std::io;

use bytes::Bytes;
use roomcast_shards::access::permission::Additions;
use roomcast_shards::access::token::UserType;
use roomcast_shards::backend::{Asks, HookCall, HookKind, Verdict};
use roomcast_shards::protocol::error_code::{CommandError, ErrorCode};
use roomcast_shards::room::pattern::validate_name;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Node;
use super::call::Backend;
use super::failure::Failure;
use super::http_client::{Answer, HttpClient};
use super::reply::{read_error, refused};
use super::request;
use super::settings::HookSettings;

/// Permissions, and rooms, that one verdict may add, and bytes of one.
const ADDITIONS_MAX: usize = 256;
const PERMISSION_BYTES_MAX: usize = 256;
/// Bytes of the claims that one may add.
const CLAIMS_BYTES_MAX: usize = 4096;

/// One hook.
#[derive(Debug)]
pub(super) struct Hook {
    pub(super) kind: HookKind,
    pub(super) backend: Backend,
    /// Whether what it was to be asked is allowed when it does not answer.
    allows_on_failure: bool,
    include_claims: bool,
}

/// What a hook answers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said<'a> {
    allow: Option<bool>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    rooms: Option<Vec<String>>,
    permissions: Option<Vec<String>>,
    user_type: Option<String>,
    #[serde(borrow)]
    claims: Option<&'a RawValue>,
    history: Option<usize>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

impl Hook {
    pub(super) fn new(client: &HttpClient, settings: &HookSettings) -> io::Result<Self> {
        let endpoint = client.endpoint(settings.endpoint.clone())?;
        let name = format!("hooks.{}", settings.kind.name());
        Ok(Self {
            kind: settings.kind,
            backend: Backend::new(name, endpoint, settings.treatment),
            allows_on_failure: settings.allows_on_failure,
            include_claims: settings.include.claims,
        })
    }

    /// Asks for leave.
    pub(super) async fn ask(&self, node: &Node, call: &HookCall) -> Result<Verdict, CommandError> {
        let claims = self.include_claims || self.kind == HookKind::Connect;
        let body = request::hook(node, call, claims);
        let read = |answer: &_| {
            let verdict = read(&call.asks, answer)?;
            let denied = verdict.is_err();
            Ok((verdict, denied))
        };
        match self.backend.ask(body.into(), read).await {
            Ok(verdict) => verdict,
            Err(_) if self.allows_on_failure => Ok(Verdict::default()),
            Err(failure) => Err(failure.error(&self.backend.name)),
        }
    }
}

/// Reads an answer: leave, with what is changed, or why not.
fn read(asks: &Asks, answer: &Answer) -> Result<Result<Verdict, CommandError>, Failure> {
    let body = answer.body.trim_ascii();
    if !answer.status.is_success() {
        return Ok(Err(refused(answer.status, body)));
    }
    if body.is_empty() {
        return Ok(Ok(Verdict::default()));
    }
    let said: Said<'_> = serde_json::from_slice(body).map_err(|_| Failure::Malformed)?;
    if let Some(error) = said.error {
        return Ok(Err(read_error(error).ok_or(Failure::Malformed)?));
    }
    if said.allow == Some(false) {
        return Ok(Err(CommandError::new(ErrorCode::PermissionDenied, "the backend does not allow this")));
    }
    let verdict = match asks {
        Asks::Connect { .. } => Verdict { additions: additions(said)?, ..Verdict::default() },
        Asks::Join { .. } | Asks::Subscribe { .. } => {
            Verdict { history_max: said.history, ..Verdict::default() }
        }
        Asks::Publish { .. } => Verdict {
            content: said.content.map(bytes),
            metadata: said.metadata.map(object).transpose()?.map(bytes),
            ..Verdict::default()
        },
    };
    Ok(Ok(verdict))
}

fn additions(said: Said<'_>) -> Result<Additions, Failure> {
    let user_type = said.user_type.as_deref().map(|text| match text {
        "employee" => Ok(UserType::Employee),
        "guest" => Ok(UserType::Guest),
        "supervisor" => Ok(UserType::Supervisor),
        _ => Err(Failure::Malformed),
    });
    let (rooms, permissions) = (said.rooms.unwrap_or_default(), said.permissions.unwrap_or_default());
    let claims = said.claims.map(object).transpose()?.map(RawValue::get);
    let fits = rooms.len() <= ADDITIONS_MAX
        && permissions.len() <= ADDITIONS_MAX
        && permissions.iter().all(|permission| permission.len() <= PERMISSION_BYTES_MAX)
        && claims.is_none_or(|claims| claims.len() <= CLAIMS_BYTES_MAX)
        && rooms.iter().all(|room| validate_name(room).is_ok());
    if !fits {
        return Err(Failure::Malformed);
    }
    Ok(Additions { permissions, rooms, user_type: user_type.transpose()?, claims: claims.map(Into::into) })
}

fn object(value: &RawValue) -> Result<&RawValue, Failure> {
    if value.get().starts_with('{') { Ok(value) } else { Err(Failure::Malformed) }
}

fn bytes(value: &RawValue) -> Bytes {
    Bytes::copy_from_slice(value.get().as_bytes())
}

#[cfg(test)]
mod tests {
    use hyper::{HeaderMap, StatusCode};

    use super::*;

    fn verdict(asks: &Asks, status: u16, body: &str) -> Result<Result<Verdict, CommandError>, Failure> {
        let status = StatusCode::from_u16(status).expect("a status");
        let body = Bytes::copy_from_slice(body.as_bytes());
        read(asks, &Answer { status, headers: HeaderMap::new(), body })
    }

    const CONNECT: Asks = Asks::Connect { namespace: "/" };

    #[test]
    fn silence_is_leave_and_an_error_is_none() {
        for (status, body) in [(204, ""), (200, "{}"), (200, "{\"allow\":true}")] {
            assert_eq!(
                verdict(&CONNECT, status, body).expect("an answer").expect("leave"),
                Verdict::default()
            );
        }
        for (status, body, code) in [
            (200, r#"{"allow":false}"#, ErrorCode::PermissionDenied),
            (403, "", ErrorCode::PermissionDenied),
            (200, r#"{"error":{"code":"ROOM_ACCESS_DENIED"}}"#, ErrorCode::RoomAccessDenied),
            (409, r#"{"error":{"code":"BANNED"}}"#, ErrorCode::ClientError),
        ] {
            assert_eq!(verdict(&CONNECT, status, body).expect("an answer").expect_err("no").code, code);
        }
    }

    #[test]
    fn a_verdict_changes_only_what_was_asked_for() {
        let all = r#"{"rooms":["vip"],"permissions":["a"],"userType":"guest","claims":{"b":1},"history":7,"content":{"c":1e400}}"#;
        let connect = verdict(&CONNECT, 200, all).expect("an answer").expect("leave");
        assert_eq!(connect.additions.rooms, ["vip"]);
        assert_eq!(connect.additions.claims.as_deref(), Some("{\"b\":1}"));
        assert_eq!((connect.history_max, connect.content), (None, None));
        let join = verdict(&Asks::Join { room: "a".into() }, 200, all).expect("an answer").expect("leave");
        assert_eq!((join.history_max, join.additions.is_empty()), (Some(7), true));
        for body in [r#"{"rooms":["a b"]}"#, r#"{"userType":"king"}"#, r#"{"claims":7}"#, "[]", "7"] {
            assert_eq!(verdict(&CONNECT, 200, body).expect_err(body), Failure::Malformed);
        }
    }
}
