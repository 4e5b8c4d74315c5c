//! What a room's owner says about it to whoever may read it.

use std::sync::Arc;

use super::Shard;
use crate::clock::Now;
use crate::config::Config;
use crate::mesh::operation::{Question, Reader};
use crate::mesh::outcome::Outcome;
use crate::protocol::error_code::{CommandError, ErrorCode};
use crate::protocol::message::Eyes;
use crate::protocol::reply::OnlinePage;
use crate::room::owned::{OwnedRoom, unknown_message};

impl Shard {
    /// Says something about a room to whoever may read it.
    pub(super) fn tell(
        &mut self,
        name: &Arc<str>,
        reader: &Reader,
        question: Question,
        now: Now,
    ) -> Result<Outcome, CommandError> {
        if let Question::DeliveryStatus(message) = question
            && !self.may_know(name, &reader.user, message)
        {
            return Err(unknown_message());
        }
        let Some(key) = self.known(name) else { return self.tell_unknown(name, &reader.user, question, now) };
        if !self.owned[key].is_open_to(&reader.user, reader.entitled) {
            return Err(CommandError::room_denied());
        }
        let room = &self.owned[key];
        Ok(match question {
            Question::Info => Outcome::Info(room.info()),
            Question::Entry => Outcome::Entry(room.position()),
            Question::Standing => Outcome::Standing(Box::new(room.standing(&reader.user))),
            Question::Online { limit, cursor } => Outcome::Online(room.online(cursor.as_deref(), limit)),
            Question::History { session, before, after, limit } => {
                let page = |room: &mut OwnedRoom, config: &Config| {
                    room.history(Eyes { session, user: &reader.user }, (before, after), limit, now, config)
                };
                Outcome::History(self.change_room(key, page))
            }
            Question::DeliveryStatus(message) => Outcome::DeliveryStatus(room.delivery_status(message)?),
            Question::TypingUsers => {
                let others = room.typing().users().filter(|user| **user != reader.user);
                Outcome::TypingUsers { room: Arc::clone(name), users: others.cloned().collect() }
            }
            Question::MessageStats => Outcome::MessageStats(self.owned[key].stats(now)),
        })
    }

    /// Says what can be said of a room that is not there.
    fn tell_unknown(
        &self,
        name: &Arc<str>,
        user: &str,
        question: Question,
        now: Now,
    ) -> Result<Outcome, CommandError> {
        match question {
            Question::Online { .. } => Ok(Outcome::Online(OnlinePage {
                room: Arc::clone(name),
                users: Vec::new(),
                total: 0,
                more: false,
            })),
            Question::Standing => {
                let class = self.classes.of(name);
                let none = OwnedRoom::new(Arc::clone(name), class, 0, self.epochs.of(name, class), now);
                Ok(Outcome::Standing(Box::new(none.standing(user))))
            }
            _ => Err(CommandError::new(ErrorCode::ChannelError, "no such room")),
        }
    }
}
