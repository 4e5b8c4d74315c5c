//! Commands of authenticated clients, on their home shard: allowed, then on to whoever can carry them out.

use std::sync::Arc;

use super::Shard;
use crate::clock::Now;
use crate::effect;
use crate::id::ShardId;
use crate::mesh::item::{Ask, Caller, Item, ReplyTo};
use crate::mesh::operation::{Operation, Question, Reader, ShardQuestion};
use crate::protocol::command::{Command, Monitoring, Request};
use crate::protocol::error_code::{CommandError, Detail, ErrorCode};
use crate::protocol::reply::Reply;
use crate::room::directory::RoomKey;
use crate::room::name::is_user_room;

impl Shard {
    /// Executes a command of an authenticated client.
    pub(super) fn execute(&mut self, slot: usize, request: Request, now: Now) {
        let Request { event, id, mut command } = request;
        let caller = Caller { connection: self.connections[slot].id, reply: ReplyTo::Client { event, id } };
        let identity = self.identity(slot);
        let allowed = match &command {
            Command::Forward(forwarded) => self.may_forward(slot, event, forwarded),
            _ => identity.may(event),
        };
        if !allowed {
            let error = CommandError::new(ErrorCode::PermissionDenied, "not allowed to do this");
            return self.fail(&caller, &error, now);
        }
        if let Some(namespace) = identity.namespace() {
            command.enter_namespace(namespace);
        }
        if let Err(error) = self.carry_out(slot, &caller, command, now) {
            self.fail(&caller, &error, now);
        }
    }

    fn carry_out(
        &mut self,
        slot: usize,
        caller: &Caller,
        command: Command,
        now: Now,
    ) -> Result<(), CommandError> {
        let own = caller.clone();
        match command {
            Command::Auth { token } => return self.refresh(slot, caller, &token, now),
            Command::Ping => self.answer_client(caller, &Reply::Pong, now),
            Command::Join { room, history, recover } => {
                return self.join(slot, own, &room, history, recover);
            }
            Command::Leave { room } => return self.leave(slot, own, &room, now),
            Command::Create(creation) => return self.create_room(slot, own, creation, now),
            Command::CloseRoom { room } => return self.close_room(slot, own, &room),
            Command::SubscribePattern(pattern) => return self.subscribe_pattern(slot, own, pattern),
            Command::UnsubscribePattern(pattern) => {
                self.unsubscribe_pattern(slot, &pattern);
                self.answer_pattern(caller, &pattern, false, now);
            }
            Command::List => self.list(slot, own, now),
            Command::Subscription { room, details } => {
                return self.describe_subscriptions(slot, own, room, details, now);
            }
            Command::Info { room } => return self.ask_about(slot, own, &room, Question::Info),
            Command::Online { room, limit, cursor } => {
                return self.ask_about(slot, own, &room, Question::Online { limit, cursor });
            }
            Command::History { room, before, after, limit } => {
                let session = self.connections[slot].session;
                let question = Question::History { session, before, after, limit };
                return self.ask_about(slot, own, &room, question);
            }
            Command::Multiple { subscribe, rooms, patterns } => {
                self.multiple(slot, own, subscribe, rooms, patterns, now);
            }
            Command::Send(draft) => return self.send_message(slot, own, draft, now),
            Command::SendBatch(drafts) => self.send_batch(slot, own, drafts, now),
            Command::UserSend { user, draft } => return self.send_to_user(slot, own, &user, draft, now),
            Command::Revise { room, message, content, binary } => {
                return self.revise(slot, own, room, message, (content, binary));
            }
            Command::Receipt { room, upto, read } => return self.receipt(slot, own, room, upto, read),
            Command::Typing { room, typing } => return self.typing(slot, own, room, typing, now),
            Command::DeliveryStatus { room, message } => {
                let question = Question::DeliveryStatus(message);
                if is_user_room(&room) && self.subscribed(slot, &room).is_none() {
                    let user = Arc::clone(&self.identity(slot).user);
                    let reader = Reader { user, entitled: false };
                    self.ask(own, room.into(), Operation::Tell { reader, question });
                    return Ok(());
                }
                return self.ask_among_members(slot, own, &room, question);
            }
            Command::TypingUsers { room } => {
                return self.ask_among_members(slot, own, &room, Question::TypingUsers);
            }
            Command::MessageStats { room } => {
                return self.ask_among_members(slot, own, &room, Question::MessageStats);
            }
            Command::UpdateStatus(update) => self.update_status(slot, own, update),
            Command::Watch { watch: true, users, room } => {
                return self.watch_users(slot, own, users, room, now);
            }
            Command::Watch { watch: false, users, room } => {
                self.unwatch_users(slot, caller, users, room, now)
            }
            Command::OnlineUsers { limit, cursor } => self.online_users(slot, own, limit, cursor),
            Command::UserStatus { user } => self.user_status(slot, own, &user),
            Command::PresenceStats => self.presence_stats(slot, own),
            Command::CreateSession => self.create_session(slot, own),
            Command::RecoverSession { token, positions } => {
                return self.recover_session(slot, own, &token, positions, now);
            }
            Command::SessionInfo => self.session_info(slot, caller, now),
            Command::RecoveryStats => self.recovery_stats(own),
            Command::Monitor { topic: Monitoring::Events, limit } => self.latest_events(own, limit),
            Command::Monitor { topic, .. } => self.inquire(own, effect::Question::Monitoring(topic)),
            Command::Forward(forwarded) => return self.forward(slot, own, forwarded),
        }
        Ok(())
    }

