//! Several stand-ins that share their rooms, each with a fault of its own; and one that dies.

use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::thread;

use super::{Fault, StandIn, State};

impl StandIn {
    /// One server for each fault, with the same rooms.
    pub(crate) fn cluster<const N: usize>(faults: [Fault; N]) -> [Self; N] {
        let state: Arc<Mutex<State>> = Arc::default();
        let mut node = 0;
        faults.map(|fault| {
            node += 1;
            Self::start_node(fault, node - 1, Arc::clone(&state))
        })
    }

    /// A process that does nothing, and takes this server with it when it ends.
    pub(crate) fn tie_to_process(&self) -> u32 {
        let mut child: Child = Command::new("sleep").arg("60").spawn().expect("there is a sleep");
        let (id, shared, address) = (child.id(), Arc::clone(&self.shared), self.address);
        thread::spawn(move || {
            let _ = child.wait();
            shared.lock().die(shared.node);
            // Wakes whoever accepts, so that the listener goes too.
            drop(TcpStream::connect(address));
        });
        id
    }
}

impl State {
    /// Whoever is at this server is cut off, and it hears nothing more.
    fn die(&mut self, node: usize) {
        self.dead.insert(node);
        let gone: Vec<_> =
            self.sockets.iter().filter(|(_, (at, _))| *at == node).map(|(id, _)| *id).collect();
        for id in gone {
            if let Some((_, socket)) = self.sockets.get(&id) {
                // Its other end may have gone before.
                let _ = socket.shutdown(Shutdown::Both);
            }
            self.leave(id);
        }
    }
}
