//! The listeners of a file, written down again for `roomcast config`.

use toml::{Table, Value};

use super::{FileListeners, KEYS, SOURCE_KEYS};
use crate::settings::print::comment;

impl FileListeners {
    /// Writes the manual of listeners, and the tables as the file had them, less what may hold secrets.
    pub(in crate::settings) fn render(&self, out: &mut String) {
        out.push_str("\n# LISTENERS\n\n");
        comment(
            out,
            "Who is told of what, each a table [[listeners]]. docs/listeners.md has the gateway's own events, and what \
             receivers get.",
        );
        for (key, _, help) in KEYS {
            comment(out, &format!("{key}: {help}"));
        }
        out.push_str("#\n");
        comment(
            out,
            "Events of the application also come from a stream of a Redis, with a table [events.redis].",
        );
        for (key, help) in SOURCE_KEYS {
            comment(out, &format!("{key}: {help}"));
        }
        if let Some(events) = &self.events {
            let mut events = events.clone();
            if let Some(Value::Table(redis)) = events.get_mut("redis") {
                hide(out, redis, "events.redis");
            }
            table(out, "events", Value::Table(events));
        }
        let mut tables = self.tables.clone();
        for listener in &mut tables {
            hide(out, listener, "a listener");
        }
        if !tables.is_empty() {
            table(out, "listeners", Value::Array(tables.into_iter().map(Value::Table).collect()));
        }
    }
}

/// Leaves out what may hold a secret, and says so.
fn hide(out: &mut String, table: &mut Table, of: &str) {
    if table.remove("headers").is_some() {
        comment(out, &format!("The headers of {of} are left out here."));
    }
    let url = table.get("url").and_then(Value::as_str);
    if url.is_some_and(|url| url.starts_with("redis") && url.contains('@')) {
        table.insert("url".to_owned(), "redis://...".into());
        comment(out, &format!("The url of {of} names who we are there, and is left out here."));
    }
}

fn table(out: &mut String, key: &str, value: Value) {
    out.push('\n');
    out.push_str(&Table::from_iter([(key.to_owned(), value)]).to_string());
}
