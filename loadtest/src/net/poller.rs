//! One epoll set and one timer: waits for sockets until a point in time, to the microsecond.
//!
//! epoll counts time-outs in milliseconds, which would send messages late; a timerfd in the set does not.
//! Everything is edge-triggered: the kernel then polls no socket twice, nothing needs re-arming, and a connection that
//! is not being read does not keep waking the loop.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::{Errno, Result};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::clock;

/// Readiness taken from the kernel in one call.
const EVENTS_MAX: usize = 1024;
/// The timer's key; no connection's index is as large.
const TIMER: u64 = u64::MAX;

/// Waits for registered sockets, which it knows by index.
pub(super) struct Poller {
    epoll: OwnedFd,
    timer: OwnedFd,
    /// What the timer is set to, so that it is set only when that changes.
    armed_ns: u64,
    events: Vec<Event>,
}

impl Poller {
    /// An empty set.
    ///
    /// # Errors
    /// When the kernel has no descriptors left.
    pub(super) fn new() -> Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN | EventFlags::ET)?;
        Ok(Self { epoll, timer, armed_ns: 0, events: Vec::with_capacity(EVENTS_MAX) })
    }

    /// Watches a socket for everything; closing it ends that.
    ///
    /// # Errors
    /// When the kernel has no memory or watches left.
    pub(super) fn add(&self, socket: impl AsFd, index: usize) -> Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, socket, EventData::new_u64(index as u64), flags)
    }

    /// Sleeps until a socket is ready, or `until_ns`, or a signal. Returns the number of [`Poller::event`]s.
    ///
    /// # Errors
    /// Only when the set itself is broken.
    pub(super) fn wait(&mut self, until_ns: u64, now_ns: u64) -> Result<usize> {
        let past = until_ns <= now_ns;
        if !past && self.armed_ns != until_ns {
            let expiry =
                Itimerspec { it_interval: clock::to_timespec(0), it_value: clock::to_timespec(until_ns) };
            timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &expiry)?;
            self.armed_ns = until_ns;
        }
        let timeout = past.then_some(Timespec { tv_sec: 0, tv_nsec: 0 });
        self.events.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(self.events.len()),
            Err(error) => Err(error),
        }
    }

    /// How long ago the timer, which has just gone off, was to go off.
    pub(super) fn late_ns(&self) -> u64 {
        clock::now_ns().saturating_sub(self.armed_ns)
    }

    /// The connection and readiness of an event of the last wait; `None` for the timer's.
    #[inline]
    pub(super) fn event(&self, number: usize) -> Option<(usize, EventFlags)> {
        let Event { flags, data } = self.events[number];
        usize::try_from(data.u64()).ok().filter(|_| data.u64() != TIMER).map(|index| (index, flags))
    }
}
