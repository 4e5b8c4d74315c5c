//! Where each connection is when there are several servers, and what happened at each of them.

use super::spread::Spread;
use super::{Counts, count};
use crate::net::{End, Stage};
use crate::report::{NodeReport, Server};
use crate::settings::Settings;

/// All servers and who is at which.
pub(super) struct Nodes {
    spread: Spread,
    /// For each connection the server that it is at, or goes to next.
    at: Vec<u8>,
    nodes: Vec<Node>,
}

/// What happened at one of them.
#[derive(Default)]
struct Node {
    name: String,
    ready: u64,
    back: u64,
    open: u64,
    /// The most that were open at a time.
    open_max: u64,
    failures: Counts,
    closes: Counts,
    deliveries: u64,
}

impl Nodes {
    /// Everybody is to go where it goes at first.
    pub(super) fn new(settings: &Settings) -> Self {
        let spread = Spread::new(&settings.layout(), settings.targets.len(), settings.part);
        let node = |host: &str| Node { name: host.to_owned(), ..Node::default() };
        Self {
            at: (0..settings.args.connections).map(|connection| spread.first(connection)).collect(),
            nodes: settings.targets.iter().map(|target| node(&target.host)).collect(),
            spread,
        }
    }

    /// The server that a connection is at, or goes to next.
    #[inline]
    pub(super) fn at(&self, index: usize) -> u8 {
        self.at[index]
    }

    /// A connection has lost a server, or has failed `attempts` times since to be somewhere else: it tries the next.
    pub(super) fn move_on(&mut self, index: usize, lost: u8, attempts: u32) {
        self.at[index] = self.spread.next(index, lost, attempts as usize);
    }

    /// Connections that come and go anyway take the servers in turn.
    pub(super) fn place(&mut self, index: usize, turn: u64) {
        let servers = self.spread.servers() as u64;
        self.at[index] = u8::try_from(turn % servers).expect("settings allow few servers");
    }

    /// The connection is ready, for the first time or again.
    pub(super) fn on_ready(&mut self, index: usize, is_back: bool) {
        let node = self.node(index);
        *if is_back { &mut node.back } else { &mut node.ready } += 1;
        node.open += 1;
        node.open_max = node.open_max.max(node.open);
    }

    /// The connection, which was ready, is no more.
    pub(super) fn on_gone(&mut self, index: usize) {
        let node = self.node(index);
        node.open = node.open.saturating_sub(1);
    }

    /// The connection has ended.
    pub(super) fn on_end(&mut self, index: usize, stage: Stage, end: &End) {
        if matches!(stage, Stage::Ready | Stage::Closing) {
            self.on_gone(index);
        }
        let node = self.node(index);
        match stage {
            Stage::Ready => count(&mut node.closes, end.to_string()),
            Stage::Closing => {}
            _ => count(&mut node.failures, end.to_string()),
        }
    }

    /// A message was delivered to the connection. The hot path.
    #[inline]
    pub(super) fn on_delivery(&mut self, index: usize) {
        self.nodes[usize::from(self.at[index])].deliveries += 1;
    }

    /// Connections that are open at a server.
    pub(super) fn open_at(&self, server: usize) -> u64 {
        self.nodes[server].open
    }

    /// The most connections that were open at a server at a time.
    pub(super) fn open_max_at(&self, server: usize) -> u64 {
        self.nodes[server].open_max
    }

    /// Connections that became ready at a server.
    pub(super) fn ready_at(&self, server: usize) -> u64 {
        self.nodes[server].ready
    }

    /// How many messages were delivered at each server so far.
    pub(super) fn deliveries(&self) -> Vec<u64> {
        self.nodes.iter().map(|node| node.deliveries).collect()
    }

    /// What was found at each of several servers; `measure` says how much was delivered there in the measured time, and
    /// what that cost. Nothing when there is only one.
    pub(super) fn report(&self, measure: impl Fn(usize) -> (u64, Option<Server>)) -> Vec<NodeReport> {
        let report = |(number, node): (usize, &Node)| {
            let (measured_deliveries, server) = measure(number);
            NodeReport {
                address: node.name.clone(),
                ready: node.ready,
                back: node.back,
                connections_max: node.open_max,
                failures: node.failures.clone(),
                closes: node.closes.clone(),
                deliveries: node.deliveries,
                measured_deliveries,
                server,
            }
        };
        let several = if self.nodes.len() > 1 { self.nodes.as_slice() } else { &[] };
        several.iter().enumerate().map(report).collect()
    }

    fn node(&mut self, index: usize) -> &mut Node {
        &mut self.nodes[usize::from(self.at[index])]
    }
}
