//! Inquiries against shards that answer, and one that does not.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::time::Instant;

use roomcast_shards::id::ConnectionId;
use roomcast_shards::mesh::item::ReplyTo;
use roomcast_shards::metrics::Metrics;
use serde_json::Value;

use super::super::health::HealthLimits;
use super::super::metrics::Sources;
use super::super::places::Places;
use super::super::snapshots::{Answers, Snapshots};
use super::super::{AcceptorMetrics, Extra};
use super::*;

/// What shards were answered, in order.
type Log = Arc<Mutex<Vec<(ShardId, Option<Vec<u8>>)>>>;

fn inquiries(shards: usize, ask: impl Fn(Answers) + Send + Sync + 'static) -> (Inquiries, Log) {
    let log = Log::default();
    let gateway = Gateway {
        snapshots: Snapshots::new(shards, Box::new(ask)),
        draining: Arc::default(),
        sources: Sources {
            extra: Extra {
                logs_dropped: || 7,
                refused: Arc::new(AcceptorMetrics::default()),
                engine: None,
                store: None,
            },
            places: Arc::new(Places::new(1)),
            backends: Arc::new(crate::backend::Backends::none()),
            api: Arc::default(),
            bus: Arc::new(crate::listeners::Bus::none()),
            emitter: Arc::default(),
        },
        limits: HealthLimits { connections_max: 10, ..HealthLimits::default() },
        started: Instant::now(),
        addresses: Vec::new(),
    };
    let answered = Arc::clone(&log);
    let answer = move |shard, _: Caller, members| {
        answered.lock().unwrap().push((shard, members));
        true
    };
    (Inquiries::new(Arc::new(gateway), Box::new(answer)), log)
}

fn asked(shard: u16, topic: Monitoring) -> Asked {
    let caller = Caller { connection: ConnectionId::from_u64(7), reply: ReplyTo::Nobody };
    (ShardId(shard), caller, topic)
}

fn block_on(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test);
}

fn read(members: Option<&Vec<u8>>) -> Value {
    let members = std::str::from_utf8(members.expect("an answer")).unwrap();
    serde_json::from_str(&format!("{{{members}}}")).unwrap()
}

#[test]
fn inquiries_that_wait_share_a_snapshot_and_are_answered_in_order() {
    let rounds = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&rounds);
    let (inquiries, log) = inquiries(2, move |answers| {
        counter.fetch_add(1, Ordering::Relaxed);
        for shard in 0..2 {
            let metrics = Metrics { connections: 5, deliveries: 3, ..Metrics::default() };
            answers.try_send((ShardId(shard), metrics)).unwrap();
        }
    });
    block_on(async {
        let (sender, receiver) = mpsc::channel(8);
        for (shard, topic) in [
            (1, Monitoring::Metrics),
            (0, Monitoring::Stats),
            (1, Monitoring::Health),
            (0, Monitoring::Events),
        ] {
            sender.try_send(asked(shard, topic)).unwrap();
        }
        drop(sender);
        inquiries.serve(receiver).await;
    });
    assert_eq!(rounds.load(Ordering::Relaxed), 1);
    let log = log.lock().unwrap();
    assert_eq!(log.iter().map(|(shard, _)| shard.0).collect::<Vec<_>>(), [1, 0, 1, 0]);
    assert_eq!(read(log[0].1.as_ref())["metrics"]["roomcast_deliveries_total{shard=\"1\"}"], 3);
    assert_eq!(read(log[1].1.as_ref())["deliveries"], 6);
    let health = read(log[2].1.as_ref());
    assert_eq!(health["status"], "degraded", "10 of 10 connections: {health}");
    assert_eq!(log[3].1, None, "not ours to answer");
}

#[test]
fn a_shard_that_takes_nothing_is_not_filled_and_its_inquiries_are_kept() {
    let (mut inquiries, log) = inquiries(2, |_| {});
    let snapshot = |second_caught_up: bool| Snapshot {
        shards: vec![Metrics::default(); 2],
        unresponsive: usize::from(!second_caught_up),
        caught_up: vec![true, second_caught_up],
    };
    let mut round = |batch: &mut Vec<Asked>, second_caught_up| {
        inquiries.answer(batch, &snapshot(second_caught_up));
        let count = |shard| log.lock().unwrap().iter().filter(|(to, _)| *to == ShardId(shard)).count();
        (count(0), count(1))
    };
    let both = || [0, 1].map(|shard| asked(shard, Monitoring::Stats));
    let mut batch = Vec::new();
    for n in 1..=UNTAKEN_MAX {
        batch.extend(both());
        assert_eq!(round(&mut batch, false), (n, n));
    }
    batch.extend(both());
    assert_eq!(round(&mut batch, false), (UNTAKEN_MAX + 1, UNTAKEN_MAX));
    assert_eq!(round(&mut batch, false), (UNTAKEN_MAX + 1, UNTAKEN_MAX));
    assert_eq!(batch.iter().map(|(shard, ..)| shard.0).collect::<Vec<_>>(), [1], "kept, not lost");
    assert_eq!(round(&mut batch, true), (UNTAKEN_MAX + 1, UNTAKEN_MAX + 1));
    assert!(batch.is_empty());
}
