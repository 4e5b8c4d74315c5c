//! Changes of messages: what a client edits and deletes, and how it hears of that.

use serde_json::Value;

use super::super::host::Around;
use super::super::ledger::{Edit, State};
use super::super::scenario::Scenario;
use super::answers::{heard, is_created};
use super::topics::carries;
use super::{Asked, Client};

impl Client {
    /// Edits or deletes a message, mostly one of its own.
    pub(super) fn revise(&mut self, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        let Some(room) = around.dice.pick_any(&link.rooms()).cloned() else { return };
        let epoch = link.view(&room).epoch.clone();
        let Some(stream) = around.ledger.stream(&room, &epoch) else { return };
        let is_own = |number: usize| {
            let send = &around.ledger.sends[number];
            send.connection == link.number || (send.user.is_some() && send.user == link.user)
        };
        let wanted = around.dice.percent(90);
        let messages =
            stream.values().filter(|entry| entry.change.is_none() && is_own(entry.number) == wanted);
        let messages: Vec<(String, usize)> = messages.map(|entry| (entry.id.clone(), entry.number)).collect();
        let Some((id, number)) = around.dice.pick_any(&messages).cloned() else { return };
        let doubtful = link.guilty || around.scenario.limited || !around.scenario.generous;
        let sure = wanted && !doubtful && !Scenario::is_ephemeral(&room) && !is_created(&room);
        let edit = around.ledger.edits.len();
        let content = around.dice.percent(75).then(|| {
            let padding = "x".repeat(around.dice.size(0, around.scenario.padding_bytes_max));
            format!(r#"{{"e": {edit},"n":{number},"t":"{}","p":"{padding}"}}"#, around.ledger.tenant)
        });
        let (event, told) = match &content {
            Some(content) => ("message:edit", format!(r#","content":{content}"#)),
            None => ("message:delete", String::new()),
        };
        around.ledger.edits.push(Edit { number, content, placed: false });
        let data = format!(r#"{{"roomId":"{room}","messageId":"{id}"{told}}}"#);
        self.request(event, &data, Asked::Revise { number, sure }, around);
    }

    /// Whether a change may be refused although it was the client's own message: it was deleted meanwhile.
    pub(super) fn may_fail_to_revise(&self, number: usize, data: &Value, around: &Around<'_>) -> bool {
        let mut edits = around.ledger.edits.iter();
        data["code"] == "CLIENT_ERROR" && edits.any(|edit| edit.number == number && edit.content.is_none())
    }

    /// The change was made, or the message had been deleted already.
    pub(super) fn on_revised(&mut self, number: usize, data: &Value, around: &mut Around<'_>) {
        let Some(link) = &self.link else { return };
        let Some(heard) = heard(data, around.ledger).filter(|heard| heard.number == number) else {
            return around.ledger.violate("an acknowledgement is complete", format!("{data}"));
        };
        around.ledger.totals.revised += 1;
        around.ledger.hear(&super::super::ledger::Heard { change: true, ..heard }, link.number);
    }

    /// Somebody changed a message.
    pub(super) fn on_revision(&mut self, text: &str, data: &Value, around: &mut Around<'_>) {
        let Some(mut heard) = heard(data, around.ledger) else {
            return around.ledger.violate("a change is complete", text);
        };
        heard.change = true;
        if heard.state != State::Deleted && !carries(text, "content", &heard, around) {
            around.ledger.violate("content is carried byte for byte", text);
        }
        around.ledger.totals.revisions += 1;
        self.on_message(&heard, around);
    }
}
