//! What the control plane has done with this shard's connections: put into rooms, closed, refused, listed.

use std::sync::Arc;

use super::Shard;
use super::subscriptions::limit_reached;
use crate::access::permission::Identity;
use crate::access::revocations::{Full, REVOCATIONS_MAX, Revocation};
use crate::access::token::{Claims, TokenError, UserType, Verifier};
use crate::clock::Now;
use crate::connection::{Connection, Phase};
use crate::engine::NodeId;
use crate::id::ConnectionId;
use crate::mesh::administration::{Administration, Listed, Listing, Whom};
use crate::mesh::item::{Caller, ReplyTo};
use crate::mesh::outcome::Outcome;
use crate::protocol::catalog::Event;
use crate::protocol::close_code::CloseCode;
use crate::protocol::error_code::CommandError;
use crate::protocol::reply::Reply;
use crate::protocol::write::{self, display, key, name, quoted, time};
use crate::room::name::user_room;

/// Connections that one question may look at, so that no turn becomes long.
const LOOKED_AT_MAX: usize = 4096;

impl Shard {
    pub(super) fn administer(
        &mut self,
        administration: Administration,
        now: Now,
    ) -> Result<Outcome, CommandError> {
        let connections = match administration {
            Administration::Place { user, room, inside: true } => self.place(&user, &room),
            Administration::Place { user, room, inside: false } => self.displace(&user, &room, now),
            Administration::Disconnect { whom, code, reason } => {
                let chosen = match whom {
                    Whom::User(user) => self.connections_of(&user),
                    Whom::Connection { id, namespace } => {
                        let known = self.client(id).is_some_and(|client| is_in(client, namespace.as_deref()));
                        known.then_some(id).into_iter().collect()
                    }
                };
                self.close_all(chosen, code, &reason, now)
            }
            Administration::Revoke(revocations) => self.revoke(&revocations, now)?,
            Administration::List(listing) => {
                return Ok(Outcome::Listed(self.list_connections(&listing, now)));
            }
        };
        Ok(Outcome::Administered { connections })
    }

    /// As [`Verifier::verify`], and whether the token was revoked.
    pub(super) fn verify(&self, verifier: &Verifier, token: &str, now: Now) -> Result<Claims, TokenError> {
        let claims = verifier.verify(token, now.unix_ms)?;
        match self.revocations.refuse(&claims, self.config.tenancy, now.unix_ms) {
            true => Err(TokenError::Revoked),
            false => Ok(claims),
        }
    }

    /// The connections with which a user is here.
    fn connections_of(&self, user: &str) -> Vec<ConnectionId> {
        let Some(key) = self.directory.find(&user_room(user)) else { return Vec::new() };
        let slots = self.directory.get(key).members.iter();
        slots.map(|slot| self.connections[*slot as usize].id).collect()
    }

    fn place(&mut self, user: &str, room: &Arc<str>) -> usize {
        let chosen = self.connections_of(user);
        for id in &chosen {
            let caller = Caller { connection: *id, reply: ReplyTo::Placed };
            self.grant(id.slot as usize, caller, room);
        }
        chosen.len()
    }

    fn displace(&mut self, user: &Arc<str>, room: &Arc<str>, now: Now) -> usize {
        self.withdraw_grant(user, room, now);
        let mut out = 0;
        for id in self.connections_of(user) {
            let slot = id.slot as usize;
            let Some(key) = self.subscribed(slot, room) else { continue };
            out += 1;
            self.unsubscribe(slot, Caller { connection: id, reply: ReplyTo::Nobody }, key, false);
            self.checkpoint_for_nodes(slot);
            let reply = ReplyTo::Client { event: Event::RoomLeave, id: None };
            let room = Arc::clone(room);
            self.answer_client(&Caller { connection: id, reply }, &Reply::Left { room }, now);
        }
        out
    }

    fn revoke(&mut self, revocations: &[Revocation], now: Now) -> Result<usize, CommandError> {
        let is_noted = self.note_revocations(revocations, now);
        let refused = |identity: &Arc<Identity>| identity.is_refused(&self.revocations, now.unix_ms);
        let concerned = |client: &&Connection| client.identity.as_ref().is_some_and(refused);
        let connections = self.connections.iter().map(|(_, client)| client);
        let chosen: Vec<_> = connections.filter(concerned).map(|client| client.id).collect();
        let closed = self.close_all(chosen, CloseCode::AuthFailed, "revoked", now);
        is_noted.map(|()| closed).map_err(|_| limit_reached("too many revocations", REVOCATIONS_MAX))
    }

