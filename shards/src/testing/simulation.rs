//! A run from its seed: clients act, the storm settles, everybody is checked, everybody goes, nothing is left.

mod crash;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::client::Client;
use super::dice::Dice;
use super::host::{Around, Host};
use super::ledger::{Ledger, Violation};
use super::network::Network;
use super::scenario::{Scenario, TENANTS};
use super::totals::Totals;
use crate::clock::Now;
use crate::config::StoreMode;
use crate::id::ShardId;
use crate::protocol::close_code::CloseCode;
use crate::shard::Shard;

/// When the virtual clock starts: 2023-11-14 22:13:20 UTC.
const START_UNIX_MS: u64 = 1_700_000_000_000;
/// Milliseconds within which everything that is under way must have arrived.
const SETTLE_MS_MAX: u64 = 60_000;
/// Milliseconds after which nobody writes any more, and every grace is over.
const CALM_MS: u64 = 8_000;

/// A run in which a promise was broken.
#[derive(Debug)]
pub struct Failure {
    /// The seed that repeats it.
    pub seed: u64,
    /// Which promise.
    pub violation: Violation,
    /// What happened, one line each, if that was asked for.
    pub trace: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "seed {}: {}", self.seed, self.violation)
    }
}

/// Runs the simulation of a seed, `durable` with a store and with crashes; with `traced` a failure tells everything that
/// led to it.
///
/// # Errors
/// [`Failure`] at the first broken promise.
pub fn run(seed: u64, durable: bool, traced: bool) -> Result<Totals, Failure> {
    let mut simulation = Simulation::new(seed, durable);
    for ledger in &mut simulation.ledgers {
        ledger.trace = traced.then(Vec::new);
    }
    let finished = simulation.play();
    let Simulation { ledgers, hosts, .. } = simulation;
    match finished {
        Err(violation) => Err(Failure { seed, violation, trace: trace(ledgers) }),
        Ok(()) => {
            let mut totals = Totals::default();
            ledgers.iter().for_each(|ledger| totals.add(&ledger.totals));
            for host in &hosts {
                totals.drops += host.shard.metrics.frames_dropped;
                totals.reads_paused += host.shard.metrics.reads_paused;
            }
            Ok(totals)
        }
    }
}

/// What happened in all namespaces, by time; within one it is in order.
fn trace(ledgers: Vec<Ledger>) -> Vec<String> {
    let mut timed: Vec<(u64, String)> = Vec::new();
    for ledger in ledgers {
        let mut last_ms = 0;
        for line in ledger.trace.unwrap_or_default() {
            last_ms = line.get(..6).and_then(|time| time.trim().parse().ok()).unwrap_or(last_ms);
            timed.push((last_ms, line));
        }
    }
    timed.sort_by_key(|(ms, _)| *ms);
    timed.into_iter().map(|(_, line)| line).collect()
}

struct Simulation {
    dice: Dice,
    scenario: Scenario,
    now: Now,
    hosts: Vec<Host>,
    clients: Vec<Client>,
    network: Network,
    /// One for each namespace.
    ledgers: Vec<Ledger>,
    opened: u32,
    /// Frames that were dropped, and clients that were too slow, in processes that have ended.
    dropped: u64,
    slow: u64,
    /// What epochs are made from, in this process and those that trust its log.
    epoch_seeds: [u64; 4],
}

/// An empty ledger of a namespace.
fn ledger(tenant: usize, clients: &[Client]) -> Ledger {
    let mut ledger = Ledger::default();
    TENANTS[tenant].clone_into(&mut ledger.tenant);
    let here = clients.iter().filter(|client| client.tenant == tenant);
    let users: Vec<&str> = here.filter_map(Client::user).collect();
    let count = |user: &str| users.iter().filter(|known| **known == user).count();
    ledger.queues.sole =
        users.iter().filter(|user| count(user) == 1).map(|user| (*user).to_owned()).collect();
    ledger
}

impl Simulation {
    fn new(seed: u64, durable: bool) -> Self {
        let mut dice = Dice::new(seed);
        let scenario = Scenario::new(&mut dice, durable);
        let now = Now { ms: 0, unix_ms: START_UNIX_MS };
        let mesh_seed = dice.between(0, u64::MAX);
        let config = &scenario.config;
        let shards = u16::try_from(config.shards).expect("a simulation has few shards");
        let epoch_seeds = config.epoch_seeds.unwrap_or_default();
        let shard = |id| Shard::new(ShardId(id), Arc::clone(config), mesh_seed, dice.seed(), now);
        let hosts = (0..shards).map(shard).map(Host::new).collect();
        let clients: Vec<Client> =
            (0..scenario.clients).map(|index| Client::new(index, &scenario.grants, &mut dice)).collect();
        let network = Network::new(config.shards, config.ring_items_max);
        let ledgers = (0..TENANTS.len()).map(|tenant| ledger(tenant, &clients)).collect();
        Self {
            dice,
            now,
            hosts,
            clients,
            network,
            ledgers,
            opened: 0,
            dropped: 0,
            slow: 0,
            epoch_seeds,
            scenario,
        }
    }

