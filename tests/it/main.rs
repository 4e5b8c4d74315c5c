//! Black-box tests of the `roomcast` binary: real sockets, real processes, one module per behaviour.
//!
//! Each test starts a server of its own on a free port and says in its name what it proves. What can be proved
//! on the pure shard core is proved there (`shards/`), faster; here is what only the whole can show.

mod auth;
mod auth_lifetime;
mod bounds;
mod catalogue;
mod cli;
mod coalescing;
mod commands;
mod content;
mod control_plane;
mod created_rooms;
mod custom_profiles;
mod descriptors;
mod dev_page;
mod dialects;
mod drain;
mod edits;
mod envelope;
mod foreign_clients;
mod handshake;
mod history;
mod keys;
mod lanes;
mod letter;
mod limits;
mod logs;
mod memory;
mod messages;
mod monitoring;
mod offline_queues;
mod order;
mod patterns;
mod permissions;
mod presence;
mod receipts;
mod room_classes;
mod room_edges;
mod rooms;
mod rule_table;
mod sanitize;
mod seed_000;
mod seed_001;
mod seed_002;
mod seed_003;
mod seed_004;
mod sessions;
mod slow_consumer;
mod storm;
mod support;
mod system_calls;
mod tenancy;
mod topic;
mod typing;
mod websocket;
