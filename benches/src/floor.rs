//! The bare epoll floor: the cheapest honest server for the work that the gateway is measured at.
//!
//! Its CPU per delivery, measured in the same run and on the same core, is the yardstick for the gateway's
//! (`scripts/bench`): machines drift by a factor of two within minutes, a ratio to the floor does not. What the gateway
//! costs beyond it is what its features cost.
//!
//! It does what no server can leave out: one thread waits on one epoll set; a turn receives each readable socket
//! once into a shared scratch buffer, unmasks the frames, gives each message the next offset of its room, formats
//! one frame for all members, copies it to their queues, and at the end sends each queue that grew in one call. What
//! a socket does not take waits for `EPOLLOUT`. It answers the upgrade, joins, pings and closes.
//!
//! It does nothing else. It parses no JSON but looks for substrings (`"message:send"`, `"roomId":"`), so it
//! understands only compact objects with string contents and closes a connection that sends anything else; it
//! checks no tokens, UTF-8, names or limits, does not answer sends, and has no history, presence, timers, fragments,
//! other dialects or shutdown. Rooms live as long as the process. Only two bounds are kept, since without them it
//! could not be left running: the size of a frame, and that of a queue, beyond which the connection is dropped.

mod connection;
mod frame;
mod handshake;
mod message;
mod server;

use std::io::Write as _;
use std::net::SocketAddr;

use anyhow::Context as _;
use clap::Parser;
use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::server::Server;

/// The allocator of the gateway, so that the two differ only in what they do.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The bare epoll server that the gateway is compared with.
#[derive(Debug, Parser)]
struct Args {
    /// Address to listen on; the one that was bound is printed as `listening ADDRESS`.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// CPU to run on; without it the thread is not pinned.
    #[arg(long)]
    cpu: Option<usize>,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if let Some(cpu) = args.cpu {
        pin(cpu)?;
    }
    raise_descriptor_limit()?;
    let mut server =
        Server::bind(args.listen).with_context(|| format!("cannot listen on {}", args.listen))?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "listening {}", server.address()?).context("cannot say where it listens")?;
    loop {
        server.turn().context("the event loop failed")?;
    }
}

fn pin(cpu: usize) -> anyhow::Result<()> {
    anyhow::ensure!(cpu < CpuSet::MAX_CPU, "there is no CPU {cpu}");
    let mut cpus = CpuSet::new();
    cpus.set(cpu);
    sched_setaffinity(None, &cpus).with_context(|| format!("cannot run on CPU {cpu}"))
}

/// Allows as many sockets as the system lets us have; the soft limit is often 1024.
fn raise_descriptor_limit() -> anyhow::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("cannot raise the limit of open files")
}
