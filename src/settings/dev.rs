//! `roomcast dev`: the settings of `serve` with defaults that need no set-up, and users to try it with.

use std::fmt;

use super::keys::{self, algorithm};
use super::{SettingError, Settings, read, with_keys, without_keys};
use crate::args::TypedSettings;
use crate::host::Host;
use crate::token::{self, MintClaims};

/// What `dev` mints tokens for, and for how long.
const DEV_USERS: [&str; 2] = ["alice", "bob"];
const DEV_TOKEN_TTL_S: u64 = 24 * 3600;

/// What `roomcast dev` offers to whoever tries it.
#[derive(Debug)]
pub(crate) struct DevMode {
    /// Users with ready tokens.
    pub(crate) users: Vec<DevUser>,
}

/// A user to try things with. Its `Debug` shows no token.
pub(crate) struct DevUser {
    /// The user's id.
    pub(crate) name: String,
    /// A token that this process accepts for a day.
    pub(crate) token: String,
}

impl fmt::Debug for DevUser {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("DevUser").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The settings of `roomcast dev`: those of `serve` with defaults that need no set-up.
///
/// # Errors
/// As [`super::serve`].
pub(crate) fn dev(typed: TypedSettings) -> Result<Settings, SettingError> {
    let mut layers = read(typed)?;
    layers.set_default("listen", "127.0.0.1:3000");
    layers.set_default("log-format", "text");
    if keys::secret(&layers)?.is_none() {
        let random: [u8; 32] = rand::random();
        let secret: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        layers.set_default("jwt-secret", &secret);
    }
    let mut settings = with_keys(&layers, without_keys(&layers, &Host::read())?)?;
    let secret = keys::secret(&layers)?.expect("one was set above");
    let signing = layers.parse_option("jwt-algorithm", algorithm)?.unwrap_or_default();
    let user = |name: &str| {
        let claims = MintClaims {
            account_id: Some("dev".to_owned()),
            iss: layers.texts("jwt-issuer").last().cloned(),
            aud: layers.texts("jwt-audience").to_vec(),
            ..MintClaims::new(name, token::now_unix_s(), DEV_TOKEN_TTL_S)
        };
        let token =
            token::mint(&secret, signing, &claims).map_err(|error| layers.error("jwt-algorithm", error))?;
        Ok(DevUser { name: name.to_owned(), token })
    };
    settings.dev = Some(DevMode { users: DEV_USERS.into_iter().map(user).collect::<Result<_, _>>()? });
    Ok(settings)
}
