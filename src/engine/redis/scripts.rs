//! What Redis does in one step, so that order, history and what is told agree.

use redis::{Cmd, ErrorKind, RedisError, Script};

use redis::aio::MultiplexedConnection;

use super::cluster::Overrun;

/// The scripts, known to the server by their hashes.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) open: Script,
    pub(super) append: Script,
    pub(super) note: Script,
    pub(super) take: Script,
    pub(super) close: Script,
    pub(super) revoke: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            open: Script::new(include_str!("scripts/open.lua")),
            append: Script::new(include_str!("scripts/append.lua")),
            note: Script::new(include_str!("scripts/note.lua")),
            take: Script::new(include_str!("scripts/take.lua")),
            close: Script::new(include_str!("scripts/close.lua")),
            revoke: Script::new(include_str!("scripts/revoke.lua")),
        }
    }

    /// Makes the scripts known to a server.
    ///
    /// # Errors
    /// The server's, or the connection's.
    pub(super) async fn load(&self, connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
        for script in [&self.open, &self.append, &self.note, &self.take, &self.close, &self.revoke] {
            script.load_async(connection).await?;
        }
        Ok(())
    }

    /// A call of a script, whose further arguments follow.
    pub(super) fn call(&self, script: &Script, keys: &[&str]) -> Cmd {
        let mut call = redis::cmd("EVALSHA");
        call.arg(script.get_hash()).arg(keys.len()).arg(keys);
        call
    }
}

/// An answer that no script of ours gives.
pub(super) fn illegible() -> RedisError {
    RedisError::from((ErrorKind::UnexpectedReturnType, "an answer that makes no sense here"))
}

/// The control plane has too much to hear as it is.
pub(super) fn busy(overrun: &Overrun) -> RedisError {
    RedisError::from((ErrorKind::Client, "no room", overrun.to_string()))
}
