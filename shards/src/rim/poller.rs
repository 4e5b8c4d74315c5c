//! One epoll set a shard: its sockets edge-triggered, its doorbell, and a timer that ticks.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

use crate::id::ConnectionId;
use crate::timer_wheel::TICK_MS;

/// Events that one wait returns at most.
const EVENTS_MAX: usize = 1024;
/// Names that no connection has: generations begin at 1.
const DOORBELL: u64 = 0;
const TIMER: u64 = 1;

/// What became ready.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ready {
    /// Somebody put something into a queue of the shard.
    Doorbell,
    /// Time has passed.
    Timer,
    /// A socket.
    Socket {
        /// Whose.
        id: ConnectionId,
        /// There is something to read, or the end of it.
        readable: bool,
        /// There is room to write.
        writable: bool,
        /// The client closed its side, or the socket failed.
        hang_up: bool,
    },
}

/// The epoll set.
pub(super) struct Poller {
    epoll: OwnedFd,
    timer: OwnedFd,
    events: Vec<Event>,
}

impl Poller {
    /// A set with a doorbell and a ticking timer.
    pub(super) fn new(doorbell: impl AsFd) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, doorbell, EventData::new_u64(DOORBELL), EventFlags::IN)?;
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        let tick = timespec(Duration::from_millis(TICK_MS));
        let every = Itimerspec { it_interval: tick, it_value: tick };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &every)?;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN)?;
        Ok(Self { epoll, timer, events: Vec::with_capacity(EVENTS_MAX) })
    }

    /// The set itself, to be awaited by the executor when the shard is idle.
    pub(super) fn try_clone(&self) -> io::Result<OwnedFd> {
        self.epoll.try_clone()
    }

    /// Adds a socket, edge-triggered: no more calls are needed for it until it goes.
    pub(super) fn add(&self, socket: impl AsFd, id: ConnectionId) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(id.to_u64()), flags)?)
    }

    /// A socket of the set is another connection's from now on; what is ready is told anew.
    pub(super) fn rename(&self, socket: impl AsFd, id: ConnectionId) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::modify(&self.epoll, socket, EventData::new_u64(id.to_u64()), flags)?)
    }

    /// Removes a socket that lives on elsewhere.
    pub(super) fn remove(&self, socket: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, socket)?)
    }

    /// Waits for at most `timeout`, or until the timer ticks, and gives what became ready to `take`; their number.
    pub(super) fn wait(
        &mut self,
        timeout: Option<Duration>,
        mut take: impl FnMut(Ready),
    ) -> io::Result<usize> {
        self.events.clear();
        let timeout = timeout.map(timespec);
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &self.events {
            match event.data.u64() {
                DOORBELL => take(Ready::Doorbell),
                TIMER => {
                    let _ = rustix::io::read(&self.timer, &mut [0u8; 8]);
                    take(Ready::Timer);
                }
                word => {
                    let flags = event.flags;
                    let hang_up = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
                    take(Ready::Socket {
                        id: ConnectionId::from_u64(word),
                        readable: hang_up || flags.contains(EventFlags::IN),
                        writable: flags.contains(EventFlags::OUT),
                        hang_up,
                    });
                }
            }
        }
        Ok(self.events.len())
    }
}

/// Lets so much time pass, whatever becomes ready.
pub(super) fn pass(duration: Duration) {
    // An interrupted sleep is a shorter one, and no harm.
    let _ = rustix::thread::nanosleep(&timespec(duration));
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}
