//! Those who are cut off and come back.

use serde_json::json;

use super::grid::{account, name, rooms_of, token};
use crate::support::reply::{column, entry, list, sorted_column};
use crate::support::{Client, Connect, Dialled, Frame, Server, eventually};

/// Upgrades that a thread has under way at a time: those of a thousand users, and not more than a shard lets wait.
const DIALLED_MAX: usize = 500;

/// A device that is connected.
pub(super) struct Device {
    pub(super) user: usize,
    pub(super) session: String,
    pub(super) client: Client,
}

/// A device that was cut off, and how it will come back.
pub(super) struct Absent {
    pub(super) user: usize,
    pub(super) session: String,
    pub(super) connect: Connect,
}

/// A device that is connected again.
pub(super) struct Returned {
    pub(super) device: Device,
    /// The first frame that it got.
    pub(super) first: Frame,
    /// Whether it was sent away at first.
    pub(super) refused: bool,
}

impl Device {
    pub(super) fn connect(server: &Server, user: usize) -> Self {
        Self { user, session: String::new(), client: open(&server.connect().token(&token(user))) }
    }

    /// Enters its rooms and gets a session; `requests` are those of [`Device::request_session`].
    pub(super) fn enter(mut self, requests: &[String]) -> Self {
        for id in requests {
            let reply = self.client.reply(id);
            assert!(!reply.is_error(), "{}", reply.raw);
            if let Some(session) = reply.data()["token"].as_str() {
                session.clone_into(&mut self.session);
            }
        }
        assert!(!self.session.is_empty(), "it was given no session");
        self
    }

    pub(super) fn request_session(&mut self, users: usize) -> Vec<String> {
        let joins = rooms_of(self.user, users).map(|room| ("room:join", json!({"roomId": room})));
        let requests = joins.into_iter().chain([("connection:create-session", json!({}))]);
        requests.map(|(event, data)| self.client.post(event, &data)).collect()
    }

    /// Everything that was said in its rooms from `first` on has come, in order and once: in `recovered` and then live.
    pub(super) fn expect_all(&mut self, recovered: Option<&Frame>, users: usize, first: u64, said: u64) {
        for room in rooms_of(self.user, users) {
            let missed = recovered.map(|recovered| entry(recovered.data(), "rooms", "roomId", &room));
            let missed = missed.map_or(Vec::new(), |room| column(room, "messages", "content"));
            let mut got: Vec<u64> =
                missed.iter().map(|content| content.as_u64().expect("a number")).collect();
            while got.last() != Some(&said) {
                got.push(self.client.expect_message(&room).offset());
            }
            assert!(got.iter().copied().eq(first..=said), "{} in {room}: {got:?}", name(self.user));
        }
    }

    /// Waits until the server knows of each that it has got what was sent: whoever has a session is asked for that, by
    /// a ping behind the last message. Nothing more may have come meanwhile.
    pub(super) fn settle(devices: &mut [Self]) {
        let ask = |device: &mut Self| {
            let earlier = device.client.pings;
            device.client.ping();
            earlier
        };
        // The next question waits for the answer to the one before, so all of these come first.
        let earlier: Vec<u32> = devices.iter_mut().map(ask).collect();
        for (device, earlier) in devices.iter_mut().zip(earlier) {
            device.client.expect_ping(earlier);
            let more = device.client.arrived("message:received");
            assert!(more.is_empty(), "{} got more: {more:?}", name(device.user));
        }
    }
}

impl Absent {
    pub(super) fn new(server: &Server, user: usize, session: String) -> Self {
        let connect = server.connect().token(&token(user)).subprotocols("roomcast.event.v1");
        Self { user, connect: connect.query("session", &session), session }
    }

    /// All of them ask for an upgrade before the first answer is read. Whom the gateway sends away because it is too
    /// busy tries again, as any client does.
    pub(super) fn come_back(absent: Vec<Self>) -> Vec<Returned> {
        let mut returned = Vec::with_capacity(absent.len());
        let mut absent = absent.into_iter().peekable();
        while absent.peek().is_some() {
            let dialled: Vec<_> =
                absent.by_ref().take(DIALLED_MAX).map(|absent| (absent.connect.dial(), absent)).collect();
            returned.extend(dialled.into_iter().map(|(dialled, Self { user, session, connect })| {
                let answer = dialled.and_then(Dialled::answer).inspect_err(|refusal| assert_busy(refusal));
                let refused = answer.is_err();
                let mut client = answer.unwrap_or_else(|_| open(&connect));
                let first = client.expect("anything", |_| true);
                Returned { device: Device { user, session, client }, first, refused }
            }));
        }
        returned
    }
}

/// Connects, again and again while the gateway is too busy.
pub(super) fn open(connect: &Connect) -> Client {
    eventually("the gateway lets somebody in", || {
        connect.try_open().inspect_err(|refusal| assert_busy(refusal)).ok()
    })
}

pub(super) fn assert_busy(refusal: &str) {
    assert!(refusal.contains("status: 503"), "refused: {refusal}");
}

/// The frame says that all rooms of the user were recovered, those where something was said with what was `missed`
/// (and more only if there was talk while it came back).
pub(super) fn assert_recovered(frame: &Frame, user: usize, users: usize, missed: usize, talking: bool) {
    assert_eq!(frame.name, "connection:recovered", "{}", frame.raw);
    let mut rooms = Vec::from(rooms_of(user, users));
    for room in &rooms {
        let count = list(entry(frame.data(), "rooms", "roomId", room), "messages").len();
        assert!(
            count == missed || (talking && count > missed),
            "{missed} in {room} were missed: {}",
            frame.raw
        );
    }
    rooms.extend([format!("account:{}", account(user)), format!("user:{}", name(user))]);
    rooms.sort();
    assert_eq!(sorted_column(frame.data(), "rooms", "roomId"), rooms, "{}", frame.raw);
    assert!(
        column(frame.data(), "rooms", "recovered").iter().all(|recovered| *recovered == true),
        "{}",
        frame.raw
    );
}
