//! The node itself: what it counts, how it is, and what comes in for listeners.

use bytes::Bytes;
use roomcast_shards::protocol::error_code::{CommandError, Detail, ErrorCode};
use serde_json::{Value as Json, json};

use super::super::super::inquiries::health_of;
use super::super::super::stats::Stats;
use super::super::Api;
use super::super::answer::{Answer, Failure};
use super::super::call::Call;
use super::super::domain::DomainEvent;

/// Bytes of the name of a domain event.
const EVENT_BYTES_MAX: usize = 128;

impl Api {
    pub(super) fn event(&self, call: &Call) -> Result<Answer, Failure> {
        let namespace = call.namespace()?;
        let (name, data) = self.parse(&call.body, |value| {
            let name = value.get("name").and_then(|name| name.as_str()).unwrap_or_default();
            let written = |byte: u8| byte.is_ascii_alphanumeric() || b".:_-/".contains(&byte);
            if !(1..=EVENT_BYTES_MAX).contains(&name.len()) || !name.bytes().all(written) {
                return Err(CommandError::invalid("name", "must be 1 to 128 letters, digits and . : _ - /"));
            }
            match value.get("data").filter(|data| !data.is_null()) {
                None => Ok((name.to_owned(), Bytes::from_static(b"{}"))),
                Some(data) if data.is_object() => Ok((name.to_owned(), Bytes::copy_from_slice(data.raw()))),
                Some(_) => Err(CommandError::invalid("data", "must be an object")),
            }
        })?;
        self.events.offer(DomainEvent { name, data, namespace })?;
        Ok(Answer::new(202, br#"{"accepted":true}"#.to_vec()))
    }

    pub(super) async fn stats(&self, call: &Call) -> Result<Answer, Failure> {
        call.is_for_all()?;
        let snapshot = self.gateway.snapshots.take().await;
        written(&Stats::new(&snapshot, &self.gateway.sources, self.gateway.started.elapsed()))
    }

    pub(super) async fn node(&self, call: &Call) -> Result<Answer, Failure> {
        call.is_for_all()?;
        written(&self.describe().await)
    }

    pub(super) async fn cluster(&self, call: &Call) -> Result<Answer, Failure> {
        call.is_for_all()?;
        // The memory engine knows of no other node.
        written(&json!({ "engine": "memory", "nodes": [self.describe().await] }))
    }

    async fn describe(&self) -> Json {
        let snapshot = self.gateway.snapshots.take().await;
        let sum = |read: fn(&roomcast_shards::metrics::Metrics) -> u64| {
            snapshot.shards.iter().map(read).sum::<u64>()
        };
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "uptimeMs": u64::try_from(self.gateway.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "shards": snapshot.shards.len(),
            "connections": sum(|shard| shard.connections),
            "users": sum(|shard| shard.users_online),
            "rooms": sum(|shard| shard.rooms),
            "tenancy": if self.config.tenancy { "account" } else { "none" },
            "health": health_of(&self.gateway, &snapshot),
        })
    }
}

fn written(value: &impl serde::Serialize) -> Result<Answer, Failure> {
    let json = serde_json::to_vec(value).map_err(|error| {
        tracing::error!(event = "api_answer_failed", %error);
        CommandError::new(ErrorCode::ServerError, "the answer cannot be written")
            .with("component", Detail::Text("control".into()))
    })?;
    Ok(Answer::new(200, json))
}
