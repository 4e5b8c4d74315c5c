//! The connections of the control plane: admitted up to a bound, served for a bounded time.
//!
//! They come from the shards, with what the client sent so far, and from the listener, if there is one. Both share
//! one bound, so that neither way in can take more descriptors than the other.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use roomcast_shards::rim::HttpConnection;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::api::Api;
use super::places::{Place, Places};
use super::replay::Replayed;
use super::visit::{Access, Visit};

/// A connection that asks for nothing for so long ends.
const IDLE_TIME_MAX: Duration = Duration::from_secs(10);
/// A head must have arrived within this time of the answer before it; so an idle connection of a caller of the server API
/// ends then, too.
const HEAD_TIME_MAX: Duration = Duration::from_secs(90);
/// How often it is looked whether a connection has been here for too long.
const LOOK: Duration = Duration::from_secs(2);
/// A connection asks for nothing more after this time, busy or not: nobody holds a place by reading slowly.
const VISIT_TIME_MAX: Duration = Duration::from_secs(60);
/// As [`VISIT_TIME_MAX`], for connections that are refused.
const REFUSAL_TIME_MAX: Duration = Duration::from_secs(1);
/// After its time, a connection may still finish the answer that is under way.
const LAST_ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// How long the listener rests when the kernel has no connection to give, for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Serves connections, each in a task of its own.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) router: Router,
    pub(super) api: Arc<Api>,
    /// What connections may ask for that a shard handed over.
    pub(super) handed_over: Access,
    pub(super) places: Arc<Places>,
    /// Says when to finish; also by being closed.
    pub(super) stop: watch::Receiver<bool>,
}

impl Server {
    /// Serves what the shards hand over, until none is left who could.
    pub(super) async fn serve_handovers(&self, mut handovers: mpsc::Receiver<HttpConnection>) {
        while let Some(HttpConnection { stream, received }) = handovers.recv().await {
            match TcpStream::from_std(stream) {
                Ok(stream) => self.admit(stream, received, self.handed_over),
                Err(error) => tracing::warn!(event = "http_handover_failed", %error),
            }
        }
    }

    /// Serves a listener's connections for ever.
    pub(super) async fn serve_listener(&self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => self.admit(stream, Vec::new(), Access::Listener),
                Err(error) if is_clients_fault(&error) => {}
                Err(error) => {
                    tracing::warn!(event = "http_accept_failed", %error);
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn admit(&self, stream: TcpStream, received: Vec<u8>, access: Access) {
        let (access, place) = match Arc::clone(&self.places.served).try_acquire_owned() {
            Ok(place) => (access, place),
            Err(_) => {
                self.places.refused.fetch_add(1, Ordering::Relaxed);
                let Ok(place) = Arc::clone(&self.places.told).try_acquire_owned() else { return };
                (Access::Full, place)
            }
        };
        // An answer is written at once; that it may wait for an acknowledgement is only a matter of speed.
        let _ = stream.set_nodelay(true);
        let place = Place::new(Arc::clone(&self.places), place);
        let visit = Visit::new(access, self.router.clone(), Arc::clone(&self.api), place);
        let stop = self.stop.clone();
        tokio::spawn(async move {
            serve(Replayed::new(received, stream), visit, access, stop).await;
        });
    }
}

/// Serves one connection to its end.
async fn serve(stream: Replayed<TcpStream>, visit: Visit, access: Access, mut stop: watch::Receiver<bool>) {
    let visit = Arc::new(visit);
    let watched = Arc::clone(&visit);
    let service = service_fn(move |request| {
        let visit = Arc::clone(&visit);
        async move { Ok::<_, Infallible>(visit.answer(request).await) }
    });
    let (keep_alive, time_max) = match access {
        Access::Full => (false, REFUSAL_TIME_MAX),
        _ => (true, VISIT_TIME_MAX),
    };
    let connection = http1::Builder::new()
        // Who has said all it wants to ask may still hear the answer.
        .half_close(true)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .keep_alive(keep_alive)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    // How a client's connection fails is its own affair; whoever asks sees it.
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = stop.wait_for(|stop| *stop) => break,
            () = sleep(LOOK.min(time_max)) => {}
        }
        if watched.is_over(time_max, IDLE_TIME_MAX) {
            break;
        }
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(LAST_ANSWER_TIME_MAX, connection).await;
}

/// Whether an `accept` failed because of that connection alone, so that the next may succeed at once.
fn is_clients_fault(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
