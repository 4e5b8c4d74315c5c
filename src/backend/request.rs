//! What a backend is sent: one JSON object (`docs/backends.md`).

use std::time::{SystemTime, UNIX_EPOCH};

use roomcast_shards::access::permission::Identity;
use roomcast_shards::backend::{Forward, RoomStanding, Sender};
use roomcast_shards::protocol::reply::user_type_name;
use roomcast_shards::protocol::write::{display, key, list, name, quoted, string, time};
use roomcast_shards::room::name::local;

use super::Node;

/// What of a client's claims and room a backend is told besides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Include {
    /// All that the gateway reads of the token.
    pub(crate) claims: bool,
    /// How the room stands.
    pub(crate) room: bool,
}

/// Writes the body for an event that a route takes.
pub(crate) fn forward(node: &Node, forward: &Forward, include: Include) -> Vec<u8> {
    let Forward { event, sender, request, room, standing, data, .. } = forward;
    let mut out = Vec::with_capacity(512 + data.len());
    open(&mut out, node);
    key(&mut out, "event");
    name(&mut out, event);
    if let Some(request) = request {
        key(&mut out, "clientRequestId");
        out.extend_from_slice(request.as_bytes());
    }
    write_sender(&mut out, sender, include.claims);
    if let Some(room) = room {
        key(&mut out, "roomId");
        name(&mut out, local(room));
    }
    if let Some(standing) = standing {
        write_standing(&mut out, *standing);
    }
    key(&mut out, "data");
    out.extend_from_slice(data);
    out.push(b'}');
    out
}

/// Begins the object: what is the same whatever is asked.
pub(super) fn open(out: &mut Vec<u8>, node: &Node) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let unix_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    out.push(b'{');
    key(out, "requestId");
    quoted(out, node.next_id(unix_ms));
    key(out, "timestamp");
    time(out, unix_ms);
    key(out, "node");
    string(out, &node.name);
}

/// Writes who it is.
pub(super) fn write_sender(out: &mut Vec<u8>, sender: &Sender, claims: bool) {
    let Sender { identity, session } = sender;
    key(out, "user");
    out.push(b'{');
    key(out, "id");
    name(out, local(&identity.user));
    write_rights(out, identity, "type");
    out.push(b'}');
    if claims {
        key(out, "claims");
        write_claims(out, identity);
    }
    key(out, "sessionId");
    quoted(out, session);
}

fn write_rights(out: &mut Vec<u8>, identity: &Identity, user_type: &str) {
    key(out, user_type);
    name(out, user_type_name(identity.user_type));
    if let Some(account) = &identity.account {
        key(out, "accountId");
        string(out, account);
    }
    key(out, "permissions");
    list(out, identity.permissions(), |out, permission| string(out, permission));
}

fn write_claims(out: &mut Vec<u8>, identity: &Identity) {
    out.push(b'{');
    key(out, "sub");
    name(out, local(&identity.user));
    write_rights(out, identity, "userType");
    key(out, "rooms");
    list(out, identity.rooms(), |out, room| name(out, local(room)));
    if let Some(expires) = identity.expires_unix_ms() {
        key(out, "exp");
        display(out, expires / 1000);
    }
    out.push(b'}');
}

fn write_standing(out: &mut Vec<u8>, standing: RoomStanding) {
    key(out, "room");
    out.push(b'{');
    key(out, "epoch");
    quoted(out, standing.epoch);
    key(out, "offset");
    display(out, standing.offset);
    key(out, "members");
    display(out, standing.members);
    out.push(b'}');
}
