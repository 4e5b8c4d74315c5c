//! Settings of the server API.

use super::{Setting, one, unset};

pub(super) const API: &[Setting] = &[
    unset(
        "api-key-file",
        "FILE",
        "File with the keys of the server API, one a line: key or name:key, of at least 16 characters; # begins a \
         comment. Read again on SIGHUP. Unset: only tokens that name the permission server are let in.",
    ),
    one("limit-api", "RATE", "50000/1s", "Requests of the server API of each key, or of each token's user."),
    one("api-max-body", "SIZE", "1MiB", "Bytes of the body of one request of the server API."),
    one(
        "api-connections",
        "N",
        "1024",
        "Connections of callers of the server API that are kept open; further ones are closed after a minute.",
    ),
];
