//! A TCP proxy whose connections can be cut, as a network does it, and that can lead to another server.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A proxy on a free port, for as long as it lives.
pub(crate) struct Proxy {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    /// Where it leads to, unless it is down.
    upstream: Option<SocketAddr>,
    /// Both sides of every connection since the last cut.
    sockets: Vec<TcpStream>,
    over: bool,
}

impl Proxy {
    /// Leads to that server.
    pub(crate) fn to(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let state = State { upstream: Some(upstream), sockets: Vec::new(), over: false };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        thread::spawn(move || serve(&listener, &shared));
        Self { address, state }
    }

    /// Cuts every connection; until [`Proxy::lead_to`], new ones are closed at once.
    pub(crate) fn cut(&self) {
        let mut state = self.state.lock().expect("nobody panics with the lock");
        state.upstream = None;
        for socket in state.sockets.drain(..) {
            // It may have ended by itself.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// Leads new connections to that server.
    pub(crate) fn lead_to(&self, upstream: SocketAddr) {
        self.state.lock().expect("nobody panics with the lock").upstream = Some(upstream);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        if let Ok(mut state) = self.state.lock() {
            state.over = true;
        }
        // Wakes the thread that accepts, so that it sees the end.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(listener: &TcpListener, state: &Mutex<State>) {
    for client in listener.incoming().map_while(Result::ok) {
        let mut state = state.lock().expect("nobody panics with the lock");
        if state.over {
            return;
        }
        let server = state.upstream.map(TcpStream::connect);
        if let Some(Ok(server)) = server {
            for (from, to) in [(&client, &server), (&server, &client)] {
                let [from, to] = [from, to].map(|socket| socket.try_clone().expect("a descriptor"));
                state.sockets.push(from.try_clone().expect("a descriptor"));
                thread::spawn(move || copy(from, to));
            }
        }
    }
}

/// Hands on each piece as it comes, and the end.
fn copy(mut from: TcpStream, mut to: TcpStream) {
    let _ = to.set_nodelay(true);
    let mut piece = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        if to.write_all(&piece[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