    /// Refuses users and tokens from now on, or does so no longer.
    ///
    /// # Errors
    /// [`Full`] when there was no room for all; those before are refused.
    pub fn note_revocations(&mut self, revocations: &[Revocation], now: Now) -> Result<(), Full> {
        for revocation in revocations {
            self.revocations.note(revocation, now.unix_ms)?;
            self.store_revocation(revocation);
        }
        Ok(())
    }

    fn close_all(&mut self, chosen: Vec<ConnectionId>, code: CloseCode, reason: &str, now: Now) -> usize {
        let mut closed = 0;
        for id in chosen {
            // One may have gone with another: the namespaces of a session do.
            if self.client(id).is_some_and(Connection::is_active) {
                self.close(id.slot as usize, code, reason, now);
                closed += 1;
            }
        }
        closed
    }

    fn list_connections(&self, listing: &Listing, now: Now) -> Listed {
        let from = listing.from as usize;
        let mut listed = Listed { connections: Vec::new(), next: None };
        let room = match &listing.room {
            None => None,
            Some(room) => match self.directory.find(room) {
                Some(key) => Some(key),
                None => return listed,
            },
        };
        for slot in from..self.connections.end() {
            if slot - from == LOOKED_AT_MAX || listed.connections.len() == listing.limit {
                listed.next = u32::try_from(slot).ok();
                break;
            }
            let Some(client) = self.connections.get(slot) else { continue };
            let inside = room.is_none_or(|key| client.subscription(key).is_some_and(|it| it.joined));
            if inside && is_wanted(client, listing) {
                listed.connections.push(self.describe(client, now));
            }
        }
        listed
    }

    fn describe(&self, client: &Connection, now: Now) -> Vec<u8> {
        let unix_ms = |ms: u64| now.unix_ms.saturating_sub(now.ms.saturating_sub(ms));
        let mut object = Vec::with_capacity(320);
        let out = &mut object;
        out.push(b'{');
        key(out, "connectionId");
        let (shard, ConnectionId { slot, generation }) = (self.id.0, client.id);
        match self.config.node {
            Some(NodeId(node)) => quoted(out, format_args!("{node:016x}-{shard}-{slot}-{generation}")),
            None => quoted(out, format_args!("{shard}-{slot}-{generation}")),
        }
        if let Some(identity) = &client.identity {
            write::user(out, &identity.user);
            key(out, "userType");
            name(out, user_type(identity.user_type));
            if let Some(account) = &identity.account {
                key(out, "accountId");
                name(out, account);
            }
        }
        key(out, "sessionId");
        quoted(out, client.session);
        key(out, "dialect");
        name(out, client.variant.dialect.name());
        key(out, "profile");
        name(out, client.variant.profile.name);
        key(out, "ip");
        quoted(out, client.peer);
        key(out, "connectedAt");
        time(out, unix_ms(client.opened_ms));
        key(out, "lastActivity");
        time(out, unix_ms(client.heard_ms));
        key(out, "rooms");
        display(out, client.subscriptions.len());
        key(out, "queueBytes");
        display(out, client.queue.bytes());
        out.push(b'}');
        object
    }
}

/// Whether a connection is in a namespace, whatever its realm; anything is where there are none.
fn is_in(client: &Connection, wanted: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| client.identity.as_ref().is_some_and(|it| it.is_in_account(wanted)))
}

fn is_wanted(client: &Connection, listing: &Listing) -> bool {
    let open = matches!(client.phase, Phase::Pending | Phase::Attaching | Phase::Open);
    let identity = client.identity.as_ref();
    let user = |user: &Arc<str>| identity.is_some_and(|identity| identity.is_called(user));
    let account = |wanted: &str| identity.is_some_and(|identity| identity.account.as_deref() == Some(wanted));
    open && is_in(client, listing.namespace.as_deref())
        && listing.user.as_ref().is_none_or(user)
        && listing.account.as_deref().is_none_or(account)
        && listing.profile.as_deref().is_none_or(|profile| client.variant.profile.name == profile)
        && listing.dialect.is_none_or(|dialect| client.variant.dialect == dialect)
        && listing.peer.is_none_or(|peer| client.peer == peer)
}

fn user_type(user_type: UserType) -> &'static str {
    match user_type {
        UserType::Employee => "employee",
        UserType::Guest => "guest",
        UserType::Supervisor => "supervisor",
    }
}
