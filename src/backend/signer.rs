//! The secrets of one backend, which can be exchanged while the gateway runs.

use std::sync::{Arc, PoisonError, RwLock};

use super::signature::Secrets;
use crate::settings::read_key;

/// Signs what one backend is sent.
#[derive(Debug, Default)]
pub(crate) struct Signer {
    /// Whose secrets they are, and the file that holds them; a variable of the environment cannot change.
    file: Option<(String, String)>,
    secrets: RwLock<Arc<Secrets>>,
}

impl Signer {
    /// Signs with these secrets for good.
    pub(crate) fn new(secrets: Secrets) -> Self {
        Self { file: None, secrets: RwLock::new(Arc::new(secrets)) }
    }

    /// Signs with the secrets of a file.
    ///
    /// # Errors
    /// The text for the operator when it holds none.
    pub(crate) fn of_file(whose: &str, path: &str) -> Result<Self, String> {
        let secrets = read(path)?;
        Ok(Self { file: Some((whose.to_owned(), path.to_owned())), ..Self::new(secrets) })
    }

    /// Reads the file again. One that cannot be used changes nothing.
    pub(crate) fn reload(&self) {
        let Some((whose, path)) = &self.file else { return };
        match read(path) {
            Ok(secrets) => {
                tracing::info!(event = "secrets_reloaded", %whose, secrets = secrets.len());
                *self.secrets.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(secrets);
            }
            Err(error) => {
                tracing::error!(event = "secrets_not_reloaded", %whose, %error, "the former secrets stay");
            }
        }
    }

    /// The value of [`SIGNATURE`](super::signature::SIGNATURE) for a body that is sent at that time, if there is a secret.
    pub(crate) fn sign(&self, unix_s: u64, body: &[u8]) -> Option<String> {
        let secrets = Arc::clone(&self.secrets.read().unwrap_or_else(PoisonError::into_inner));
        (!secrets.is_empty()).then(|| secrets.sign(unix_s, body))
    }
}

fn read(path: &str) -> Result<Secrets, String> {
    read_key(path).and_then(|text| Secrets::read(&text).map_err(|error| format!("{path} {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_used_keeps_the_former_secrets() {
        let path = std::env::temp_dir().join(format!("roomcast-signer-{}", std::process::id()));
        let text = path.to_str().expect("UTF-8");
        std::fs::write(&path, "first").unwrap();
        let signer = Signer::of_file("routes.shop", text).expect("a secret");
        let first = signer.sign(7, b"{}");
        assert_eq!(first, Some(Secrets::read(b"first").unwrap().sign(7, b"{}")));
        std::fs::write(&path, "\n").unwrap();
        signer.reload();
        assert_eq!(signer.sign(7, b"{}"), first);
        std::fs::write(&path, "second").unwrap();
        signer.reload();
        assert_eq!(signer.sign(7, b"{}"), Some(Secrets::read(b"second").unwrap().sign(7, b"{}")));
        std::fs::remove_file(&path).unwrap();
        signer.reload();
        assert_ne!(signer.sign(7, b"{}"), first);
        assert_eq!(Signer::default().sign(7, b"{}"), None);
    }
}
