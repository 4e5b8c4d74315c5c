//! The log: one line a record on standard error, written by a thread of its own.
//!
//! Whoever logs never waits: records go through a bounded queue, and what does not fit is dropped and counted
//! ([`dropped_logs`]). `format` turns a record into its line; nothing that a client sent reaches a terminal unescaped.

mod format;

use std::io::Write;
use std::sync::OnceLock;

use tracing::{Event, Subscriber};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// Records that may wait for standard error; a record is some hundred bytes, 16 KiB at most.
const QUEUE_RECORDS_MAX: usize = 8192;

static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// The form of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// An object a line, for machines.
    Json,
    /// A line for people.
    Text,
}

/// How to log.
#[derive(Debug, Clone)]
pub(crate) struct LogSettings {
    /// The form of a record.
    pub(crate) format: LogFormat,
    /// What is logged at all.
    pub(crate) level: Targets,
}

/// Starts the log. The guard writes what is still queued when it is dropped, so keep it until the exit.
///
/// Starts a thread: whatever all threads should inherit, such as blocked signals, comes before.
pub(crate) fn init(settings: &LogSettings) -> WorkerGuard {
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(QUEUE_RECORDS_MAX)
        .lossy(true)
        .thread_name("log")
        .finish(std::io::stderr());
    DROPPED.get_or_init(|| writer.error_counter());
    let layer = LineLayer { format: settings.format, writer };
    let subscriber = Registry::default().with(layer.with_filter(settings.level.clone()));
    // A second call, as tests may make, keeps the first log.
    let _ = tracing::subscriber::set_global_default(subscriber);
    guard
}

/// Records dropped so far because standard error was slower than the process.
pub(crate) fn dropped_logs() -> u64 {
    DROPPED.get().map_or(0, |counter| counter.dropped_lines() as u64)
}

/// Reads `--log-level`: a level, and `target=level` for parts of the program, separated by commas.
///
/// # Errors
/// The text for the operator.
pub(crate) fn parse_level(text: &str) -> Result<Targets, String> {
    const LEVELS: [&str; 5] = ["trace", "debug", "info", "warn", "error"];
    // A lone word would be taken for a target, and a slip in a level would then log nearly nothing.
    let is_level = |part: &str| LEVELS.contains(&part.rsplit('=').next().unwrap_or(part));
    if !text.split(',').all(is_level) {
        return Err(format!("expected trace, debug, info, warn, error or target=level, got {text:?}"));
    }
    text.parse().map_err(|_| format!("expected levels and target=level with commas between, got {text:?}"))
}

/// Writes each event as one line.
struct LineLayer<W> {
    format: LogFormat,
    writer: W,
}

impl<S: Subscriber, W: Write + Clone + 'static> Layer<S> for LineLayer<W>
where
    Self: 'static,
{
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let record = format::Record::read(event, jiff::Timestamp::now());
        let line = match self.format {
            LogFormat::Json => record.json(),
            LogFormat::Text => record.text(),
        };
        // One write is one record in the queue; there is nowhere to report a log that cannot be written.
        let _ = self.writer.clone().write_all(line.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no panic while writing").write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is written while `log` runs.
    fn logged(format: LogFormat, level: &str, log: impl FnOnce()) -> String {
        let sink = Sink::default();
        let layer = LineLayer { format, writer: sink.clone() };
        let level = parse_level(level).expect("a level");
        tracing::subscriber::with_default(Registry::default().with(layer.with_filter(level)), log);
        let bytes = sink.0.lock().expect("no panic while writing").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn json_has_the_documented_keys() {
        let text = logged(LogFormat::Json, "info", || {
            tracing::info!(user_id = "alice", room_id = %"lobby", bytes = 7, ratio = 0.5, ok = true, "joined");
        });
        assert!(text.starts_with("{\"timestamp\":\"20"), "{text}");
        let mut record: Value = serde_json::from_str(&text).expect("an object");
        let timestamp = record["timestamp"].take();
        let timestamp = timestamp.as_str().expect("text");
        assert!(timestamp.len() == 24 && timestamp.ends_with('Z'), "{timestamp}");
        let expected = json!({
            "timestamp": null, "level": "info", "event": "joined", "userId": "alice", "channelId": "lobby",
            "metadata": {"bytes": 7, "ratio": 0.5, "ok": true},
        });
        assert_eq!(record, expected);
    }

    #[test]
    fn an_event_field_names_the_event_and_empty_keys_are_left_out() {
        let text = logged(LogFormat::Json, "info", || tracing::warn!(event = "slow", "text of the message"));
        let record: Value = serde_json::from_str(&text).expect("an object");
        assert_eq!(record["event"], "slow");
        assert_eq!(record["level"], "warn");
        assert_eq!(record["metadata"], json!({"message": "text of the message"}));
        let text = logged(LogFormat::Json, "info", || tracing::error!("down"));
        let record: Value = serde_json::from_str(&text).expect("an object");
        assert_eq!(record.as_object().expect("an object").len(), 3);
    }

    #[test]
    fn control_characters_are_escaped_in_both_forms() {
        let nasty = "a\nb\u{1b}[31m\"q\"\\\u{7f}\u{9b}\u{202e}\r\0";
        for format in [LogFormat::Json, LogFormat::Text] {
            let text = logged(format, "info", || {
                tracing::info!(user_id = nasty, reason = ?nasty, detail = %nasty, "{nasty}");
            });
            let line = text.strip_suffix('\n').expect("a whole line");
            assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}'), "{line:?}");
            if format == LogFormat::Json {
                let record: Value = serde_json::from_str(line).expect("an object");
                assert_eq!(record["userId"], nasty);
                assert_eq!(record["event"], nasty);
                assert_eq!(record["metadata"]["detail"], nasty);
            }
        }
    }

    #[test]
    fn text_is_for_people() {
        let text = logged(LogFormat::Text, "info", || {
            tracing::warn!(user_id = "alice", count = 3, why = "too slow", "closed");
        });
        let (timestamp, rest) = text.split_once(' ').expect("words");
        assert_eq!(timestamp.len(), 24);
        assert_eq!(rest, "WARN  closed userId=alice count=3 why=\"too slow\"\n");
    }

    #[test]
    fn long_values_are_cut() {
        let long = "é".repeat(10_000);
        let text = logged(LogFormat::Json, "info", || tracing::info!(long, "x"));
        assert!(text.len() < 3_000, "{}", text.len());
        assert!(serde_json::from_str::<Value>(&text).is_ok());
    }

    #[test]
    fn levels_filter_by_part() {
        let log = || {
            tracing::debug!(target: "noisy", "a");
            tracing::debug!(target: "quiet", "b");
            tracing::warn!(target: "quiet", "c");
        };
        let lines = |level| logged(LogFormat::Text, level, log).lines().count();
        assert_eq!(lines("info"), 1);
        assert_eq!(lines("info,noisy=debug"), 2);
        assert_eq!(lines("trace"), 3);
        for text in ["", "inof", "info,", "a=b", "noisy"] {
            assert!(parse_level(text).is_err(), "{text}");
        }
    }
}
