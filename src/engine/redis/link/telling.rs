//! What the control planes say to each other, by the connection of the engine.

use redis::aio::MultiplexedConnection;
use redis::{RedisError, Value};

use super::Link;
use crate::engine::redis::cluster::{Heard, Tell, read_revoked};
use crate::engine::redis::revoked::{self, Change};
use crate::engine::redis::{scripts, unix_ms};

/// Changes that are written in one batch.
const CHANGES_AT_ONCE: usize = 512;

impl Link {
    /// Listens to what nodes say, and reads what was missed.
    ///
    /// # Errors
    /// The connection's; or when the control plane has no room to hear it.
    pub(super) async fn join_cluster(
        &mut self,
        connection: &mut MultiplexedConnection,
    ) -> Result<(), RedisError> {
        let subscribe = self.style.subscribe();
        for channel in [self.style.keys.node_channel(self.style.node), self.style.keys.revoked_channel()] {
            redis::cmd(subscribe).arg(channel).exec_async(connection).await?;
        }
        let revoked = read_revoked(&self.style.keys, connection).await?;
        self.ears.hear(Heard::AllRevoked(revoked)).map_err(|overrun| scripts::busy(&overrun))
    }

    /// Does what the control plane wants.
    ///
    /// # Errors
    /// The connection's.
    pub(super) async fn tell(
        &mut self,
        connection: &mut MultiplexedConnection,
        tells: &mut Vec<Tell>,
    ) -> Result<(), String> {
        let (mut looks, mut kept, mut pipeline) = (Vec::new(), Vec::new(), redis::pipe());
        let now_ms = unix_ms();
        for tell in tells.drain(..) {
            match tell {
                Tell::Look(answer) => looks.push(answer),
                Tell::Node(node, message) => {
                    let channel = self.style.keys.node_channel(node);
                    pipeline.cmd(self.style.publish()).arg(channel).arg(message);
                    kept.push(None);
                }
                Tell::Revoke(change, ticket, answer) => {
                    pipeline.add_command(self.style.revoke(&self.scripts, &change, Some(ticket), now_ms));
                    kept.push(Some(answer));
                }
                Tell::Restate(changes) => self.restate(connection, &changes, now_ms).await?,
            }
        }
        if !looks.is_empty() {
            self.renew(connection).await?;
            for answer in looks {
                // Whoever does not wait any more does not want it.
                let _ = answer.send(());
            }
        }
        if kept.is_empty() {
            return Ok(());
        }
        let answers: Vec<Value> =
            pipeline.query_async(connection).await.map_err(|error| error.to_string())?;
        for (asker, answer) in kept.into_iter().zip(answers) {
            if let (Some(asker), Some(kept)) = (asker, revoked::read_kept(answer)) {
                let _ = asker.send(kept);
            }
        }
        Ok(())
    }

    async fn restate(
        &mut self,
        connection: &mut MultiplexedConnection,
        changes: &[Change],
        now_ms: u64,
    ) -> Result<(), String> {
        for changes in changes.chunks(CHANGES_AT_ONCE) {
            let mut pipeline = redis::pipe();
            for change in changes {
                pipeline.add_command(self.style.revoke(&self.scripts, change, None, now_ms)).ignore();
            }
            pipeline.exec_async(connection).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Hands on what was published in a channel of the nodes' own.
    ///
    /// # Errors
    /// When there is no room for what must not be missed.
    pub(super) fn hear_node(&mut self, channel: &str, payload: Vec<u8>) -> Result<(), String> {
        let heard = if channel == self.style.keys.revoked_channel() {
            revoked::read_told(&payload).map(|(origin, change)| Heard::Revoked(origin, change))
        } else {
            let is_ours = channel == self.style.keys.node_channel(self.style.node);
            is_ours.then_some(Heard::Message(payload))
        };
        heard.map_or(Ok(()), |heard| self.ears.hear(heard).map_err(|overrun| overrun.to_string()))
    }
}