    /// Asks a room's owner.
    pub(super) fn ask(&mut self, caller: Caller, room: Arc<str>, operation: Operation) {
        let owner = self.router.owner(&room);
        self.dispatch(owner, Item::Ask(Box::new(Ask { caller, room, operation })));
    }

    /// Asks one shard something that every shard knows a part of.
    pub(super) fn ask_shard(&mut self, caller: Caller, shard: ShardId, question: ShardQuestion) {
        let operation = Operation::Everywhere(question);
        let room = Arc::clone(&self.nowhere);
        self.dispatch(shard, Item::Ask(Box::new(Ask { caller, room, operation })));
    }

    /// The key of a room that the connection subscribes to.
    pub(super) fn subscribed(&self, slot: usize, room: &str) -> Option<RoomKey> {
        let key = self.directory.find(room)?;
        self.connections[slot].subscription(key).map(|subscription| subscription.room)
    }

    /// Whether the owner has let the connection into a room. Who has only asked to enter is not in it: what it asks for
    /// or sends meanwhile is judged by the owner, who will have answered by then.
    pub(super) fn is_in(&self, slot: usize, room: &str) -> bool {
        let key = self.directory.find(room);
        let subscription = key.and_then(|key| self.connections[slot].subscription(key));
        subscription.is_some_and(|subscription| subscription.joined)
    }

    /// Asks about a room what only its members may know.
    fn ask_among_members(
        &mut self,
        slot: usize,
        caller: Caller,
        room: &str,
        question: Question,
    ) -> Result<(), CommandError> {
        if self.subscribed(slot, room).is_none() {
            return Err(CommandError::not_a_member());
        }
        self.ask_about(slot, caller, room, question)
    }

    /// Asks about a room that the client is in or may enter.
    fn ask_about(
        &mut self,
        slot: usize,
        caller: Caller,
        room: &str,
        question: Question,
    ) -> Result<(), CommandError> {
        let member = self.subscribed(slot, room).is_some();
        let identity = self.identity(slot);
        if !member && !identity.may_enter(room) {
            return Err(CommandError::room_denied());
        }
        let entitled = self.is_in(slot, room) || identity.is_entitled(room);
        let reader = Reader { user: Arc::clone(&identity.user), entitled };
        self.ask(caller, room.into(), Operation::Tell { reader, question });
        Ok(())
    }
}

/// A component that is not there.
pub(super) fn unavailable(component: &'static str) -> CommandError {
    let message = format!("{component} is not available");
    CommandError::new(ErrorCode::ServerError, message).with("component", Detail::Text(component.into()))
}
