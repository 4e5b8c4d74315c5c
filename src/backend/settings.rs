//! What the configuration says of backends, checked.

use std::sync::Arc;
use std::time::Duration;

use roomcast_shards::backend::HookKind;

use super::breaker::BreakerSettings;
use super::call::Treatment;
use super::http_client::EndpointSettings;
use super::request::Include;
use super::signer::Signer;
use crate::settings::SecretSource;

/// All backends of the configuration.
#[derive(Debug, Clone, Default)]
pub(crate) struct BackendSettings {
    /// In the order in which they are tried.
    pub(crate) routes: Vec<RouteSettings>,
    /// At most one of a kind.
    pub(crate) hooks: Vec<HookSettings>,
}

impl BackendSettings {
    /// What signs requests to them.
    pub(crate) fn signers(&self) -> impl Iterator<Item = &Arc<Signer>> {
        let routes = self.routes.iter().map(|route| &route.endpoint);
        routes.chain(self.hooks.iter().map(|hook| &hook.endpoint)).map(|endpoint| &endpoint.signer)
    }
}

/// One hook.
#[derive(Debug, Clone)]
pub(crate) struct HookSettings {
    /// What needs leave.
    pub(crate) kind: HookKind,
    /// Where to post.
    pub(crate) endpoint: EndpointSettings,
    /// How the backend is treated.
    pub(crate) treatment: Treatment,
    /// What it is told besides.
    pub(crate) include: Include,
    /// Whether what it does not answer is allowed.
    pub(crate) allows_on_failure: bool,
    /// Where the secret is that requests are signed with.
    pub(crate) secret: Option<SecretSource>,
}

/// One route.
#[derive(Debug, Clone)]
pub(crate) struct RouteSettings {
    /// Its name.
    pub(crate) name: String,
    /// Where to post.
    pub(crate) endpoint: EndpointSettings,
    /// How the backend is treated.
    pub(crate) treatment: Treatment,
    /// What it is told besides.
    pub(crate) include: Include,
    /// Where the secret is that requests are signed with.
    pub(crate) secret: Option<SecretSource>,
}

impl Default for Treatment {
    fn default() -> Self {
        Self {
            time_max: Duration::from_secs(5),
            concurrency: 16,
            queue: 256,
            retries: 0,
            breaker: BreakerSettings { failures: 5, window_ms: 10_000, open_ms: 5_000, probes: 1 },
        }
    }
}
