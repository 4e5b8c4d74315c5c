//! Events of the application's own, which the gateway carries to the members of a room without knowing them.

use bytes::Bytes;

/// An event of the application's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppEvent {
    /// Its name, see [`is_free`].
    pub name: Box<str>,
    /// Its `data`: a JSON object, byte for byte as given.
    pub data: Bytes,
}

/// Bytes of a name.
const NAME_BYTES_MAX: usize = 64;
/// First words of the names that the gateway has events of its own by, or may yet have.
const OWNED: [&str; 12] = [
    "auth",
    "chat",
    "connection",
    "error",
    "message",
    "monitoring",
    "ping",
    "pong",
    "presence",
    "room",
    "server",
    "user",
];
/// Names that Socket.IO gives a meaning to.
const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// Whether an application may call an event so: letters, digits and `.`, `:`, `_`, `-`, `/`, and nothing that clients
/// could take for the gateway's own. `message.created` is free, `message:created` is not.
#[must_use]
pub fn is_free(name: &str) -> bool {
    let written = |byte: u8| byte.is_ascii_alphanumeric() || b".:_-/".contains(&byte);
    let first = name.split(':').next().unwrap_or_default();
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(written)
        && !OWNED.contains(&first)
        && !RESERVED.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::catalog::PUSHES;

    #[test]
    fn names_of_the_gateway_are_taken() {
        for name in ["message.created", "inbox.updated", "system:notification", "notification", "a/b:c"] {
            assert!(is_free(name), "{name}");
        }
        let long = "a".repeat(65);
        for name in ["", "a b", "a\"b", "\u{e9}", "error", "message:created", "auth", "connect", &long] {
            assert!(!is_free(name), "{name}");
        }
        for push in PUSHES {
            assert!(!is_free(push.name), "{}", push.name);
        }
    }
}
