//! The routes of a file, written down again for `roomcast config`.

use toml::{Table, Value};

use super::{FileBackends, KEYS};
use crate::settings::print::comment;

impl FileBackends {
    /// Writes the manual of routes, and the tables as the file had them, less the headers, which may hold secrets.
    pub(in crate::settings) fn render(&self, out: &mut String) {
        out.push_str("\n# ROUTES\n\n");
        comment(
            out,
            "Events of clients that backends answer, each route a table [[routes]]; of several for an event the first \
             counts. docs/backends.md says what a backend gets and answers.",
        );
        for (key, help) in KEYS {
            comment(out, &format!("{key}: {help}"));
        }
        tables(out, "routes", self.tables.clone());
    }
}

fn tables(out: &mut String, key: &str, mut tables: Vec<Table>) {
    for table in &mut tables {
        if table.remove("headers").is_some() {
            comment(out, &format!("The headers of a table of {key} are left out here."));
        }
    }
    if !tables.is_empty() {
        let tables = tables.into_iter().map(Value::Table).collect();
        out.push('\n');
        out.push_str(&Table::from_iter([(key.to_owned(), Value::Array(tables))]).to_string());
    }
}
