//! What a backend is sent: one JSON object (`docs/backends.md`).

use std::time::{SystemTime, UNIX_EPOCH};

use roomcast_shards::access::permission::Identity;
use roomcast_shards::backend::{Asks, Forward, HookCall, RoomStanding, Sender};
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
        write_room(&mut out, room);
    }
    if let Some(standing) = standing {
        write_standing(&mut out, *standing);
    }
    key(&mut out, "data");
    out.extend_from_slice(data);
    out.push(b'}');
    out
}

/// Writes the body for what needs a hook's leave.
pub(crate) fn hook(node: &Node, call: &HookCall, claims: bool) -> Vec<u8> {
    let HookCall { sender, asks } = call;
    let mut out = Vec::with_capacity(512 + asks.cost());
    open(&mut out, node);
    key(&mut out, "hook");
    name(&mut out, asks.kind().name());
    write_sender(&mut out, sender, claims);
    match asks {
        Asks::Connect { namespace } => {
            key(&mut out, "namespace");
            string(&mut out, namespace);
        }
        Asks::Join { room } => write_room(&mut out, room),
        Asks::Subscribe { pattern } => {
            key(&mut out, "pattern");
            string(&mut out, pattern);
        }
        Asks::Publish { event, room, kind, content, metadata, message } => {
            key(&mut out, "event");
            name(&mut out, event);
            write_room(&mut out, room);
            key(&mut out, "message");
            out.push(b'{');
            if let Some(message) = message {
                key(&mut out, "id");
                quoted(&mut out, message);
            }
            if let Some(kind) = kind {
                key(&mut out, "type");
                name(&mut out, kind.name());
            }
            key(&mut out, "content");
            out.extend_from_slice(content);
            if let Some(metadata) = metadata {
                key(&mut out, "metadata");
                out.extend_from_slice(metadata);
            }
            out.push(b'}');
        }
    }
    out.push(b'}');
    out
}

fn write_room(out: &mut Vec<u8>, room: &str) {
    key(out, "roomId");
    name(out, local(room));
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
    if let Some(added) = identity.added_claims() {
        key(out, "added");
        out.extend_from_slice(added.as_bytes());
    }
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
