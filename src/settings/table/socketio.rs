//! Settings of the Socket.IO dialect.

use super::{Kind, Setting, list, one};

pub(super) const SOCKET_IO: &[Setting] = &[
    one(
        "socketio-ping-interval",
        "DURATION",
        "25s",
        "Time from a Socket.IO client's answer to a ping until the next ping; clients are told.",
    ),
    one(
        "socketio-ping-timeout",
        "DURATION",
        "20s",
        "Time that a Socket.IO client has to answer a ping, else its transport is closed; clients are told.",
    ),
    one(
        "socketio-connect-timeout",
        "DURATION",
        "45s",
        "Time within which a Socket.IO client must have connected to a namespace, else its transport is closed.",
    ),
    one(
        "socketio-max-payload",
        "SIZE",
        "1000000B",
        "Largest body of one polling request; clients are told, and send several. A message is bounded by \
         --max-message-size besides.",
    ),
    one("socketio-max-attachments", "NUMBER", "10", "Binary attachments that one Socket.IO event may have."),
    list(
        "socketio-namespaces",
        "/NAME",
        ',',
        None,
        "Namespaces that Socket.IO clients may connect to beside /; each has rooms, users and presence of its own. May \
         be repeated, or separated by commas.",
    ),
    Setting {
        name: "socketio-emitter",
        value: "URL",
        kind: Kind::Secret,
        default: None,
        help: "Redis that backends emit through with @socket.io/redis-emitter; what they emit reaches clients of all \
               dialects. Not with --tenancy account.",
    },
    one(
        "socketio-emitter-key",
        "TEXT",
        "socket.io",
        "What the channels of those emitters begin with, as their option key says.",
    ),
    Setting {
        name: "socketio-echo",
        value: "BOOL",
        kind: Kind::Switch,
        default: Some("false"),
        help: "Serves at /socket.io/ and /engine.io/ the echo that the protocols' conformance suites expect, without \
               authentication and in place of the gateway.",
    },
];
