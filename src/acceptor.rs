//! The acceptor: one thread that listens, admits, hashes each connection onto a shard and hands its socket over.
//!
//! It never spins and never dies: out of descriptors or memory it waits a moment and tries again. Whoever it
//! refuses is still handed over, so that the shard answers with a proper status once the request is read; only
//! when there are too many of those does it answer by itself and hang up.

mod admission;
mod listener;
mod memory;

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, SocketFlags, acceptfrom_with, recv, send, shutdown};

use roomcast_shards::clock::Clock;
use roomcast_shards::config::Limits;
use roomcast_shards::connection::http::TurnAway;
use roomcast_shards::rim::{Rejected, Shards};

use crate::control::AcceptorMetrics;
use admission::{Admissions, RETRY_AFTER_S, Verdict};
pub(crate) use listener::bind;
use memory::Memory;

/// How often news of the shards are taken in when nobody connects.
const NEWS_INTERVAL: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// How long to wait when the process or the system is out of descriptors or memory.
const BACK_OFF: Duration = Duration::from_millis(100);
/// Connections accepted from one listener before the others and the news get their turn.
const ACCEPTS_MAX: usize = 64;
/// What a client hears that not even a shard could be asked to answer.
const BUSY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
/// The epoll name of the doorbell that ends the thread; listeners are named by their position.
const STOP: u64 = u64::MAX;

/// The running acceptor.
#[derive(Debug)]
pub(crate) struct Acceptor {
    stop: Arc<OwnedFd>,
    thread: JoinHandle<()>,
}

impl Acceptor {
    /// Starts to accept.
    pub(crate) fn start(
        listeners: Vec<TcpListener>,
        shards: Arc<Shards>,
        limits: &Limits,
        memory_max: Option<u64>,
        clock: Clock,
        metrics: Arc<AcceptorMetrics>,
    ) -> io::Result<Self> {
        let stop = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?);
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &stop, EventData::new_u64(STOP), EventFlags::IN)?;
        for (index, listener) in (0u64..).zip(&listeners) {
            epoll::add(&epoll, listener, EventData::new_u64(index), EventFlags::IN)?;
        }
        let worker = Worker {
            epoll,
            listeners,
            shards,
            admissions: Admissions::new(limits),
            clock,
            metrics,
            hasher: RandomState::new(),
            memory: Memory::new(memory_max),
            complained: None,
        };
        let thread = std::thread::Builder::new().name("acceptor".to_owned()).spawn(move || worker.run())?;
        Ok(Self { stop, thread })
    }

    /// Closes the listeners and ends the thread.
    pub(crate) fn stop(self) {
        let _ = rustix::io::write(&*self.stop, &1u64.to_ne_bytes());
        let _ = self.thread.join();
    }
}

struct Worker {
    epoll: OwnedFd,
    listeners: Vec<TcpListener>,
    shards: Arc<Shards>,
    admissions: Admissions,
    clock: Clock,
    metrics: Arc<AcceptorMetrics>,
    hasher: RandomState,
    memory: Memory,
    /// When a failure to accept was last logged.
    complained: Option<Instant>,
}

impl Worker {
    fn run(mut self) {
        let mut events: Vec<Event> = Vec::with_capacity(16);
        loop {
            events.clear();
            let spare = rustix::buffer::spare_capacity(&mut events);
            if let Err(error) = epoll::wait(&self.epoll, spare, Some(&NEWS_INTERVAL))
                && error != Errno::INTR
            {
                tracing::error!(event = "epoll_failed", %error);
                std::thread::sleep(BACK_OFF);
            }
            self.take_news();
            if let Some(overload) = self.memory.look(self.clock.now().ms) {
                self.shards.shed(overload);
            }
            for event in &events {
                match event.data.u64() {
                    STOP => return,
                    index => self.accept_from(usize::try_from(index).unwrap_or(usize::MAX)),
                }
            }
        }
    }

    /// What became of earlier connections.
    fn take_news(&mut self) {
        let now_ms = self.clock.now().ms;
        for admission in self.shards.admissions().try_iter() {
            self.admissions.on_news(admission, now_ms);
        }
        self.admissions.sweep(now_ms);
    }

    fn accept_from(&mut self, index: usize) {
        for _ in 0..ACCEPTS_MAX {
            let Some(listener) = self.listeners.get(index) else { return };
            match acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok((socket, Some(peer))) => match SocketAddr::try_from(peer) {
                    Ok(peer) => self.admit(socket, peer),
                    Err(error) => tracing::warn!(event = "accept_failed", %error),
                },
                Ok((_, None)) | Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(Errno::AGAIN) => return,
                Err(error) => return self.back_off(error),
            }
        }
    }

    /// Out of something: said once a second, and tried again after a moment.
    fn back_off(&mut self, error: Errno) {
        self.metrics.accept_errors.fetch_add(1, Ordering::Relaxed);
        self.complain(&format!("no connection can be accepted for now: {error}"));
        std::thread::sleep(BACK_OFF);
    }

    /// Logs that clients stay outside, once a second however many they are.
    fn complain(&mut self, reason: &str) {
        if self.complained.is_none_or(|at| at.elapsed() >= Duration::from_secs(1)) {
            self.complained = Some(Instant::now());
            tracing::warn!(event = "connections_refused", reason);
        }
    }

    fn admit(&mut self, socket: OwnedFd, peer: SocketAddr) {
        self.metrics.accepted.fetch_add(1, Ordering::Relaxed);
        // What the client was told before it came back has been reported before that.
        self.take_news();
        let verdict = self.admissions.admit(peer.ip(), self.clock.now().ms);
        let turn_away = match verdict {
            Verdict::Admitted => None,
            Verdict::AddressFull { retry_after_s } => {
                self.metrics.refused_address.fetch_add(1, Ordering::Relaxed);
                Some(TurnAway { status: 429, retry_after_s })
            }
            Verdict::ProcessFull => {
                self.metrics.refused_full.fetch_add(1, Ordering::Relaxed);
                Some(TurnAway { status: 503, retry_after_s: RETRY_AFTER_S })
            }
            Verdict::Overrun => {
                self.metrics.refused_full.fetch_add(1, Ordering::Relaxed);
                self.complain("connections are refused, more than can be told why");
                return hang_up(&socket);
            }
        };
        if turn_away.is_some() {
            self.complain(&format!("connections are refused: {verdict:?}"));
        }
        let shard = self.hasher.hash_one(peer);
        let shard = usize::try_from(shard % self.shards.len() as u64).unwrap_or(0);
        if let Err(Rejected(stream)) = self.shards.accept(shard, TcpStream::from(socket), peer, turn_away) {
            self.metrics.refused_backlog.fetch_add(1, Ordering::Relaxed);
            self.admissions.take_back(peer.ip(), verdict);
            hang_up(&stream);
        }
    }
}

/// Answers without understanding the request. What has arrived of it is taken first, because closing a socket with
/// unread bytes resets it, and the answer would be lost; what comes later may still do that.
fn hang_up(socket: impl AsFd) {
    let _ = recv(&socket, &mut [0u8; 4096], RecvFlags::DONTWAIT);
    let _ = send(&socket, BUSY, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
    let _ = shutdown(&socket, Shutdown::Write);
}
