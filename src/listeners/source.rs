//! Events from a stream of a Redis: read as one consumer of a group, and acknowledged once the listeners have them.
//!
//! An entry has the fields `name` and `data`, which is an object in JSON, and may have `id` and, with tenancy, `account`;
//! without an id the entry's own is the event's. What another consumer of the group has begun and left is taken over. An entry that is no event is counted,
//! named in the log and acknowledged: it stays in the stream, and nobody could ever take it.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::streams::{StreamAutoClaimReply, StreamId, StreamReadReply};
use redis::{AsyncCommands as _, RedisError, RedisResult, cmd, from_redis_value_ref};
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep};

use super::bus::Bus;
use super::deliver::unix_ms;
use super::event::{Event, Written};
use super::settings::SourceSettings;
use crate::engine::redis::connect::Backoff;

/// Entries taken at a time.
const ENTRIES_MAX: usize = 64;
/// How long one read waits for entries; less than the time that an answer may take.
const BLOCK_MS: usize = 2_000;
/// Pause after entries that the listeners had no room for.
const NO_ROOM_PAUSE: Duration = Duration::from_millis(200);

/// Reads events for ever, and comes back whenever the Redis does.
pub(super) async fn run(settings: SourceSettings, bus: Arc<Bus>) {
    let mut backoff = Backoff::default();
    let mut away = false;
    loop {
        match settings.address.connect().await {
            Ok(mut connection) => {
                let mut reader = Reader { settings: &settings, bus: &bus, claimed: Instant::now() };
                let error = match reader.begin(&mut connection).await {
                    Ok(()) => {
                        if std::mem::take(&mut away) {
                            tracing::info!(event = "events_source_back", address = %settings.address);
                        }
                        backoff.reset();
                        reader.read(&mut connection).await
                    }
                    Err(error) => error,
                };
                tracing::warn!(event = "events_source_lost", address = %settings.address, %error);
            }
            Err(error) if !away => {
                tracing::warn!(event = "events_source_away", address = %settings.address, %error);
            }
            Err(_) => {}
        }
        away = true;
        sleep(backoff.pause()).await;
    }
}

struct Reader<'a> {
    settings: &'a SourceSettings,
    bus: &'a Bus,
    /// When what others left was looked for last.
    claimed: Instant,
}

