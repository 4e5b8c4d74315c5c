//! Rooms that clients create: public and private ones, for a few or for many, until their owner closes them.

use serde_json::Value;

use super::super::host::Around;
use super::super::ledger::Creation;
use super::answers::{heard_list, position};
use super::{Asked, Client};

/// Names under which rooms are created.
const NAMES: [&str; 4] = ["made.a", "made.b", "made.c", "made.d"];

impl Client {
    pub(super) fn use_created(&mut self, around: &mut Around<'_>) {
        let names: Vec<String> = around.ledger.created.names.iter().cloned().collect();
        let room = around.dice.pick_any(&names).cloned();
        match (room, around.dice.between(0, 9)) {
            (None, _) | (_, 0..3) => self.create(around),
            (Some(room), 3..6) => self.join_room(room, around),
            (Some(room), 6..9) => {
                let data = format!(r#"{{"roomId":"{room}"}}"#);
                let event = *around.dice.pick(&["room:info", "room:history"]);
                self.request(event, &data, Asked::Look { room }, around);
            }
            (Some(room), _) => {
                let Some(link) = &mut self.link else { return };
                let epoch = link.view(&room).epoch.clone();
                let data = format!(r#"{{"roomId":"{room}"}}"#);
                self.request("room:close", &data, Asked::Close { room, epoch }, around);
            }
        }
    }

    fn create(&mut self, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        let room = around.dice.percent(85).then(|| (*around.dice.pick(&NAMES)).to_owned());
        if let Some(room) = &room {
            let view = link.view(room);
            if view.member || view.busy > 0 || view.busy_parts > 0 {
                return;
            }
            view.busy_parts += 1;
        }
        // Who has no name cannot be told from outsiders.
        let private = link.user.is_some() && around.dice.percent(60);
        let members: Vec<String> =
            around.ledger.users.iter().filter(|_| around.dice.percent(40)).cloned().collect();
        let members_max = around.dice.percent(40).then(|| around.dice.between(1, 3));
        let number = around.ledger.created.creations.len();
        let list = members.iter().map(|user| format!("\"{user}\"")).collect::<Vec<_>>().join(",");
        let visibility = if private { "private" } else { "public" };
        let mut data =
            format!(r#"{{"visibility":"{visibility}","members":[{list}],"metadata":{{"c":{number}}}"#);
        if let Some(room) = &room {
            data.push_str(&format!(r#","roomId":"{room}""#));
            around.ledger.created.names.insert(room.clone());
        }
        if let Some(max) = members_max {
            data.push_str(&format!(r#","maxMembers":{max}"#));
        }
        data.push('}');
        let owner = link.user.clone();
        around.ledger.created.creations.push(Creation { owner, private, members, members_max });
        self.request("room:create", &data, Asked::Create { number, room }, around);
    }

    /// The client's own room is there, and the client in it.
    pub(super) fn on_created_own(
        &mut self,
        number: usize,
        named: Option<&str>,
        data: &Value,
        around: &mut Around<'_>,
    ) {
        let Some(link) = &mut self.link else { return };
        let room = data["roomId"].as_str().unwrap_or_default().to_owned();
        if named.is_some_and(|named| named != room) || data["metadata"]["c"] != number {
            around.ledger.violate("a room is created as it was asked for", format!("{data} to {number}"));
        }
        let at = position(data);
        around.ledger.totals.created += 1;
        around.ledger.created.names.insert(room.clone());
        around.ledger.know_created(&room, &at.epoch, number);
        link.forget_room_news(&room);
        let view = link.view(&room);
        view.busy_parts -= u32::from(named.is_some());
        view.enter(&at, around.now.ms, around.ledger);
    }

    /// Somebody created a room that the user may want to enter.
    pub(super) fn on_created(&mut self, data: &Value, around: &mut Around<'_>) {
        let Some(link) = &self.link else { return };
        let room = data["roomId"].as_str().unwrap_or_default();
        let at = position(data);
        let number = data["metadata"]["c"].as_u64().and_then(|number| usize::try_from(number).ok());
        around.ledger.know_created(room, &at.epoch, number.unwrap_or(usize::MAX));
        around.ledger.tell_of(room, &at.epoch, link.user.as_deref(), "creation");
        around.ledger.totals.told_created += 1;
    }

    /// A room was closed: the client is out of it.
    pub(super) fn on_closed(&mut self, data: &Value, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        let room = data["roomId"].as_str().unwrap_or_default().to_owned();
        link.forget_room_news(&room);
        let number = link.number;
        let view = link.view(&room);
        if !view.member && view.busy == 0 && view.busy_parts == 0 {
            let what = format!("connection {number}: {data}");
            around.ledger.violate("a closing comes to members only", what);
        }
        around.ledger.tell_of(
            &room,
            &view.epoch,
            self.grant.as_ref().map(|grant| grant.user.as_str()),
            "end",
        );
        let leaving = view.leaving;
        view.leave();
        view.leaving = leaving;
        self.positions.remove(&room);
        around.ledger.totals.told_closed += 1;
    }

    /// The client closed a room: everybody is out of it, and its name free.
    pub(super) fn on_closed_own(&mut self, room: &str, epoch: &str, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        around.ledger.totals.closed += 1;
        if !epoch.is_empty() {
            around.ledger.close(room, epoch, around.now.ms);
        }
        let view = link.view(room);
        if view.is_sure() && view.epoch == epoch {
            around.ledger.violate("whoever is in a closed room is told", format!("{room} {epoch}"));
        }
    }

    /// What the client was told of a room that somebody created.
    pub(super) fn on_looked(&mut self, room: &str, data: &Value, around: &mut Around<'_>) {
        let Some(link) = &self.link else { return };
        let at = position(data);
        around.ledger.tell_of(room, &at.epoch, link.user.as_deref(), "description");
        if let Some(members) = data["members"].as_u64() {
            around.ledger.count_members(room, &at.epoch, members);
        }
        for heard in heard_list(&data["messages"], around.ledger) {
            around.ledger.receive(&heard, link.number, link.session);
        }
    }
}
