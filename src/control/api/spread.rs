//! Requests that concern all nodes: the handlers do each node's own part, and know of no other.
//!
//! A node that is asked over HTTP does its part first, which also shows that the request is a good one. Then it has the
//! others do theirs, and puts the answers together; who has not answered in time is named in `missing`.

use std::sync::Arc;

use roomcast_shards::engine::NodeId;
use roomcast_shards::protocol::error_code::{CommandError, Detail, ErrorCode};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value as Json, json};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use super::super::cluster::{Cluster, Gathered, Message, Said, node_name, read_node};
use super::Api;
use super::answer::{Answer, Failure};
use super::call::{Call, Passed};
use super::handlers::written;
use super::table::Route;
use crate::engine::redis::cluster::Heard;

/// Questions of other nodes that are worked on at a time; further ones are not answered.
const QUESTIONS_MAX: usize = 256;
/// Nodes that one page of a list may take.
const NODES_A_PAGE: usize = 16;

/// What one node has another do.
#[derive(Debug, Serialize, Deserialize)]
struct Question {
    route: Route,
    #[serde(flatten)]
    call: Passed,
}

/// How many connections something was done with.
#[derive(Debug, Deserialize)]
struct Affected {
    connections: u64,
}

/// A page of a list of connections.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Page {
    connections: Vec<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    missing: Vec<String>,
}

impl Api {
    /// Does what a request asks for, on all nodes that it concerns.
    pub(super) async fn spread(&self, route: Route, call: &Call) -> Result<Answer, Failure> {
        let Some(cluster) = &self.cluster else { return self.handle(route, call).await };
        match route {
            Route::Subscribe | Route::Unsubscribe | Route::DisconnectUser => {
                self.everywhere(cluster, route, call).await
            }
            Route::DisconnectConnection => self.where_it_is(cluster, route, call).await,
            Route::Connections => self.node_by_node(cluster, route, call).await,
            Route::Cluster => self.all_nodes(cluster, call).await,
            _ => self.handle(route, call).await,
        }
    }

    async fn everywhere(&self, cluster: &Cluster, route: Route, call: &Call) -> Result<Answer, Failure> {
        let own = self.handle(route, call).await?;
        let gathered = ask_others(cluster, route, call).await;
        let own = serde_json::from_slice::<Affected>(&own.json).map_or(0, |own| own.connections);
        affected(own, gathered, &[])
    }

    async fn where_it_is(&self, cluster: &Cluster, route: Route, call: &Call) -> Result<Answer, Failure> {
        let node = call.parameter(0).split_once('-').and_then(|(node, _)| read_node(node));
        let Some(node) = node.filter(|node| *node != cluster.node) else {
            return self.handle(route, call).await;
        };
        let census = cluster.census().await;
        if census.in_reach && !census.peers.iter().any(|peer| peer.node == node) {
            return Err(CommandError::new(ErrorCode::ChannelError, "no such connection").into());
        }
        let nodes = if census.in_reach { vec![node] } else { Vec::new() };
        let mut gathered = cluster.ask(&nodes, &question(route, call), Cluster::deadline()).await;
        match gathered.said.pop() {
            Some((_, Said { status, json })) => Ok(Answer { status, json }),
            None => Err(CommandError::new(ErrorCode::ServerError, "the node does not answer")
                .with("component", Detail::Text("node".into()))
                .into()),
        }
    }

