//! Wakes a sleeping shard: an eventfd in its epoll set, rung once for a batch and only when it sleeps.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering, fence};

use rustix::event::{EventfdFlags, eventfd};

/// One shard's doorbell.
#[derive(Debug)]
pub struct Doorbell {
    fd: OwnedFd,
    sleeping: AtomicBool,
}

impl Doorbell {
    /// A doorbell whose owner is awake.
    ///
    /// # Errors
    /// When the process has no descriptor left.
    pub fn new() -> io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self { fd, sleeping: AtomicBool::new(false) })
    }

    /// Wakes the owner if it sleeps; to be called after something was put where it looks. Whether it had to be woken.
    pub fn ring(&self) -> bool {
        // Pairs with the fence in `lie_down`: either the owner sees what was put, or this sees it asleep.
        fence(Ordering::SeqCst);
        let asleep = self.sleeping.load(Ordering::Relaxed) && self.sleeping.swap(false, Ordering::AcqRel);
        if asleep {
            // Fails only when the counter is full, and then it wakes all the same.
            let _ = rustix::io::write(&self.fd, &1u64.to_ne_bytes());
        }
        asleep
    }

    /// Announces sleep; the owner must look once more at all its queues before it really waits.
    pub(super) fn lie_down(&self) {
        self.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    /// The owner is awake again.
    pub(super) fn get_up(&self) {
        self.sleeping.store(false, Ordering::Relaxed);
    }

    /// Takes the ring off the eventfd.
    pub(super) fn silence(&self) {
        let _ = rustix::io::read(&self.fd, &mut [0u8; 8]);
    }
}

impl AsFd for Doorbell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sleeper_is_woken_and_only_once() {
        let bell = Doorbell::new().unwrap();
        assert!(!bell.ring());
        bell.lie_down();
        assert!(bell.ring());
        assert!(!bell.ring());
        bell.lie_down();
        bell.get_up();
        assert!(!bell.ring());
    }
}
