//! The profiles of a file, written down again for `roomcast config`.

use toml::{Table, Value};

use super::{FileProfiles, KEYS};
use crate::settings::print::comment;

impl FileProfiles {
    /// Writes the manual of profiles, and the tables as the file had them. A file's tables come last: every key
    /// behind one belongs to it.
    pub(in crate::settings) fn render(&self, out: &mut String) {
        out.push_str("\n# PROFILES\n\n");
        comment(
            out,
            "Kinds of clients beside the built-in ones, each a table [profiles.NAME] with what differs from its base; \
             chosen with profile above, or by a client with ?profile=NAME.",
        );
        for (key, help) in KEYS {
            comment(out, &format!("{key}: {help}"));
        }
        if !self.tables.is_empty() {
            out.push('\n');
            let tables = Value::Table(self.tables.clone());
            out.push_str(&Table::from_iter([("profiles".to_owned(), tables)]).to_string());
        }
    }
}
