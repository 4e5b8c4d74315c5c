//! The facts as plain sentences, each with how it is known.

use serde::Serialize;

use super::facts::{Facts, Machine};
use super::limits::{Basis, Limit, Resource, of_connections, of_connects, of_rate};
use crate::capacity::RampReport;

const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

/// What somebody who sizes a machine wants to know.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Statement {
    pub(crate) sentences: Vec<Sentence>,
    /// Limits of the number of connections, the first first.
    pub(crate) limits_of_connections: Vec<Limit>,
    /// What ended the search with small rooms, and the one with one large room.
    pub(crate) limit_of_rooms: Option<Limit>,
    pub(crate) limit_of_broadcast: Option<Limit>,
    pub(crate) limit_of_connects: Option<Limit>,
}

/// One sentence; without a basis it tells of something unknown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Sentence {
    pub(crate) basis: Option<Basis>,
    pub(crate) text: String,
}

impl Statement {
    /// Says everything that follows from the facts.
    pub(crate) fn new(facts: &Facts) -> Self {
        let mut statement = Self {
            sentences: Vec::new(),
            limits_of_connections: of_connections(facts),
            limit_of_rooms: facts.rooms.as_ref().map(|ramp| of_rate(facts, ramp)),
            limit_of_broadcast: facts.broadcast.as_ref().map(|ramp| of_rate(facts, ramp)),
            limit_of_connects: of_connects(facts),
        };
        statement.tell_machine(facts);
        statement.tell_connections(facts);
        let rooms = format!("rooms of {}", facts.room_size);
        statement.tell_ramp(facts, &rooms, facts.rooms.as_ref());
        let broadcast = format!("one room of {}", facts.broadcast_size);
        statement.tell_ramp(facts, &broadcast, facts.broadcast.as_ref());
        statement
    }

    /// The statement as people read it.
    pub(crate) fn text(&self) -> String {
        let known = self
            .sentences
            .iter()
            .map(|Sentence { basis, text }| format!("[{}] {text}\n", Basis::name(*basis)));
        let limits =
            self.first_limits().into_iter().map(|(of, text)| format!("First limit of {of}: {text}\n"));
        known.chain(limits).collect()
    }

    /// What ends first: of what, and the limit with what would move it.
    pub(super) fn first_limits(&self) -> Vec<(&'static str, String)> {
        let limits = [
            ("connections", self.limits_of_connections.first()),
            ("deliveries in small rooms", self.limit_of_rooms.as_ref()),
            ("deliveries in one large room", self.limit_of_broadcast.as_ref()),
            ("connecting", self.limit_of_connects.as_ref()),
        ];
        let known = limits.into_iter().filter_map(|(of, limit)| {
            let Limit { resource, at, evidence, lever, .. } = limit?;
            let at = at.map(|at| format!("{at}, ")).unwrap_or_default();
            Some((of, format!("{at}{}: {evidence}. To move it: {lever}.", resource.name())))
        });
        let mut known: Vec<_> = known.collect();
        if self.limits_of_connections.is_empty() {
            known.insert(0, ("connections", "unknown.".to_owned()));
        }
        known
    }

    fn say(&mut self, basis: impl Into<Option<Basis>>, text: String) {
        self.sentences.push(Sentence { basis: basis.into(), text });
    }

    fn tell_machine(&mut self, facts: &Facts) {
        let Machine { cpu_model, cores, memory_bytes, kernel } = &facts.machine;
        let memory = *memory_bytes as f64 / GIB;
        self.say(
            Basis::Configured,
            format!("this machine: {cpu_model}, {cores} cores, {memory:.1} GiB, Linux {kernel}"),
        );
        match &facts.server {
            Some(server) => {
                let shards = if server.shards > 0 { format!(", {} shards", server.shards) } else { String::new() };
                self.say(Basis::Configured, format!("the server: {} (pid {}{shards}); {}", server.name, server.pid, facts.server_found));
            }
            None => self.say(
                None,
                format!("the server's process ({}), thus its CPU, memory, descriptors and limits; --server-pid names it", facts.server_found),
            ),
        }
        if let Some(ports) = facts.kernel.local_ports {
            self.say(
                Basis::Configured,
                format!("a client address, such as a proxy or a load generator, has {ports} ports to connect from (net.ipv4.ip_local_port_range)"),
            );
        }
    }

