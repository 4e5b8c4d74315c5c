//! Files that a test gives to the gateway.

use std::path::PathBuf;

/// A file of this test process, removed on drop.
pub(crate) struct TemporaryFile(PathBuf);

impl TemporaryFile {
    /// Writes the text to a file of that name.
    pub(crate) fn with(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("roomcast-test-{}-{name}", std::process::id()));
        std::fs::write(&path, text).expect("the temporary folder is writable");
        Self(path)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
