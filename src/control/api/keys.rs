//! The keys of `--api-key-file`: who may use the server API by a secret that it shares with the gateway.
//!
//! Only digests are kept, and all of them are compared with that of what was presented, each in constant time: so the
//! time that a comparison takes tells nothing of a key, nor of how many there are before it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};

/// Bytes of the shortest key that is accepted.
const KEY_BYTES_MIN: usize = 16;
/// Bytes of the longest.
const KEY_BYTES_MAX: usize = 512;
/// Keys of a file.
const KEYS_MAX: usize = 256;

/// One key.
struct Key {
    name: Arc<str>,
    digest: [u8; 32],
}

/// The keys of a file.
pub(crate) struct Keys(Vec<Key>);

/// Why a file of keys cannot be used; no text of a key is in it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyFileError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It has no key.
    #[error("has no key")]
    Empty,
    /// It has too many.
    #[error("has more than {KEYS_MAX} keys")]
    TooMany,
    /// A line is no key.
    #[error("line {0}: {1}")]
    Line(usize, &'static str),
}

impl Keys {
    /// Reads the lines of a file: `name:key` or `key`, blank lines and those that begin with `#` left out.
    ///
    /// # Errors
    /// [`KeyFileError`] with the first line that is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, KeyFileError> {
        let mut keys: Vec<Key> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, key) = match line.split_once(':') {
                Some((name, key)) => (name.trim().to_owned(), key.trim()),
                None => (format!("key-{}", keys.len() + 1), line),
            };
            let wrong = |what| Err(KeyFileError::Line(number, what));
            if name.is_empty() {
                return wrong("the name before : is empty");
            }
            if !(KEY_BYTES_MIN..=KEY_BYTES_MAX).contains(&key.len()) {
                return wrong("a key has 16 to 512 characters");
            }
            if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                return wrong("a key is of printable ASCII without spaces");
            }
            if keys.iter().any(|known| *known.name == *name) {
                return wrong("the name is there already");
            }
            keys.push(Key { name: name.into(), digest: hash(key) });
        }
        match keys.len() {
            0 => Err(KeyFileError::Empty),
            1..=KEYS_MAX => Ok(Self(keys)),
            _ => Err(KeyFileError::TooMany),
        }
    }

    /// The name of the key that was presented, if it is one.
    fn find(&self, presented: &str) -> Option<Arc<str>> {
        let presented = hash(presented);
        let mut found = None;
        for key in &self.0 {
            if verify_slices_are_equal(&key.digest, &presented).is_ok() {
                found = Some(&key.name);
            }
        }
        found.cloned()
    }
}

fn hash(key: &str) -> [u8; 32] {
    let digest = digest(&SHA256, key.as_bytes());
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

impl fmt::Debug for Keys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.0.iter().map(|key| &key.name)).finish()
    }
}

/// A file of keys, which can be read again.
#[derive(Debug)]
pub(crate) struct KeyFile {
    path: PathBuf,
    keys: RwLock<Arc<Keys>>,
}

impl KeyFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`KeyFileError`] when it cannot be used.
    pub(crate) fn open(path: PathBuf) -> Result<Self, KeyFileError> {
        let keys = Keys::parse(&std::fs::read_to_string(&path)?)?;
        Ok(Self { path, keys: RwLock::new(Arc::new(keys)) })
    }

    /// Reads the file again. A file that cannot be used changes nothing.
    pub(crate) fn reload(&self) {
        let read = std::fs::read_to_string(&self.path).map_err(KeyFileError::from);
        match read.and_then(|text| Keys::parse(&text)) {
            Ok(keys) => {
                tracing::info!(event = "api_keys_reloaded", keys = keys.0.len());
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
            }
            Err(error) => {
                let path = self.path.display();
                tracing::error!(event = "api_keys_not_reloaded", %path, %error, "the former keys stay");
            }
        }
    }

    /// The name of the key that was presented, if it is one.
    pub(super) fn find(&self, presented: &str) -> Option<Arc<str>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).find(presented)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef";

    #[test]
    fn keys_have_names_and_comments_are_skipped() {
        let keys = Keys::parse(&format!("# all of them\n\nbilling: {KEY}x \n{KEY}y\r\n")).unwrap();
        assert_eq!(format!("{keys:?}"), r#"["billing", "key-2"]"#);
        assert_eq!(keys.find(&format!("{KEY}x")).as_deref(), Some("billing"));
        assert_eq!(keys.find(&format!("{KEY}y")).as_deref(), Some("key-2"));
        for wrong in ["", KEY, "billing", &format!("{KEY}x "), &format!("{KEY}X")] {
            assert_eq!(keys.find(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_file_that_is_wrong_names_the_line_and_no_key() {
        for (text, error) in [
            ("", "has no key"),
            ("# a\nshort", "line 2: a key has 16 to 512 characters"),
            ("a:0123456789abcdef\na:0123456789abcdeg", "line 2: the name is there already"),
            (":0123456789abcdef", "line 1: the name before : is empty"),
            ("0123456789 abcdef", "line 1: a key is of printable ASCII without spaces"),
        ] {
            assert_eq!(Keys::parse(text).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn what_is_compared_are_digests_of_one_length() {
        let keys = Keys::parse(KEY).unwrap();
        assert!(verify_slices_are_equal(&keys.0[0].digest, &hash(KEY)).is_ok());
        assert!(verify_slices_are_equal(&keys.0[0].digest, &hash("0")).is_err());
        assert_eq!(hash("0").len(), hash(&"0".repeat(1000)).len());
    }

    #[test]
    fn a_broken_file_keeps_the_former_keys() {
        let path = std::env::temp_dir().join(format!("roomcast-keys-{}", std::process::id()));
        std::fs::write(&path, KEY).unwrap();
        let file = KeyFile::open(path.clone()).unwrap();
        std::fs::write(&path, "short").unwrap();
        file.reload();
        assert!(file.find(KEY).is_some());
        std::fs::write(&path, format!("{KEY}2")).unwrap();
        file.reload();
        assert!(file.find(KEY).is_none() && file.find(&format!("{KEY}2")).is_some());
        std::fs::remove_file(&path).unwrap();
        file.reload();
        assert!(file.find(&format!("{KEY}2")).is_some());
    }
}
