//! The topic dialect, as a client speaks and hears it.

use serde_json::Value;

use super::super::host::Around;
use super::super::ledger::{Heard, Ledger, State};
use super::super::scenario::{PATTERNS, ROOMS, Scenario};
use super::answers::heard_content;
use super::commands::recovery;
use super::{Client, Link, Position, Stage};

/// Texts that are no commands; each is answered with an error.
const NONSENSE: [&str; 5] = [
    "}",
    r#"{"type":"nope"}"#,
    r#"{"type":"subscribe"}"#,
    r#"{"type":"message","topic":"room.*","data":1}"#,
    r#"{"type":"message","topic":"room.a","data":1,"metadata":{"offset":1}}"#,
];

impl Client {
    pub(super) fn topic_command(&mut self, around: &mut Around<'_>) {
        match around.dice.between(0, 99) {
            0..22 => self.subscribe(around),
            22..30 => self.unsubscribe(around),
            30..40 => self.subscribe_pattern(around),
            40..44 => self.unsubscribe_pattern(around),
            44..88 => self.publish(around),
            88..94 => {
                self.wait_for("pong", "");
                self.send_text(r#"{"type":"ping"}"#, around);
            }
            _ => {
                self.deserve_error(true);
                around.ledger.totals.garbage += 1;
                let text = *around.dice.pick(&NONSENSE);
                self.send_text(text, around);
            }
        }
    }

    fn wait_for(&mut self, kind: &'static str, topic: &str) {
        if let Some(link) = &mut self.link {
            *link.awaited.entry((kind, topic.to_owned())).or_default() += 1;
        }
    }

    fn subscribe(&mut self, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        let room = (*around.dice.pick(&ROOMS)).to_owned();
        let covered = link.is_covered();
        let view = link.view(&room);
        // An error names no request: where rates are limited, nobody could tell which recovery was refused.
        let fresh = view.busy == 0 && !view.member && !covered && !around.scenario.limited;
        view.busy += 1;
        let from = self.positions.get(&room).filter(|_| fresh).cloned();
        let recover = from.and_then(|from| recovery(from, around));
        let position = recover.as_ref().map(|recovery| {
            format!(r#","recover":{{"epoch":"{}","offset":{}}}"#, recovery.from.epoch, recovery.from.offset)
        });
        if let Some(recover) = recover {
            link.recoveries.insert(room.clone(), recover);
        }
        self.wait_for("subscribed", &room);
        let position = position.unwrap_or_default();
        self.send_text(&format!(r#"{{"type":"subscribe","topic":"{room}"{position}}}"#), around);
    }

    fn unsubscribe(&mut self, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        let room = (*around.dice.pick(&ROOMS)).to_owned();
        let view = link.view(&room);
        view.busy += 1;
        view.leaving += 1;
        self.leave_queue(&room, around);
        self.wait_for("unsubscribed", &room);
        self.send_text(&format!(r#"{{"type":"unsubscribe","topic":"{room}"}}"#), around);
    }

    fn subscribe_pattern(&mut self, around: &mut Around<'_>) {
        let pattern = *around.dice.pick(&PATTERNS);
        let Some(link) = &mut self.link else { return };
        // What a recovery gives could not be told from what a pattern brings.
        if !link.recoveries.is_empty() || !link.expect_pattern(pattern, true) {
            return;
        }
        self.wait_for("subscribed", pattern);
        self.send_text(&format!(r#"{{"type":"subscribe","topic":"{pattern}"}}"#), around);
    }

    fn unsubscribe_pattern(&mut self, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        let known: Vec<String> = link.patterns.keys().cloned().collect();
        let Some(pattern) = around.dice.pick_any(&known).cloned() else { return };
        if !link.expect_pattern(&pattern, false) {
            return;
        }
        self.wait_for("unsubscribed", &pattern);
        self.send_text(&format!(r#"{{"type":"unsubscribe","topic":"{pattern}"}}"#), around);
    }

    fn publish(&mut self, around: &mut Around<'_>) {
        let room = (*around.dice.pick(&ROOMS)).to_owned();
        let number = self.new_send(&room, false, false, around);
        let content = around.ledger.sends[number].content.clone();
        let metadata = *around.dice.pick(&["", r#","metadata":{}"#, r#","metadata":{ "mine": [1, 2] }"#]);
        self.send_text(
            &format!(r#"{{"type":"message","topic":"{room}","data":{content}{metadata}}}"#),
            around,
        );
    }

    pub(super) fn on_topic(&mut self, text: &str, frame: &Value, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        let kind = frame["type"].as_str().unwrap_or_default();
        let topic = frame["topic"].as_str().unwrap_or_default();
        match kind {
            "message" => self.on_topic_message(text, frame, around),
            "error" if frame["message"] == "resync" => {
                self.on_room_error(&frame["details"]["topic"], &frame["message"], around);
            }
            "error" | "auth_error" => self.on_topic_error(frame, around),
            "auth_success" => {
                link.user = frame["userId"].as_str().map(str::to_owned);
                self.open(around);
                self.settle_forced(around);
            }
            "pong" => {
                // The first ping of a connection is not counted.
                link.answered("pong", "");
                if link.stage == Stage::Open {
                    self.settle_forced(around);
                }
            }
            "subscribed" if topic.contains('*') => {
                self.settle_forced(around);
                self.on_answer_to("subscribed", topic, around);
                self.on_covered(topic, around);
            }
            "subscribed" => {
                self.settle_forced(around);
                self.on_answer_to("subscribed", topic, around);
                self.on_subscribed(topic, frame, around);
            }
            "unsubscribed" => {
                self.settle_forced(around);
                self.on_answer_to("unsubscribed", topic, around);
                if topic.contains('*') {
                    self.on_uncovered(topic);
                } else {
                    self.on_left(topic, around);
                }
            }
            _ => around.ledger.violate("a topic client hears its dialect", text),
        }
    }

    fn on_answer_to(&mut self, kind: &'static str, topic: &str, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        if !link.answered(kind, topic) {
            around
                .ledger
                .violate("exactly one reply to a request", format!("{kind} {topic} was not asked for"));
        }
    }

    fn on_topic_error(&mut self, frame: &Value, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        link.errors += 1;
        around.ledger.totals.errors += 1;
        let limited = frame["code"] == 429 && around.scenario.limited;
        around.ledger.totals.rate_limited += u64::from(limited);
        if !limited && link.deserved_errors == 0 {
            around.ledger.violate("errors have a cause", format!("connection {}: {frame}", link.number));
        }
        link.deserved_errors = link.deserved_errors.saturating_sub(u64::from(!limited));
    }

    fn on_topic_message(&mut self, text: &str, frame: &Value, around: &mut Around<'_>) {
        let Some(heard) = heard_topic(frame, around.ledger) else {
            return around.ledger.violate("a message is complete", text);
        };
        if !carries(text, "data", &heard, around) {
            around.ledger.violate("content is carried byte for byte", text);
        }
        let Some(link) = &mut self.link else { return };
        let is_queued = Scenario::is_queued(&heard.room);
        let view = link.view(&heard.room);
        if is_queued && view.member && view.is_behind(&heard) {
            return self.on_kept(&heard, around);
        }
        let Some(link) = &mut self.link else { return };
        if link.recoveries.contains_key(&heard.room) {
            link.view(&heard.room).missed.push(heard);
        } else {
            self.on_message(&heard, around);
        }
    }

    fn on_subscribed(&mut self, topic: &str, frame: &Value, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        let recovery = link.recoveries.remove(topic);
        let missed = std::mem::take(&mut link.view(topic).missed);
        let at = Position {
            epoch: frame["epoch"].as_str().unwrap_or_default().to_owned(),
            offset: frame["offset"].as_u64().unwrap_or_default(),
        };
        self.on_joined(topic, &at, recovery, frame["recovered"].as_bool(), &missed, around);
    }
}

impl Link {
    /// One answer of a kind came; whether it was awaited.
    fn answered(&mut self, kind: &'static str, topic: &str) -> bool {
        let awaited = self.awaited.get_mut(&(kind, topic.to_owned())).filter(|count| **count > 0);
        awaited.map(|count| *count -= 1).is_some()
    }
}

fn heard_topic(frame: &Value, ledger: &Ledger) -> Option<Heard> {
    let metadata = &frame["metadata"];
    let id = metadata["id"].as_str()?.to_owned();
    let (number, state) = heard_content(&frame["data"], &id, ledger)?;
    Some(Heard {
        room: frame["topic"].as_str()?.to_owned(),
        epoch: metadata["epoch"].as_str()?.to_owned(),
        offset: metadata["offset"].as_u64()?,
        id,
        number,
        state,
        // A deleted message is told as such in its own place, too: where it stands tells them apart.
        change: false,
    })
}

/// Whether a frame carries a message's content as it was sent, or as it was changed.
pub(super) fn carries(text: &str, field: &str, heard: &Heard, around: &Around<'_>) -> bool {
    let content = match heard.state {
        State::New => around.ledger.sends.get(heard.number).map(|send| send.content.as_str()),
        State::Edited(edit) => around.ledger.edits.get(edit).and_then(|edit| edit.content.as_deref()),
        State::Deleted => Some("null"),
    };
    content.is_some_and(|content| text.contains(&format!("\"{field}\":{content}")))
}
