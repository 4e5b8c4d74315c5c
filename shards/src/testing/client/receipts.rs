//! Receipts: what a client confirms, and what it hears of others who got and read its messages.

use serde_json::Value;

use super::super::host::Around;
use super::super::ledger::Reading;
use super::super::scenario::Scenario;
use super::answers::is_created;
use super::{Asked, Client};

/// How far ahead of a room a receipt is that must be refused.
const AHEAD: u64 = 100_000;

impl Client {
    pub(super) fn give_receipt(&mut self, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        let (Some(user), Some(room)) = (link.user.clone(), around.dice.pick_any(&link.rooms()).cloned())
        else {
            return;
        };
        let view = link.view(&room);
        let Some(at) = view.position().filter(|at| at.offset > 0) else { return };
        let (last, epoch) = (at.offset, at.epoch);
        let read = around.dice.percent(60);
        let ahead = around.dice.percent(5);
        let mut offset = around.dice.between(1, last) + if ahead { AHEAD } else { 0 };
        let mut upto = format!(r#""upToOffset":{offset}"#);
        let named = around.scenario.generous && !Scenario::is_ephemeral(&room) && !is_created(&room);
        if named && !ahead && around.dice.percent(40) {
            let entry = around.ledger.stream(&room, &epoch).and_then(|stream| {
                let mut messages = stream.range(offset..=last).filter(|(_, entry)| entry.change.is_none());
                messages.next().map(|(at, entry)| (*at, entry.id.clone()))
            });
            if let Some((at, id)) = entry {
                offset = at;
                upto = format!(r#""messageId":"{id}""#);
            }
        }
        if !ahead {
            around.ledger.ask_receipt(&(room.clone(), user, read), offset);
        }
        let event = if read { "message:read" } else { "message:delivered" };
        let data = format!(r#"{{"roomId":"{room}",{upto}}}"#);
        self.request(event, &data, Asked::Receipt { room, read, offset, epoch, ahead }, around);
    }

    /// The client's own receipt was noted.
    pub(super) fn on_receipted(
        &mut self,
        room: &str,
        read: bool,
        offset: u64,
        epoch: &str,
        data: &Value,
        around: &mut Around<'_>,
    ) {
        around.ledger.totals.receipts += 1;
        let reached = data["upToOffset"].as_u64().unwrap_or_default();
        if reached < offset {
            around.ledger.violate("a cursor never goes back", format!("{data} to {offset}"));
        }
        self.hear_status(data, true, around);
        let Some(link) = &self.link else { return };
        if let Some(user) = &link.user {
            let reading = (room.to_owned(), user.clone(), read);
            around.ledger.accept_receipt(link.number, &reading, epoch, offset);
        }
    }

    /// Somebody has got or read messages.
    pub(super) fn on_status(&mut self, data: &Value, around: &mut Around<'_>) {
        self.hear_status(data, false, around);
    }

    /// The same from a push, or from the answer to a receipt: these come on ways of their own.
    fn hear_status(&mut self, data: &Value, own: bool, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        let text = |field: &str| data[field].as_str().unwrap_or_default().to_owned();
        let reading: Reading = (text("roomId"), text("userId"), data["status"] == "read");
        let Some(offset) = data["upToOffset"].as_u64() else {
            return around.ledger.violate("a receipt is complete", format!("{data}"));
        };
        around.ledger.totals.receipts_heard += 1;
        around.ledger.hear_receipt(&reading, offset);
        // A room that nobody was in may have begun again meanwhile.
        let member = link.views.get(&reading.0).is_some_and(|view| view.is_sure());
        let (last, highest) = link.readings.entry(reading.clone()).or_default();
        if own {
            return *highest = offset.max(*highest);
        }
        if member && offset < *last {
            let what = format!("connection {} heard {data} after {last}", link.number);
            around.ledger.violate("a cursor never goes back", what);
        }
        (*last, *highest) = (offset, offset.max(*highest));
    }
}
