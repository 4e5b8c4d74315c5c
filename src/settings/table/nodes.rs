//! Settings of installations with several nodes.

use super::{Kind, Setting, one};

pub(super) const NODES: &[Setting] = &[
    Setting {
        name: "engine",
        value: "URL",
        kind: Kind::Secret,
        default: Some("memory"),
        help: "Where rooms are ordered and remembered: memory (this process alone), or a Redis or Valkey that several \
               nodes share: redis://[user][:password@]host[:port][/database], rediss://… with TLS. A gateway whose \
               Redis goes away serves on alone, says so (degraded), and joins the others again.",
    },
    one(
        "engine-prefix",
        "NAME",
        "roomcast",
        "What all names in Redis begin with: nodes of one installation share it, other installations have another.",
    ),
    one(
        "engine-lease",
        "DURATION",
        "10s",
        "How long a node counts as alive that does not say so. The users of one that was killed are offline after \
         it, or up to a third of it later.",
    ),
];
