//! The durable store (`--store`): whatever outlives the process is there again, however the process ended.

mod full_disk;
mod kill_loop;
mod refusals;
mod restart;
mod revocations;
mod sessions;

use serde_json::Value;

use crate::support::{Server, TemporaryDirectory};

/// A store, and the gateways that use it one after the other.
struct Home {
    directory: TemporaryDirectory,
    settings: Vec<String>,
}

impl Home {
    fn new(settings: &[&str]) -> Self {
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        Self { directory: TemporaryDirectory::new(), settings }
    }

    fn path(&self) -> &str {
        self.directory.path().to_str().expect("UTF-8")
    }

    /// Starts a gateway; rooms change shards each time, as names are spread anew.
    fn start(&self, shards: usize) -> Server {
        let settings: Vec<&str> = self.settings.iter().map(String::as_str).collect();
        Server::builder().shards(shards).with(&["--store", self.path()]).with(&settings).start()
    }

    /// Ends a gateway and starts the next: by a signal that it never sees, or by one that it obeys.
    fn restart(&self, mut server: Server, end: End, shards: usize) -> Server {
        match end {
            End::Killed => server.kill(),
            End::Stopped => {
                server.terminate();
                assert!(server.wait_for_exit().success());
            }
        }
        self.start(shards)
    }
}

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Killed,
    Stopped,
}

const ENDS: [End; 2] = [End::Killed, End::Stopped];

/// A message's place.
fn place(message: &Value) -> (Value, Value, Value) {
    (message["id"].clone(), message["epoch"].clone(), message["offset"].clone())
}
