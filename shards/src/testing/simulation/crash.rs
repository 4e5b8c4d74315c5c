//! The process ends without notice, and another takes up what it finds on the disk.

use std::sync::Arc;

use super::super::client::Client;
use super::super::host::Host;
use super::super::network::Network;
use super::super::scenario::Scenario;
use super::Simulation;
use crate::config::StoreMode;
use crate::durable::Saved;
use crate::id::{Epoch, ShardId};
use crate::mesh::Router;
use crate::protocol::close_code::CloseCode;
use crate::shard::Shard;

impl Simulation {
    /// The process is killed, and started again at once.
    pub(super) fn crash(&mut self) {
        self.ledgers[0].totals.crashes += 1;
        self.ledgers.iter_mut().for_each(|ledger| ledger.crashed = true);
        self.ledgers[0].note(|| format!("{:>6} CRASH {:?}", self.now.ms, self.scenario.config.store));
        for host in &self.hosts {
            self.dropped += host.shard.metrics.frames_dropped;
            self.slow += host.shard.metrics.closes[CloseCode::SlowConsumer as usize];
        }
        let config = Arc::clone(&self.scenario.config);
        let mut saved = self.network.store.crash(&config.history, &mut self.dice);
        self.check_saved(&saved);
        if config.store == StoreMode::Async {
            let dice = &mut self.dice;
            let records = saved.renew(|| Epoch(dice.between(1, u64::MAX)));
            self.network.store.append(&records);
            self.ledgers.iter_mut().for_each(|ledger| ledger.renewed = true);
            self.epoch_seeds = std::array::from_fn(|_| self.dice.between(0, u64::MAX));
        }
        self.end_connections();
        self.begin_again(saved);
    }

    /// Everybody's connection is reset, and nothing of any is left.
    fn end_connections(&mut self) {
        self.each_client(Client::cut);
        let now_ms = self.now.ms;
        self.network.arrivals.clear();
        self.network.sockets.iter_mut().for_each(|socket| socket.lose_server(now_ms));
    }

    fn begin_again(&mut self, saved: Saved) {
        let config = &self.scenario.config;
        let mesh_seed = self.dice.between(0, u64::MAX);
        let router = Router::new(config.shards, mesh_seed);
        let parts = saved.split(config.shards, |room| router.owner(room).index());
        let (now, seeds, dice) = (self.now, self.epoch_seeds, &mut self.dice);
        let shard = |(id, part): (u16, Saved)| {
            let mut shard = Shard::new(ShardId(id), Arc::clone(config), mesh_seed, dice.seed(), now);
            shard.seed_epochs(seeds);
            shard.restore(part, now);
            Host::new(shard)
        };
        self.hosts = (0u16..).zip(parts).map(shard).collect();
        self.network.rings = Network::new(config.shards, config.ring_items_max).rings;
    }

    /// Whatever anybody has heard of a stream that is still there is on the disk.
    fn check_saved(&mut self, saved: &Saved) {
        let config = Arc::clone(&self.scenario.config);
        if config.tenancy || config.store != StoreMode::Batch {
            return;
        }
        let mut lost = None;
        for (room, epoch, stream) in
            self.ledgers[0].streams().filter(|(room, ..)| !Scenario::is_ephemeral(room))
        {
            let here = |host: &Host| host.shard.stream(room).is_some_and(|known| known.to_string() == epoch);
            let Some((last, _)) = stream.last_key_value().filter(|_| self.hosts.iter().any(here)) else {
                continue;
            };
            let Some(on_disk) = saved.rooms.get(room).filter(|on_disk| on_disk.epoch.to_string() == epoch)
            else {
                lost = Some(format!("{room} of {epoch} is gone, and {last} was told"));
                continue;
            };
            if on_disk.offset < *last {
                lost = Some(format!("{room} ends at {}, and {last} was told", on_disk.offset));
            }
            for entry in &on_disk.entries {
                let told = stream.get(&entry.offset).filter(|told| told.id != entry.id.to_string());
                if let Some(told) = told {
                    lost = Some(format!("{room} has {} at {}, told was {told:?}", entry.id, entry.offset));
                }
            }
        }
        if let Some(what) = lost {
            self.ledgers[0].violate("what anybody was told is on the disk", what);
        }
    }
}
