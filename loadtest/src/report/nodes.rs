//! What was found at each of several servers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::merge::add_counts;
use super::table::{MIB, Rows, details};
use super::{Report, Server};

/// One of several servers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct NodeReport {
    /// Host and port.
    pub(crate) address: String,
    /// Connections that became ready there at first.
    pub(crate) ready: u64,
    /// Connections that became ready there again, wherever they had been before.
    pub(crate) back: u64,
    /// The most connections that were open there at a time.
    pub(crate) connections_max: u64,
    /// Why connects failed, the attempts to come back included.
    pub(crate) failures: BTreeMap<String, u64>,
    /// What ended connections that did not say goodbye.
    pub(crate) closes: BTreeMap<String, u64>,
    /// Deliveries received from it in the whole run.
    pub(crate) deliveries: u64,
    /// Those of the measured window.
    pub(crate) measured_deliveries: u64,
    /// What it cost; nothing when its process is unknown, or was gone at the end.
    pub(crate) server: Option<Server>,
}

impl NodeReport {
    /// Adds what another generator found there.
    fn absorb(&mut self, other: Self) {
        self.ready += other.ready;
        self.back += other.back;
        self.connections_max += other.connections_max;
        add_counts(&mut self.failures, other.failures);
        add_counts(&mut self.closes, other.closes);
        self.deliveries += other.deliveries;
        self.measured_deliveries += other.measured_deliveries;
        self.server = self.server.take().or(other.server);
    }

    /// Its cost, now that it is known what all generators had of it.
    fn spread_cost(&mut self) {
        if let Some(server) = &mut self.server {
            server.spread_over(self.measured_deliveries);
            server.share_among(self.connections_max);
        }
    }

    /// What it found, in the order of [`HEADS`].
    pub(super) fn columns(&self) -> [String; HEADS.len()] {
        let none = || "unknown".to_owned();
        let cost = |server: &Server| {
            let share = format!("{:.1} %", server.cpu_share * 100.0);
            server.cpu_us_per_delivery.map_or(share.clone(), |us| format!("{share}, {us:.3} µs a delivery"))
        };
        let memory = |server: &Server| {
            let whole = format!("{:.1} MiB", server.resident_bytes_after as f64 / MIB);
            let each = server.bytes_per_connection.map(|bytes| bytes / 1024.0);
            each.map_or(whole.clone(), |kib| format!("{whole}, {kib:.2} KiB a connection"))
        };
        let sum_of =
            |counts: &BTreeMap<String, u64>| format!("{}{}", counts.values().sum::<u64>(), details(counts));
        [
            self.ready.to_string(),
            self.back.to_string(),
            sum_of(&self.failures),
            self.deliveries.to_string(),
            sum_of(&self.closes),
            self.server.as_ref().map_or_else(none, cost),
            self.server.as_ref().map_or_else(none, memory),
        ]
    }
}

/// What is said of each.
pub(super) const HEADS: [&str; 7] =
    ["connected", "came back", "connects failed", "deliveries", "closed", "CPU", "RSS"];

/// Adds what another generator found at the same servers.
pub(super) fn absorb(all: &mut Vec<NodeReport>, others: Vec<NodeReport>) {
    for other in others {
        match all.iter_mut().find(|node| node.address == other.address) {
            Some(node) => node.absorb(other),
            None => all.push(other),
        }
    }
}

/// Spreads the cost over what all generators had.
pub(super) fn spread_costs(all: &mut [NodeReport]) {
    all.iter_mut().for_each(NodeReport::spread_cost);
}

/// Deliveries of the measured window at those servers whose cost is known, and the most connections that these had.
pub(super) fn of_known_cost(all: &[NodeReport]) -> (u64, u64) {
    let known = || all.iter().filter(|node| node.server.is_some());
    (known().map(|node| node.measured_deliveries).sum(), known().map(|node| node.connections_max).sum())
}

impl Report {
    /// A line for each of several servers.
    pub(super) fn node_rows(&self, rows: &mut Rows) {
        for node in &self.nodes {
            let parts = HEADS.iter().zip(node.columns()).map(|(head, value)| format!("{head} {value}"));
            rows.add(&format!("at {}", node.address), parts.collect::<Vec<_>>().join("; "));
        }
    }
}
