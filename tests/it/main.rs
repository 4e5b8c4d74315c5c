//! Black-box tests of the `roomcast` binary: real sockets, real processes, one module per behaviour.
//!
//! Each test starts a server of its own on a free port and says in its name what it proves. What can be proved
//! on the pure shard core is proved there (`shards/`), faster; here is what only the whole can show.

mod auth;
mod auth_lifetime;
mod bounds;
mod cli;
mod commands;
mod content;
mod control_plane;
mod descriptors;
mod dev_page;
mod dialects;
mod drain;
mod envelope;
mod foreign_clients;
mod handshake;
mod history;
mod keys;
mod letter;
mod limits;
mod logs;
mod messages;
mod order;
mod patterns;
mod permissions;
mod room_classes;
mod room_edges;
mod rooms;
mod slow_consumer;
mod support;
mod topic;
mod websocket;
