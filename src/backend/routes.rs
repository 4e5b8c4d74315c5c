//! One route: an event of a client becomes a request, and its answer the client's reply.

use std::io;

use roomcast_shards::backend::{Answered, Forward};
use roomcast_shards::protocol::catalog::Event;
use roomcast_shards::protocol::error_code::CommandError;
use serde_json::value::RawValue;

use super::Node;
use super::call::Backend;
use super::http_client::HttpClient;
use super::reply::{self, Said};
use super::request::{self, Include};
use super::settings::RouteSettings;

/// Where the events of some patterns go.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) backend: Backend,
    include: Include,
}

impl Route {
    pub(super) fn new(client: &HttpClient, settings: &RouteSettings) -> io::Result<Self> {
        let endpoint = client.endpoint(settings.endpoint.clone())?;
        let name = settings.name.clone();
        Ok(Self { backend: Backend::new(name, endpoint, settings.treatment), include: settings.include })
    }

    /// Asks the backend: the client's reply, and what is to be published after it.
    pub(super) async fn ask(
        &self,
        node: &Node,
        forward: Forward,
    ) -> (Result<Answered, CommandError>, Vec<Box<RawValue>>) {
        let body = request::forward(node, &forward, self.include);
        let name = Event::find(&forward.event).is_none().then_some(forward.event);
        let read = |answer: &_| {
            let said = reply::read(answer)?;
            let refused = said.reply.is_err();
            Ok((said, refused))
        };
        match self.backend.ask(body.into(), read).await {
            Ok(Said { reply, publish }) => (reply.map(|members| Answered::Forwarded(name, members)), publish),
            Err(failure) => (Err(failure.error(&self.backend.name)), Vec::new()),
        }
    }
}
