//! Settings of the durable store.

use super::{Setting, one, unset};

pub(super) const STORE: &[Setting] = &[
    unset(
        "store",
        "DIR",
        "Directory in which histories, offline queues, sessions, created rooms and the like outlive the process. Unset: \
         everything is in memory only.",
    ),
    one(
        "durability",
        "batch|async",
        "batch",
        "batch: whatever anybody is told is on disk before, so that not even a loss of power takes it back. async: nothing \
         waits for the disk; what was told in the last second may be lost, and rooms begin a new epoch after a crash.",
    ),
    one(
        "commit-interval",
        "DURATION",
        "5ms",
        "Time between two commits under load: what comes meanwhile shares one write. At most 1s; 0 writes as fast as the \
         disk can.",
    ),
    one(
        "store-max-bytes",
        "SIZE",
        "4GiB",
        "Bytes of the store's files. All histories together take at most a third of it, whatever --history-total says.",
    ),
    one(
        "store-queue",
        "SIZE",
        "64MiB",
        "Bytes that may wait to be written; beyond it clients are not read until the disk has caught up.",
    ),
];