    fn play(&mut self) -> Result<(), Violation> {
        let drain_ms = self.dice.percent(15).then(|| self.dice.between(0, self.scenario.active_ms));
        let mut crashes_ms = self.scenario.crashes_ms.clone();
        while self.now.ms < self.scenario.active_ms {
            if crashes_ms.pop_if(|at| *at <= self.now.ms).is_some() {
                self.crash();
            }
            if drain_ms.is_some_and(|at| at <= self.now.ms) && self.ledgers[0].totals.drains == 0 {
                self.drain_one();
            }
            self.turn(true, 25)?;
        }
        self.settle()?;
        self.calm()?;
        self.each_client(Client::audit);
        self.settle()?;
        self.each_client(|client, around| client.check_complete(around));
        let dropped = self.dropped();
        let slow_now = |host: &Host| host.shard.metrics.closes[CloseCode::SlowConsumer as usize];
        let slow = self.slow + self.hosts.iter().map(slow_now).sum::<u64>();
        let crashes = self.ledgers[0].totals.crashes;
        for ledger in &mut self.ledgers {
            ledger.check_absences();
            ledger.check_send_order();
            ledger.check_flaps();
            // What a client has confirmed just before a crash is perhaps given again.
            ledger.judge_suspicion(dropped, slow + crashes);
        }
        self.check_losses();
        self.verdict()?;
        self.part()
    }

    fn verdict(&self) -> Result<(), Violation> {
        let mut violations = self.ledgers.iter().filter_map(|ledger| ledger.violation.clone());
        violations.next().map_or(Ok(()), Err)
    }

    /// One shard sends its clients away, who may come back at once.
    fn drain_one(&mut self) {
        self.ledgers[0].totals.drains += 1;
        let host = self.dice.size(0, self.hosts.len() - 1);
        self.hosts[host].shard.on_drain(1_000, 5_000, self.now);
    }

    /// Nothing happens for a while, so that whatever waits for time has happened.
    fn calm(&mut self) -> Result<(), Violation> {
        let until_ms = self.now.ms + CALM_MS;
        while self.now.ms < until_ms {
            self.turn(false, 150)?;
        }
        Ok(())
    }

    fn each_client(&mut self, mut what: impl FnMut(&mut Client, &mut Around<'_>)) {
        let Self { dice, scenario, now, clients, network, ledgers, .. } = self;
        for client in clients {
            let ledger = &mut ledgers[client.tenant];
            let mut around = Around { now: *now, dice, network, ledger, scenario };
            what(client, &mut around);
        }
    }

    fn turn(&mut self, acts: bool, step_ms_max: u64) -> Result<(), Violation> {
        let step_ms = self.dice.between(1, step_ms_max);
        self.now = Now { ms: self.now.ms + step_ms, unix_ms: self.now.unix_ms + step_ms };
        let Self { dice, scenario, now, hosts, network, ledgers, .. } = self;
        network.store.advance(*now);
        if acts && scenario.config.store != StoreMode::Off && dice.permille(5) {
            ledgers[0].totals.tellings += 1;
            network.store.ask(hosts, *now);
        }
        let first = dice.size(0, hosts.len() - 1);
        let mut around = Around { now: *now, dice, network, ledger: &mut ledgers[0], scenario };
        for index in 0..hosts.len() {
            let at = (first + index) % hosts.len();
            hosts[at].turn(acts, &mut around);
        }
        self.each_client(|client, around| client.turn(acts, around));
        self.accept();
        self.verdict()
    }

    /// The acceptor: every socket goes to some shard.
    fn accept(&mut self) {
        for arrival in std::mem::take(&mut self.network.arrivals) {
            self.opened += 1;
            let peer = IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + self.opened));
            let home = self.dice.size(0, self.hosts.len() - 1);
            self.hosts[home].open(arrival.socket, peer, arrival.refuse, self.now);
        }
    }

    /// Nobody acts any more, and everything that is under way arrives.
    fn settle(&mut self) -> Result<(), Violation> {
        let deadline_ms = self.now.ms + SETTLE_MS_MAX;
        let mut quiet = 0;
        while quiet < 5 {
            self.turn(false, 25)?;
            let idle = self.network.is_idle() && self.hosts.iter().all(Host::is_idle);
            quiet = if idle { quiet + 1 } else { 0 };
            if self.now.ms > deadline_ms {
                let busy = self.network.sockets.iter().filter(|socket| !socket.is_idle());
                let what = format!("it does not become quiet: {:?}", busy.collect::<Vec<_>>());
                self.ledgers[0].violate("what is under way arrives", what);
                return self.verdict();
            }
        }
        Ok(())
    }

    fn dropped(&self) -> u64 {
        self.dropped + self.hosts.iter().map(|host| host.shard.metrics.frames_dropped).sum::<u64>()
    }

    /// Every message that a member of an ephemeral room missed was dropped, and counted.
    fn check_losses(&mut self) {
        let dropped = self.dropped();
        let lost: u64 = self.ledgers.iter().map(|ledger| ledger.totals.losses).sum();
        if lost > dropped {
            let what = format!("{lost} lost, {dropped} counted");
            self.ledgers[0].violate("every loss is a counted drop", what);
        }
    }

    /// Everybody goes, or is sent away; when time has passed nothing is left.
    fn part(&mut self) -> Result<(), Violation> {
        if self.dice.percent(30) {
            for host in &mut self.hosts {
                host.shard.on_drain(1_000, 5_000, self.now);
            }
        } else {
            self.each_client(Client::farewell);
        }
        let end_ms = self.now.ms + self.scenario.forgetting_ms();
        while self.now.ms < end_ms {
            self.turn(false, 400)?;
        }
        if let Some(client) = self.clients.iter().position(|client| !client.is_gone()) {
            self.ledgers[0].violate("everybody can go", format!("client {client} is still there"));
        }
        for host in &self.hosts {
            host.check_empty(&mut self.ledgers[0]);
        }
        self.verdict()
    }
}