    /// A list goes through the nodes by their names; a cursor is a node, and the cursor of its own list.
    async fn node_by_node(&self, cluster: &Cluster, route: Route, call: &Call) -> Result<Answer, Failure> {
        let (first, mut cursor) = match call.query("cursor") {
            None => (NodeId(0), None),
            Some(text) => read_cursor(text)?,
        };
        let limit = call.page()?;
        let (census, deadline) = (cluster.census().await, Cluster::deadline());
        let mut nodes: Vec<NodeId> = census.peers.iter().map(|peer| peer.node).collect();
        nodes.push(cluster.node);
        nodes.sort_unstable();
        nodes.dedup();
        nodes.retain(|node| *node >= first);
        let mut page = Page::default();
        for (index, node) in nodes.iter().enumerate() {
            // What is behind a node that was waited for in vain has a page with a time limit of its own.
            let has_waited = census.in_reach && !page.missing.is_empty();
            let is_over = index == NODES_A_PAGE || page.connections.len() >= limit || has_waited;
            if is_over {
                page.next = Some(format!("{}.", node_name(*node)));
                break;
            }
            let own = cursor.take().filter(|_| *node == first);
            let call = call.for_page(limit - page.connections.len(), own);
            let found = if *node == cluster.node {
                page_of(&self.handle(route, &call).await?)
            } else {
                match ask_one(cluster, *node, census.in_reach, route, &call, deadline).await {
                    // It is the request that is wrong.
                    Some(Said { status: status @ 400..500, json }) => return Ok(Answer { status, json }),
                    Some(Said { status, json }) => page_of(&Answer { status, json }),
                    None => None,
                }
            };
            let Some(found) = found else {
                page.missing.push(node_name(*node));
                continue;
            };
            page.connections.extend(found.connections);
            if let Some(next) = found.next {
                page.next = Some(format!("{}.{next}", node_name(*node)));
                break;
            }
        }
        written(&page)
    }

    async fn all_nodes(&self, cluster: &Cluster, call: &Call) -> Result<Answer, Failure> {
        let own = self.handle(Route::Node, call).await?;
        let census = cluster.census().await;
        let ages = census.peers.iter().map(|peer| (peer.node, peer.lease_age)).collect::<Vec<_>>();
        let mut gathered = ask_others(cluster, Route::Node, call).await;
        gathered.said.push((cluster.node, Said { status: own.status, json: own.json }));
        gathered.said.sort_unstable_by_key(|(node, _)| *node);
        let mut nodes = Vec::with_capacity(gathered.said.len());
        for (node, said) in gathered.said {
            let Ok(mut described) = serde_json::from_slice::<Json>(&said.json) else { continue };
            if let Some((_, age)) = ages.iter().find(|(aged, _)| *aged == node) {
                described["leaseAgeMs"] = u64::try_from(age.as_millis()).unwrap_or(u64::MAX).into();
            }
            nodes.push(described);
        }
        let mut all = json!({ "engine": "redis", "nodes": nodes });
        if !gathered.missing.is_empty() {
            all["missing"] = names(&gathered.missing).into();
        }
        written(&all)
    }

    /// Hears what other nodes ask and say, until there is no engine any more.
    pub(in crate::control) async fn hear(self: Arc<Self>, mut heard: mpsc::Receiver<Heard>) {
        let Some(cluster) = self.cluster.clone() else { return };
        let places = Arc::new(Semaphore::new(QUESTIONS_MAX));
        while let Some(heard) = heard.recv().await {
            match heard {
                Heard::Revoked(origin, change) => self.refused.hear(origin, change).await,
                Heard::AllRevoked(known) => self.refused.compare(known).await,
                Heard::Message(message) => match Message::read(&message) {
                    Some(Message::Answer { from, ticket, said }) => cluster.on_answer(from, ticket, said),
                    Some(Message::Question { from, ticket, question }) => {
                        let Ok(question) = serde_json::from_slice::<Question>(question) else { continue };
                        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                            cluster.drop_question();
                            continue;
                        };
                        let (api, cluster) = (Arc::clone(&self), Arc::clone(&cluster));
                        tokio::spawn(async move {
                            cluster.answer(from, ticket, &api.part_of(question).await);
                            drop(place);
                        });
                    }
                    None => {}
                },
            }
        }
    }

    /// This node's part of what another was asked.
    async fn part_of(&self, Question { route, call }: Question) -> Said {
        let call = Call::passed(call, self.config.tenancy);
        let answer = self.handle(route, &call).await.unwrap_or_else(Failure::into_answer);
        Said { status: answer.status, json: answer.json }
    }
}

