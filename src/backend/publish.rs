//! What a backend's answer wants published.

use roomcast_shards::protocol::error_code::CommandError;
use roomcast_shards::protocol::json::Parser;
use serde_json::value::RawValue;

use crate::control::{DataPlane, Publication};

/// Nesting of what is published, as of what clients send by default.
const DEPTH_MAX: usize = 32;

/// Publishes an object of an answer's `publish`; names in it are those of a namespace.
///
/// # Errors
/// What is wrong with it, or what its room's owner says against it.
pub(crate) async fn publish(
    data_plane: &DataPlane,
    item: &RawValue,
    namespace: Option<&str>,
) -> Result<(), CommandError> {
    let text = item.get().as_bytes();
    let read = Parser::new(DEPTH_MAX).parse(text, |value| Publication::read(namespace, value));
    match read.unwrap_or_else(|_| Err(CommandError::protocol("nested too deep")))? {
        Publication::Message(publish) => data_plane.publish(*publish).await.map(drop),
        Publication::Push(room, event, except) => data_plane.push(room, event, except).await.map(drop),
    }
}