impl Reader<'_> {
    /// Makes the group if there is none, and takes what this consumer had begun before.
    async fn begin(&mut self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        self.make_group(connection).await?;
        let mut from = "0".to_owned();
        loop {
            let entries = self.read_behind(connection, &from, None).await?;
            let Some(last) = entries.last() else { return Ok(()) };
            from.clone_from(&last.id);
            self.take(connection, entries).await?;
        }
    }

    async fn make_group(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let SourceSettings { stream, group, .. } = self.settings;
        let made: RedisResult<()> = connection.xgroup_create_mkstream(stream, group, "0").await;
        match made {
            Err(error) if error.code() == Some("BUSYGROUP") => Ok(()),
            made => made,
        }
    }

    /// Reads what is new, and what others left, until the connection is lost.
    async fn read(&mut self, connection: &mut MultiplexedConnection) -> RedisError {
        loop {
            if let Err(error) = self.read_once(connection).await {
                // Somebody has removed the stream, or the Redis came back empty behind a proxy.
                if error.code() == Some("NOGROUP") && self.make_group(connection).await.is_ok() {
                    continue;
                }
                return error;
            }
        }
    }

    async fn read_once(&mut self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let entries = self.read_behind(connection, ">", Some(BLOCK_MS)).await?;
        self.take(connection, entries).await?;
        let due = Duration::from_millis(self.settings.claim_after_ms / 2);
        if self.claimed.elapsed() >= due {
            self.claimed = Instant::now();
            self.claim(connection).await?;
        }
        Ok(())
    }

    async fn read_behind(
        &self,
        connection: &mut MultiplexedConnection,
        from: &str,
        block_ms: Option<usize>,
    ) -> RedisResult<Vec<StreamId>> {
        let SourceSettings { stream, group, consumer, .. } = self.settings;
        let mut read = cmd("XREADGROUP");
        read.arg("GROUP").arg(group).arg(consumer).arg("COUNT").arg(ENTRIES_MAX);
        if let Some(block_ms) = block_ms {
            read.arg("BLOCK").arg(block_ms);
        }
        read.arg("STREAMS").arg(stream).arg(from);
        let reply: Option<StreamReadReply> = read.query_async(connection).await?;
        let keys = reply.map_or(Vec::new(), |reply| reply.keys);
        Ok(keys.into_iter().flat_map(|key| key.ids).collect())
    }

    /// Takes over what another consumer, or this one before, has begun and not acknowledged for too long.
    async fn claim(&mut self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let SourceSettings { stream, group, consumer, claim_after_ms, .. } = self.settings;
        let mut from = "0-0".to_owned();
        loop {
            let mut claim = cmd("XAUTOCLAIM");
            claim.arg(stream).arg(group).arg(consumer).arg(claim_after_ms).arg(&from);
            claim.arg("COUNT").arg(ENTRIES_MAX);
            let reply: StreamAutoClaimReply = claim.query_async(connection).await?;
            self.take(connection, reply.claimed).await?;
            if reply.next_stream_id == "0-0" {
                return Ok(());
            }
            from = reply.next_stream_id;
        }
    }

    /// Gives entries to the listeners, and acknowledges those that they have.
    async fn take(&self, connection: &mut MultiplexedConnection, entries: Vec<StreamId>) -> RedisResult<()> {
        let mut taken = Vec::with_capacity(entries.len());
        for entry in &entries {
            match event_of(entry) {
                Ok(event) => {
                    if self.bus.take(event).await.is_err() {
                        // It is not acknowledged, so it comes again once it has waited for long enough.
                        sleep(NO_ROOM_PAUSE).await;
                        continue;
                    }
                }
                Err(error) => {
                    self.bus.unreadable.add(1);
                    tracing::warn!(event = "events_source_unreadable", entry = entry.id, error);
                }
            }
            taken.push(&*entry.id);
        }
        if taken.is_empty() {
            return Ok(());
        }
        connection.xack(&self.settings.stream, &self.settings.group, &taken).await
    }
}

/// The event that an entry is.
fn event_of(entry: &StreamId) -> Result<Event, String> {
    let field = |name: &str| -> Option<String> {
        entry.map.get(name).and_then(|value| from_redis_value_ref(value).ok())
    };
    let name = field("name").ok_or("name: is missing")?;
    let data = RawValue::from_string(field("data").ok_or("data: is missing")?);
    let data = data.map_err(|_| "data: expected an object in JSON")?;
    let id = field("id").unwrap_or_else(|| entry.id.clone());
    // An entry's id begins with when it was added.
    let at = entry.id.split('-').next().and_then(|ms| ms.parse().ok());
    Event::of_application(Written {
        id: id.into(),
        name: name.into(),
        unix_ms: at.unwrap_or_else(unix_ms),
        account: field("account").map(Into::into),
        data,
    })
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::*;

    fn entry(fields: &[(&str, &str)]) -> StreamId {
        let map = fields.iter().map(|(name, value)| ((*name).to_owned(), Value::BulkString((*value).into())));
        StreamId { id: "1700000000000-3".to_owned(), map: map.collect(), ..StreamId::default() }
    }

    #[test]
    fn an_entry_is_an_event_or_says_why_not() {
        let event = event_of(&entry(&[("name", "a.b"), ("data", "{\"n\":1}")])).expect("an event");
        assert_eq!((&*event.id, event.unix_ms), ("1700000000000-3", 1_700_000_000_000));
        let event = event_of(&entry(&[("name", "a"), ("data", "{}"), ("id", "e-7")])).expect("an event");
        assert_eq!(&*event.id, "e-7");
        for (fields, what) in [
            (&[("data", "{}")][..], "name"),
            (&[("name", "a")][..], "data"),
            (&[("name", "a"), ("data", "{")][..], "data"),
            (&[("name", "a"), ("data", "[]")][..], "data"),
            (&[("name", "gateway.connected"), ("data", "{}")][..], "name"),
        ] {
            let error = event_of(&entry(fields)).expect_err("no event");
            assert!(error.starts_with(what), "{error}");
        }
    }
}
