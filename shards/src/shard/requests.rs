//! What the control plane asks of rooms and users: taken in as a client's commands are, and answered to it.

use std::sync::Arc;

use super::Shard;
use crate::clock::Now;
use crate::mesh::item::{Ask, Item};
use crate::mesh::outcome::Outcome;
use crate::protocol::app_event::AppEvent;
use crate::protocol::error_code::{CommandError, Detail, ErrorCode};
use crate::protocol::push::{Except, News, Notice};

impl Shard {
    /// The control plane asks something of a room, or of this shard; there is one answer, in
    /// [`crate::effect::Effects::api_answers`].
    pub fn on_request_of_api(&mut self, ask: Box<Ask>, now: Now) {
        if self.draining {
            // What is accepted from here on might not reach everybody.
            let error = CommandError::new(ErrorCode::ServerError, "the server is going away")
                .with("component", Detail::Text("shard".into()));
            return self.fail(&ask.caller, &error, now);
        }
        let owner = if ask.room.is_empty() { self.id } else { self.router.owner(&ask.room) };
        self.dispatch(owner, Item::Ask(ask));
        self.settle(now);
    }

    /// Tells the members of a room something that is no message.
    pub(super) fn own_push(&mut self, room: &Arc<str>, event: Arc<AppEvent>, except: Except) -> Outcome {
        let Some(key) = self.known(room) else { return Outcome::Pushed { members: 0 } };
        self.share_push(room, &event, &except);
        self.notify(key, &Notice { room: Arc::clone(room), except, news: News::Custom(event) });
        Outcome::Pushed { members: self.owned[key].position().members }
    }
}
