//! The routes of a file, written down again for `roomcast config`.

use toml::{Table, Value};

use super::{FileBackends, KEYS, hooks};
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
        out.push_str("\n# HOOKS\n\n");
        comment(
            out,
            "What needs a backend's leave: tables [hooks.connect], [hooks.join] and [hooks.publish], with url and most of \
             the keys of routes. Default: timeout 2s, concurrency 64, queue 4096.",
        );
        for (key, help) in hooks::KEYS {
            comment(out, &format!("{key}: {help}"));
        }
        self.render_hooks(out);
    }

    fn render_hooks(&self, out: &mut String) {
        let mut hooks = self.hook_tables.clone();
        for (kind, table) in &mut hooks {
            if table.as_table_mut().is_some_and(|table| table.remove("headers").is_some()) {
                comment(out, &format!("The headers of hooks.{kind} are left out here."));
            }
        }
        if !hooks.is_empty() {
            out.push('\n');
            out.push_str(&Table::from_iter([("hooks".to_owned(), Value::Table(hooks))]).to_string());
        }
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
