//! Messages as clients make them: new ones, each with its number in the ledger, and the same once more.

use super::super::host::Around;
use super::super::ledger::Send;
use super::super::scenario::{ROOMS, Scenario};
use super::answers::is_created;
use super::{Asked, Client};
use crate::protocol::profile::Dialect;

/// Attachments as they stand inside a content.
const ATTACHED: [&str; 5] = [
    "",
    "",
    "",
    r#","b":{"_base64":"AQIDBA=="}"#,
    r#","b":[{"_base64":"/w=="}, {"_base64":""},1,{"c":{"_base64":"c2VjcmV0"}}]"#,
];

impl Client {
    /// A room to send to, mostly one that the client is in.
    fn target(&mut self, around: &mut Around<'_>) -> Option<(String, bool)> {
        let link = self.link.as_mut()?;
        if around.dice.percent(4) {
            return Some(((*around.dice.pick(&ROOMS)).to_owned(), false));
        }
        let room = around.dice.pick_any(&link.rooms())?.clone();
        let sure = !link.guilty && !around.scenario.limited && !is_created(&room);
        Some((room, sure))
    }

    pub(super) fn send_message(&mut self, around: &mut Around<'_>) {
        let Some((room, sure)) = self.target(around) else { return };
        let (number, data) = self.draft(&room, "roomId", &room, around);
        if around.dice.percent(70) {
            let asked = Asked::Send { numbers: vec![number], batch: false, sure };
            self.request("message:send", &data, asked, around);
        } else {
            self.deserve_error(!sure);
            self.say("message:send", &data, None, around);
        }
    }

    pub(super) fn send_batch(&mut self, around: &mut Around<'_>) {
        let (mut numbers, mut drafts, mut all_sure) = (Vec::new(), Vec::new(), true);
        for _ in 0..around.dice.between(1, 12) {
            let Some((room, sure)) = self.target(around) else { return };
            let (number, data) = self.draft(&room, "roomId", &room, around);
            numbers.push(number);
            drafts.push(data);
            all_sure &= sure;
        }
        let data = format!(r#"{{"messages":[{}]}}"#, drafts.join(","));
        let asked = Asked::Send { numbers, batch: true, sure: all_sure };
        self.request("message:send-batch", &data, asked, around);
    }

    pub(super) fn send_to_user(&mut self, around: &mut Around<'_>) {
        let Some(user) = around.dice.pick_any(&around.ledger.users).cloned() else { return };
        let (number, data) = self.draft(&format!("user:{user}"), "userId", &user, around);
        self.request(
            "user:send",
            &data,
            Asked::Send { numbers: vec![number], batch: false, sure: false },
            around,
        );
    }

    /// A new message, as the `data` of a command.
    fn draft(&mut self, room: &str, field: &str, to: &str, around: &mut Around<'_>) -> (usize, String) {
        let exclude = around.dice.percent(15) && !Scenario::is_ephemeral(room);
        let named = around.dice.percent(40);
        let number = self.new_send(room, exclude, named, around);
        let data = self.data_of(number, field, to, around);
        // Some may wait for others; nothing of their order changes by that.
        let lane =
            *around.dice.pick(&["", "", "", r#","deliveryStatus":"batch-delay""#, r#","type":"file""#]);
        around.ledger.totals.delayed += u64::from(!lane.is_empty());
        let asks = if around.dice.percent(10) { r#","ackRequested":true"# } else { "" };
        (number, data.replacen(r#","content":"#, &format!(r#"{lane}{asks},"content":"#), 1))
    }

    /// Enters a message into the ledger.
    pub(super) fn new_send(
        &mut self,
        room: &str,
        exclude: bool,
        named: bool,
        around: &mut Around<'_>,
    ) -> usize {
        let number = around.ledger.sends.len();
        let padding = "x".repeat(around.dice.size(0, around.scenario.padding_bytes_max));
        let extra = *around.dice.pick(&[
            "",
            r#", "big" : 12345678901234567890123,"small":1e-7 "#,
            r#","text":"\ud83d\ude00 \"\\ \u0041""#,
        ]);
        // Only a Socket.IO client has attachments, and only it gets them back.
        let attached = if self.dialect == Dialect::SocketIo { *around.dice.pick(&ATTACHED) } else { "" };
        let link = self.link.as_mut().expect("only connected clients send");
        if named {
            link.repeatable.push(number);
        }
        around.ledger.totals.sends += 1;
        around.ledger.sends.push(Send {
            connection: link.number,
            session: link.session,
            user: link.user.clone(),
            room: room.to_owned(),
            content: format!(
                r#"{{"n": {number},"t":"{}","p":"{padding}"{extra}{attached}}}"#,
                around.ledger.tenant
            ),
            exclude,
            client_id: named.then(|| client_id(number)),
            sent_ms: around.now.ms,
            times: 1,
        });
        number
    }

    fn data_of(&self, number: usize, field: &str, to: &str, around: &Around<'_>) -> String {
        let send = &around.ledger.sends[number];
        let exclude = if send.exclude { r#","excludeSender":true"# } else { "" };
        let name = send.client_id.as_ref().map(|id| format!(r#","clientId":"{}""#, escaped(id)));
        let name = name.unwrap_or_default();
        format!(r#"{{"{field}":"{to}","content":{}{exclude}{name}}}"#, send.content)
    }

    /// Sends a message again that was sent before, under the same name.
    pub(super) fn repeat(&mut self, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        let Some(number) = around.dice.pick_any(&link.repeatable).copied() else { return };
        let room = around.ledger.sends[number].room.clone();
        if !link.rooms().contains(&room) || room.starts_with("user:") {
            return;
        }
        around.ledger.sends[number].times += 1;
        let data = self.data_of(number, "roomId", &room, around);
        let sure = !around.scenario.limited && !is_created(&room);
        let asked = Asked::Send { numbers: vec![number], batch: false, sure };
        self.request("message:send", &data, asked, around);
    }
}

/// Names that differ in characters which JSON may write as pairs of escapes.
fn client_id(number: usize) -> String {
    let offset = u32::try_from(number % 64).expect("less than 64");
    format!("{}{}", char::from_u32(0x1_F600 + offset).unwrap_or('x'), number / 64)
}

/// As clients write it that escape whatever is not ASCII.
fn escaped(text: &str) -> String {
    let escape = |unit: u16| match u8::try_from(unit) {
        Ok(byte) => char::from(byte).to_string(),
        Err(_) => format!("\\u{unit:04x}"),
    };
    text.encode_utf16().map(escape).collect()
}
