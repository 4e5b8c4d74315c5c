//! The node itself: what it counts, and how it is.

use roomcast_shards::protocol::error_code::{CommandError, Detail, ErrorCode};
use serde_json::{Value as Json, json};

use super::super::super::cluster::node_name;
use super::super::super::host_name;
use super::super::super::inquiries::health_of;
use super::super::super::stats::Stats;
use super::super::Api;
use super::super::answer::{Answer, Failure};
use super::super::call::Call;

impl Api {
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
        // It is asked where there is no other node; see `spread`.
        written(&json!({ "engine": "memory", "nodes": [self.describe().await] }))
    }

    async fn describe(&self) -> Json {
        let snapshot = self.gateway.snapshots.take().await;
        let sum = |read: fn(&roomcast_shards::metrics::Metrics) -> u64| {
            snapshot.shards.iter().map(read).sum::<u64>()
        };
        let mut described = json!({
            "name": host_name(),
            "addresses": self.gateway.addresses,
            "version": env!("CARGO_PKG_VERSION"),
            "uptimeMs": u64::try_from(self.gateway.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "shards": snapshot.shards.len(),
            "connections": sum(|shard| shard.connections),
            "users": sum(|shard| shard.users_online),
            "rooms": sum(|shard| shard.rooms),
            "loadPercent": snapshot.shards.iter().map(|shard| shard.load_percent).max().unwrap_or_default(),
            "tenancy": if self.config.tenancy { "account" } else { "none" },
            "health": health_of(&self.gateway, &snapshot),
        });
        if let Some(node) = self.config.node {
            described["id"] = node_name(node).into();
        }
        described
    }
}

pub(in super::super) fn written(value: &impl serde::Serialize) -> Result<Answer, Failure> {
    let json = serde_json::to_vec(value).map_err(|error| {
        tracing::error!(event = "api_answer_failed", %error);
        CommandError::new(ErrorCode::ServerError, "the answer cannot be written")
            .with("component", Detail::Text("control".into()))
    })?;
    Ok(Answer::new(200, json))
}
