//! Publishing: to a room, to a user, many at once.

use std::sync::Arc;

use roomcast_shards::protocol::error_code::CommandError;
use roomcast_shards::protocol::json::Value;
use roomcast_shards::protocol::profile::{Dialect, PROFILES, Variant};
use roomcast_shards::protocol::reply::{self, Reply};
use roomcast_shards::protocol::write::{self, display, key};
use roomcast_shards::room::name::user_room;

use super::super::Api;
use super::super::answer::{Answer, Failure};
use super::super::call::Call;
use super::super::gateway::Publish;
use super::super::publication::Publication;

/// Messages of a batch.
const BATCH_MAX: usize = 1000;

impl Api {
    pub(super) async fn publish(&self, call: &Call, room: String) -> Result<Answer, Failure> {
        let namespace = call.namespace()?;
        let publication = self.parse(&call.body, |value| {
            Publication::read_for(namespace.as_deref(), room.clone(), value, call.idempotency_key())
        })?;
        match publication {
            Publication::Message(publish) => {
                let sent = self.data_plane.publish(*publish).await?;
                Ok(Answer::reply(&Reply::Sent(sent)))
            }
            Publication::Push(room, event, except) => {
                let members = self.data_plane.push(Arc::clone(&room), event, except).await?;
                let mut json = vec![b'{'];
                write::room(&mut json, &room);
                key(&mut json, "members");
                display(&mut json, members);
                json.push(b'}');
                Ok(Answer::new(200, json))
            }
        }
    }

    pub(super) async fn publish_to_user(&self, call: &Call) -> Result<Answer, Failure> {
        let room = user_room(&call.user(0)?);
        self.publish(call, room).await
    }

    pub(super) async fn publish_batch(&self, call: &Call) -> Result<Answer, Failure> {
        let namespace = call.namespace()?;
        let drafts = self.parse(&call.body, |value| {
            let messages = value.get("messages").and_then(|messages| messages.elements());
            let messages = messages.ok_or_else(|| CommandError::invalid("messages", "must be an array"))?;
            if !(1..=BATCH_MAX).contains(&messages.len()) {
                return Err(CommandError::invalid("messages", "must hold 1 to 1000 messages"));
            }
            Ok(messages.map(|value| part(namespace.as_deref(), value)).collect::<Vec<_>>())
        })?;
        let results = self.data_plane.publish_all(drafts).await;
        let variant = Variant::new(Dialect::Event, &PROFILES[0]);
        let mut json = br#"{"results":"#.to_vec();
        write::list(&mut json, results, |out, result| match result {
            Ok(sent) => sent.write_result(out),
            Err(error) => reply::write_failure(out, variant, None, &error),
        });
        json.push(b'}');
        Ok(Answer::new(200, json))
    }
}

/// One message of a batch.
fn part(namespace: Option<&str>, value: Value<'_>) -> Result<Publish, CommandError> {
    match Publication::read(namespace, value)? {
        Publication::Message(publish) => Ok(*publish),
        Publication::Push(..) => Err(CommandError::invalid("event", "is not possible in a batch")),
    }
}
