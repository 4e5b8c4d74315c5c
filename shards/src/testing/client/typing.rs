//! Who writes: what a client says of itself, and whom it is shown.

use serde_json::Value;

use super::super::host::Around;
use super::answers::is_created;
use super::{Asked, Client};

impl Client {
    pub(super) fn say_typing(&mut self, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        let rooms: Vec<String> = link.rooms().into_iter().filter(|room| !is_created(room)).collect();
        let Some(room) = around.dice.pick_any(&rooms) else { return };
        let typing = around.dice.percent(65);
        let data = format!(r#"{{"roomId":"{room}","isTyping":{typing}}}"#);
        match around.dice.between(0, 9) {
            0..3 => self.request("message:typing", &data, Asked::Other, around),
            3..5 => {
                let event = if typing { "chat:typing:start" } else { "chat:typing:stop" };
                self.say(event, &format!(r#"{{"roomId":"{room}"}}"#), None, around);
            }
            _ => self.say("message:typing", &data, None, around),
        }
    }

    /// Somebody writes, or has stopped.
    pub(super) fn on_typing(&mut self, data: &Value, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        let (Some(room), Some(user), Some(typing)) =
            (data["roomId"].as_str(), data["userId"].as_str(), data["isTyping"].as_bool())
        else {
            return around.ledger.violate("a typing edge is complete", format!("{data}"));
        };
        let number = link.number;
        around.ledger.totals.typing_edges += 1;
        if link.user.as_deref() == Some(user) {
            around.ledger.violate("nobody is told of itself", format!("connection {number}: {data}"));
        }
        let sure = link.view(room).is_sure();
        let before = link.typing.insert((room.to_owned(), user.to_owned()), typing);
        if sure && before == Some(typing) {
            around.ledger.suspect("typing edges alternate", format!("connection {number}: {data} again"));
        }
    }

    /// When all has been quiet for long, nobody is shown writing.
    pub(super) fn check_typing(&self, around: &mut Around<'_>) {
        let Some(link) = &self.link else { return };
        let sure = |room: &str| link.views.get(room).is_some_and(|view| view.is_sure());
        let writes = link.typing.iter().find(|((room, _), typing)| **typing && sure(room));
        if let Some((who, _)) = writes {
            let what = format!("connection {} is shown {who:?}", link.number);
            around.ledger.suspect("at rest nobody is shown writing", what);
        }
    }
}