fn page_of(answer: &Answer) -> Option<Page> {
    serde_json::from_slice(&answer.json).ok().filter(|_| answer.status == 200)
}

fn question(route: Route, call: &Call) -> Vec<u8> {
    serde_json::to_vec(&Question { route, call: call.pass() }).expect("it is made of texts")
}

/// Asks all nodes but this one.
async fn ask_others(cluster: &Cluster, route: Route, call: &Call) -> Gathered {
    let census = cluster.census().await;
    let others: Vec<NodeId> =
        census.peers.iter().map(|peer| peer.node).filter(|node| *node != cluster.node).collect();
    match census.in_reach {
        true => cluster.ask(&others, &question(route, call), Cluster::deadline()).await,
        false => Gathered { said: Vec::new(), missing: others },
    }
}

async fn ask_one(
    cluster: &Cluster,
    node: NodeId,
    in_reach: bool,
    route: Route,
    call: &Call,
    deadline: Instant,
) -> Option<Said> {
    if !in_reach {
        return None;
    }
    cluster.ask(&[node], &question(route, call), deadline).await.said.pop().map(|(_, said)| said)
}

/// With how many connections something was done on all nodes; `members` come on top.
pub(super) fn affected(own: u64, gathered: Gathered, members: &[(&str, String)]) -> Result<Answer, Failure> {
    let Gathered { said, mut missing } = gathered;
    let mut connections = own;
    for (node, said) in said {
        match serde_json::from_slice::<Affected>(&said.json).ok().filter(|_| said.status == 200) {
            Some(affected) => connections += affected.connections,
            // It was asked and could not: as if it had not answered.
            None => missing.push(node),
        }
    }
    let mut all = json!({ "connections": connections });
    members.iter().for_each(|(name, value)| all[*name] = value.as_str().into());
    if !missing.is_empty() {
        all["missing"] = names(&missing).into();
    }
    written(&all)
}

fn names(nodes: &[NodeId]) -> Vec<String> {
    nodes.iter().map(|node| node_name(*node)).collect()
}

/// `NODE.CURSOR`; behind a point there may be nothing.
fn read_cursor(text: &str) -> Result<(NodeId, Option<String>), CommandError> {
    let parsed = text.split_once('.').and_then(|(node, cursor)| Some((read_node(node)?, cursor)));
    let (node, cursor) =
        parsed.ok_or_else(|| CommandError::invalid("cursor", "is no cursor of this list"))?;
    Ok((node, Some(cursor.to_owned()).filter(|cursor| !cursor.is_empty())))
}

impl Call {
    /// The same list, from there on and with so many entries.
    fn for_page(&self, limit: usize, cursor: Option<String>) -> Self {
        let mut passed = self.pass();
        passed.query.retain(|(name, _)| name != "limit" && name != "cursor");
        passed.query.push(("limit".to_owned(), limit.to_string()));
        passed.query.extend(cursor.map(|cursor| ("cursor".to_owned(), cursor)));
        Self::passed(passed, self.tenancy())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_name_their_node() {
        let read = |text: &str| read_cursor(text).ok();
        assert_eq!(read("00000000000000ff."), Some((NodeId(255), None)));
        assert_eq!(read("00000000000000ff.1.2"), Some((NodeId(255), Some("1.2".to_owned()))));
        for wrong in ["", "1.2", "ff.1", "00000000000000fg.", "00000000000000ff"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn who_could_not_do_it_counts_as_missing() {
        let said = |status, json: &str| Said { status, json: json.into() };
        let gathered = Gathered {
            said: vec![
                (NodeId(2), said(200, r#"{"connections":2}"#)),
                (NodeId(3), said(503, r#"{"code":"SERVER_ERROR"}"#)),
            ],
            missing: vec![NodeId(4)],
        };
        let answer = affected(1, gathered, &[]).unwrap();
        let expected = json!({"connections": 3, "missing": ["0000000000000004", "0000000000000003"]});
        assert_eq!(serde_json::from_slice::<Json>(&answer.json).unwrap(), expected);
    }
}
