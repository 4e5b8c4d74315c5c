//! The one file that names glommio: an executor a shard, pinned to its CPU.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;
use std::time::Duration;

use glommio::io::PollableFd;
use glommio::{GlommioError, LocalExecutorBuilder, Placement};

use super::StartError;
use crate::id::ShardId;

/// How long a task may run before the others of its executor get their turn. There are none to speak of.
const PREEMPT_TIMER: Duration = Duration::from_millis(10);
/// Entries of the executor's rings: it only ever waits for one descriptor.
const RING_DEPTH: usize = 128;
/// Bytes registered for file I/O, of which there is none.
const IO_MEMORY: usize = 64 << 10;

/// Runs a shard's future on a thread and executor of its own, pinned if `cpus` says where.
///
/// # Errors
/// [`StartError::Uring`] when the kernel does not let the executor have its rings.
pub(super) fn spawn<F, T>(
    id: ShardId,
    cpus: &[usize],
    future: impl FnOnce() -> F + Send + 'static,
) -> Result<JoinHandle<()>, StartError>
where
    F: Future<Output = T> + 'static,
    T: Send + 'static,
{
    let placement = match cpus.len() {
        0 => Placement::Unbound,
        count => Placement::Fixed(cpus[id.index() % count]),
    };
    let executor = LocalExecutorBuilder::new(placement)
        .name(&format!("shard-{}", id.0))
        .preempt_timer(PREEMPT_TIMER)
        .ring_depth(RING_DEPTH)
        .io_memory(IO_MEMORY)
        .spawn(future)
        .map_err(start_error)?;
    // glommio names its own join handle; a thread that waits for it gives the standard one.
    let join = std::thread::Builder::new().name(format!("join-{}", id.0)).stack_size(64 << 10);
    Ok(join.spawn(move || drop(executor.join()))?)
}

fn start_error(error: GlommioError<()>) -> StartError {
    StartError::Uring(error.to_string())
}

/// Whether the kernel lets an executor start here.
///
/// # Errors
/// [`StartError::Uring`] when it does not.
pub fn probe() -> Result<(), StartError> {
    let executor = LocalExecutorBuilder::new(Placement::Unbound)
        .ring_depth(RING_DEPTH)
        .io_memory(IO_MEMORY)
        .spawn(|| async {})
        .map_err(start_error)?;
    executor.join().map_err(start_error)
}

/// A descriptor that the executor can wait for.
#[derive(Debug)]
pub(super) struct Awaitable(PollableFd<OwnedFd>);

impl Awaitable {
    /// To be called on the executor that will wait.
    pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
        PollableFd::new(fd).map(Self).map_err(|error| io::Error::other(error.to_string()))
    }

    /// Until the descriptor is readable, or `patience` has passed; at once when waiting fails, so that the caller looks
    /// for itself.
    pub(super) async fn readable(&self, patience: Duration) {
        let _ = glommio::timer::try_timeout(patience, self.0.readable()).await;
    }
}

/// Lets the executor do its own work.
pub(super) async fn yield_now() {
    glommio::executor().yield_task_queue_now().await;
}
