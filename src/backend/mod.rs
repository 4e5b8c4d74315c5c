//! Backends: the services behind the gateway that it asks, and that answer its clients.
//!
//! `http_client` posts to one of them within a time and a size, and `signature` proves to it who asks. `call` puts a queue, a
//! bound on concurrency, a `breaker` and retries in front; `meter` counts. `routes` are what clients' events are answered by, `hooks` what they need leave of:
//! `request` writes what a backend is sent, `reply` reads what it says, `publish` does what that wants published; `failure`
//! is what a client hears when it says nothing.
//!
//! All of it runs on the control thread. What shards ask comes with room of its own among all that waits
//! ([`Job`]), is taken from their queue at once, and is answered in any case: shards count on that.

pub(crate) mod breaker;
pub(crate) mod call;
mod failure;
mod hooks;
pub(crate) mod http_client;
pub(crate) mod meter;
pub(crate) mod publish;
mod reply;
pub(crate) mod request;
mod routes;
mod settings;
pub(crate) mod signature;
pub(crate) mod signer;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use roomcast_shards::backend::{Answered, Verdict};
use roomcast_shards::effect::Question;
use roomcast_shards::id::{MessageId, MessageIds, ShardId};
use roomcast_shards::rim::ControlAnswer;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::control::{DataPlane, Job};
use hooks::Hook;
use http_client::HttpClient;
use meter::Report;
use routes::Route;
pub(crate) use settings::{BackendSettings, HookSettings, RouteSettings};

/// How long an answer waits before it is given again to a shard that has too many to pass on.
const SHARD_PAUSE: Duration = Duration::from_millis(5);

/// Gives a shard an answer; back when it has too many.
pub(crate) type Answer = Box<dyn Fn(ShardId, ControlAnswer) -> Result<(), ControlAnswer> + Send + Sync>;

/// This process, as backends know it.
pub(crate) struct Node {
    /// Its name.
    pub(crate) name: String,
    ids: Mutex<MessageIds>,
}

impl Node {
    /// The process of that name.
    pub(crate) fn new(name: String) -> Self {
        Self { name, ids: Mutex::default() }
    }

    /// A name for a request, which sorts by time.
    pub(crate) fn next_id(&self, unix_ms: u64) -> MessageId {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.next(unix_ms, &mut rand::rng())
    }
}

/// The backends that shards can ask.
pub(crate) struct Backends {
    node: Node,
    routes: Vec<Route>,
    hooks: Vec<Hook>,
    answer: Answer,
    /// Where to publish what answers bring; `None` in tests.
    data_plane: Option<Arc<DataPlane>>,
}

impl Backends {
    /// Prepares them; nothing is asked yet. To be called within the runtime that serves them.
    ///
    /// # Errors
    /// When one is behind HTTPS and no authority is trusted.
    pub(crate) fn new(
        settings: &BackendSettings,
        client: &HttpClient,
        node: Node,
        answer: Answer,
        data_plane: Option<Arc<DataPlane>>,
    ) -> io::Result<Self> {
        let routes =
            settings.routes.iter().map(|route| Route::new(client, route)).collect::<Result<_, _>>()?;
        let hooks = settings.hooks.iter().map(|hook| Hook::new(client, hook)).collect::<Result<_, _>>()?;
        Ok(Self { node, routes, hooks, answer, data_plane })
    }

    /// Answers what is asked until no shard is left that could ask.
    pub(crate) async fn serve(self: Arc<Self>, mut asked: mpsc::Receiver<Job>) {
        while let Some(job) = asked.recv().await {
            tokio::spawn(Arc::clone(&self).work(job));
        }
    }

    async fn work(self: Arc<Self>, job: Job) {
        let Job { shard, caller, question, room: _room } = job;
        match question {
            Question::Forward(forward) => {
                let route = &self.routes[forward.route];
                let identity = Arc::clone(&forward.sender.identity);
                let (answer, publish) = route.ask(&self.node, *forward).await;
                self.answer(shard, ControlAnswer { caller, answer }).await;
                self.publish(route, publish, identity.namespace()).await;
            }
            Question::Hook(call) => {
                let hook = self.hooks.iter().find(|hook| hook.kind == call.asks.kind());
                let answer = match hook {
                    Some(hook) => hook.ask(&self.node, &call).await,
                    None => Ok(Verdict::default()),
                };
                let answer = answer.map(|verdict| Answered::Leave(Box::new(verdict)));
                self.answer(shard, ControlAnswer { caller, answer }).await;
            }
            // Answered elsewhere.
            Question::Monitoring(_) => {}
        }
    }

    async fn answer(&self, shard: ShardId, mut answer: ControlAnswer) {
        while let Err(refused) = (self.answer)(shard, answer) {
            answer = refused;
            sleep(SHARD_PAUSE).await;
        }
    }

    /// Publishes what an answer brought, in its order.
    async fn publish(&self, route: &Route, items: Vec<Box<RawValue>>, namespace: Option<&str>) {
        let Some(data_plane) = &self.data_plane else { return };
        for item in items {
            if let Err(error) = publish::publish(data_plane, &item, namespace).await {
                route.backend.meter.numbers().publishes_failed += 1;
                let (route, code) = (&*route.backend.name, error.code.name());
                tracing::warn!(event = "backend_publish_failed", route, code, message = &*error.message);
            }
        }
    }

    /// None at all.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        let (node, answer) = (Node::new("test".to_owned()), Box::new(|_, _| Ok(())));
        Self { node, routes: Vec::new(), hooks: Vec::new(), answer, data_plane: None }
    }

    /// How they do, for the metrics.
    pub(crate) fn reports(&self) -> Vec<Report> {
        let routes = self.routes.iter().map(|route| &route.backend);
        routes.chain(self.hooks.iter().map(|hook| &hook.backend)).map(|backend| backend.report()).collect()
    }
}

impl fmt::Debug for Backends {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Backends").field("routes", &self.routes.len()).finish_non_exhaustive()
    }
}