    fn tell_connections(&mut self, facts: &Facts) {
        let ladder = &facts.ladder;
        let connections = ladder.connections();
        let idle = ladder.idle_cpu_share.map(|share| format!(", using {:.1} % of a core", share * 100.0));
        self.say(
            Basis::Measured,
            format!(
                "{connections} connections were open and idle, each in a room{}",
                idle.unwrap_or_default()
            ),
        );
        self.say(
            Basis::Measured,
            format!(
                "{:.0} connects a second, as fast as server and generator went together",
                ladder.connects_per_second()
            ),
        );
        if let Some(us) = ladder.cpu_us_per_connect() {
            self.say(Basis::Measured, format!("{us:.1} µs of the server's CPU for each connect"));
            self.say(
                Basis::Extrapolated,
                format!("{:.0} connects a second for each core of the server", 1e6 / us),
            );
        }
        if let Some(bytes) = ladder.slope(|rung| rung.server_resident_bytes) {
            self.say(
                Basis::Measured,
                format!(
                    "{:.2} KiB of resident memory for each idle connection, the kernel's not counted",
                    bytes / 1024.0
                ),
            );
            if bytes > 0.0 {
                let million = bytes * 1e6 / GIB;
                self.say(
                    Basis::Extrapolated,
                    format!("{million:.1} GiB for a million connections, the kernel's not counted"),
                );
            }
        }
        if let Some(descriptors) = ladder.slope(|rung| rung.server_descriptors) {
            self.say(Basis::Measured, format!("{descriptors:.1} descriptors for each connection"));
        }
    }

    fn tell_ramp(&mut self, facts: &Facts, shape: &str, ramp: Option<&RampReport>) {
        let Some(ramp) = ramp else {
            return self.say(None, format!("{shape}: deliveries a second; nothing was searched"));
        };
        self.say(Basis::Measured, format!("{shape}: {}", ramp.sentence()));
        let Some((step, server)) = ramp.best().and_then(|step| Some((step, step.server.as_ref()?))) else {
            return;
        };
        let Some(us) = server.cpu_us_per_delivery.filter(|us| *us > 0.0) else { return };
        self.say(
            Basis::Measured,
            format!(
                "{shape}: {us:.2} µs of the server's CPU for each delivery there, its thread {} at {:.0} %",
                server.busiest_thread,
                server.busiest_thread_cpu_share * 100.0
            ),
        );
        let shards = facts.server.as_ref().map_or(0, |server| server.shards);
        if shards > 0 && server.busiest_thread_cpu_share > 0.0 {
            let each = step.deliveries_per_second / shards as f64 / server.busiest_thread_cpu_share.min(1.0);
            self.say(
                Basis::Extrapolated,
                format!("{shape}: {each:.0} deliveries/s for each core that a shard has to itself, if costs stay as they are"),
            );
        }
    }
}

impl Basis {
    /// The word for how something is known.
    pub(super) fn name(basis: Option<Self>) -> &'static str {
        match basis {
            Some(Self::Measured) => "measured",
            Some(Self::Extrapolated) => "extrapolated",
            Some(Self::Configured) => "configured",
            None => "unknown",
        }
    }
}

impl Resource {
    fn name(self) -> &'static str {
        match self {
            Self::ServerCpu => "the server's CPU",
            Self::MachineCpu => "the machine's CPU",
            Self::Generator => "the generator itself",
            Self::ServerSettings => "the server's settings",
            Self::Connections => "refused or closed connections",
            Self::Memory => "memory",
            Self::Descriptors => "descriptors",
            Self::Files => "open files of the machine",
            Self::LocalPorts => "local ports",
            Self::Conntrack => "connection tracking",
            Self::Backlog => "the kernel's queue of connects",
            Self::Latency => "latency",
            Self::None => "not reached",
        }
    }
}
