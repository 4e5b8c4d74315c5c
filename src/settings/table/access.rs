//! Who clients are and what they may do: the settings of authentication and of the rule table.

use super::{Kind, Setting, list, one, unset};

/// Settings of tokens, and of how connections begin.
pub(super) const AUTH: &[Setting] = &[
    one(
        "auth",
        "required|off",
        "required",
        "Whether clients need a token (JWT). off makes everybody an anonymous employee: for benchmarks and private \
         networks only.",
    ),
    Setting {
        name: "jwt-secret",
        value: "SECRET",
        kind: Kind::Secret,
        default: None,
        help: "Secret that tokens are signed with (HS256), at least 32 bytes. Other users of the host can see flags: \
               prefer the environment or --jwt-secret-file.",
    },
    unset(
        "jwt-secret-file",
        "FILE",
        "File with the secret that tokens are signed with; one line end at its end is not part of it.",
    ),
    unset("jwt-public-key-file", "FILE", "File with the RSA, EC or Ed25519 public key (PEM) of the issuer."),
    unset("jwks", "FILE", "File with a JSON Web Key Set; a token's kid selects the key."),
    unset(
        "jwt-algorithm",
        "ALGORITHM",
        "Algorithm of the key: HS256, HS384, HS512, RS256, RS384, RS512, PS256, ES256, ES384 or EdDSA; a token with \
         another one is refused. Unset: HS256 for a secret, RS256 for an RSA key, by curve for the others, and \
         what a JWKS says.",
    ),
    unset("jwt-issuer", "TEXT", "The iss that tokens must have. Unset: any."),
    list("jwt-audience", "TEXT", ',', None, "The aud that tokens must have, one of these. Unset: any."),
    one("jwt-leeway", "DURATION", "0s", "By how much the clocks of issuer and gateway may differ."),
    one("auth-timeout", "DURATION", "10s", "Time within which a connection must have authenticated."),
    one(
        "auth-expiring-lead",
        "DURATION",
        "60s",
        "How long before a token's end its connection is told with auth:expiring.",
    ),
    one(
        "profile",
        "NAME",
        "native",
        "Profile of connections that name none with ?profile=: native, chat, channel, t3, support, topic or \
         one of the file.",
    ),
];

/// Settings of the rule table.
pub(super) const RULES: &[Setting] = &[
    list(
        "role-events",
        "ROLE=EVENTS",
        ' ',
        None,
        "What a role (guest, employee or supervisor) may do, in place of its default: canonical names of events, \
         separated by commas, forward for those that only a route knows, or * for all of them; permissions of a token add to it. auth, auth:refresh and ping are \
         always allowed. May be repeated for other roles, or separated by spaces.",
    ),
    list(
        "room-access",
        "PATTERN=ROLES",
        ' ',
        None,
        "Roles that may enter the rooms that match, separated by commas; with none only a token or a permission lets \
         in. The first match counts; else employees and supervisors may. Not for user: and account: rooms. May be \
         repeated, or separated by spaces.",
    ),
];
