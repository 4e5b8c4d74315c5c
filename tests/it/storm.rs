//! A reconnect storm: everybody's sockets are cut at once and everybody comes back at once, as when a load balancer
//! restarts (protocol §4, §5). Nobody may be seen to have gone, and nobody may miss anything or get it twice.
//!
//! `ROOMCAST_STORM_USERS` says how many users there are, with three devices each; without it there are few, so that the
//! suite stays quick. The time and the CPU that a return takes are printed; `-- --nocapture` shows them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde_json::json;

use crate::support::reply::{column, entry, list, sorted_column};
use crate::support::{
    Client, Connect, Dialled, Frame, QUIET, Server, Token, eventually, raise_descriptor_limit,
};

const USERS_DEFAULT: usize = 100;
const DEVICES: usize = 3;
const ROOM_USERS: usize = 10;
const ACCOUNT_USERS: usize = 5;
/// Threads on this side, each with its share of the devices.
const THREADS: usize = 6;
/// Upgrades that a thread has under way at a time: those of a thousand users, and not more than a shard lets wait.
const DIALLED_MAX: usize = 500;
/// Messages that come into each room while everybody comes back.
const INTERJECTIONS_MAX: usize = 10;
/// What tells of somebody who comes or goes.
const EDGES: [&str; 5] =
    ["presence:changed", "user:online", "user:offline", "room:member-joined", "room:member-left"];

/// The server and those who stay.
struct Stage {
    server: Server,
    shards: usize,
    users: usize,
    watchers: Vec<Watcher>,
    speaker: Speaker,
}

/// Somebody who is told of some users when they come: each of these events, once a user.
struct Watcher {
    client: Client,
    users: Vec<String>,
    events: &'static [&'static str],
}

/// Somebody who is in all rooms, and says the same numbers in each: 1, 2, 3.
struct Speaker {
    client: Client,
    users: usize,
    said: u64,
}

/// A device that is connected.
struct Device {
    user: usize,
    session: String,
    client: Client,
}

/// A device that was cut off, and how it will come back.
struct Absent {
    user: usize,
    session: String,
    connect: Connect,
}

/// A device that is connected again.
struct Returned {
    device: Device,
    /// The first frame that it got.
    first: Frame,
    /// Whether it was sent away at first.
    refused: bool,
}

/// Connects, again and again while the gateway is too busy.
fn open(connect: &Connect) -> Client {
    eventually("the gateway lets somebody in", || {
        connect.try_open().inspect_err(|refusal| assert_busy(refusal)).ok()
    })
}

fn assert_busy(refusal: &str) {
    assert!(refusal.contains("status: 503"), "refused: {refusal}");
}

fn name(user: usize) -> String {
    format!("user{user:05}")
}

fn account(user: usize) -> String {
    format!("account{}", user / ACCOUNT_USERS)
}

fn token(user: usize) -> Token {
    Token::employee(&name(user)).account(&account(user))
}

/// Users stand in a grid; each is in the room of its row and in that of its column.
fn rooms_of(user: usize, users: usize) -> [String; 2] {
    [format!("row:{}", user / ROOM_USERS), format!("column:{}", user % users.div_ceil(ROOM_USERS))]
}

fn all_rooms(users: usize) -> impl Iterator<Item = String> {
    let of_kind = move |kind| (0..users.div_ceil(ROOM_USERS)).map(move |n| format!("{kind}:{n}"));
    ["row", "column"].into_iter().flat_map(of_kind)
}

/// The names of the users who are `wanted`, sorted.
fn names(users: usize, wanted: impl Fn(usize) -> bool) -> Vec<String> {
    (0..users).filter(|user| wanted(*user)).map(name).collect()
}

/// Gives each thread its share, and puts together what they make of it, in order.
fn in_parallel<I: Send, O: Send>(mut items: Vec<I>, work: impl Fn(Vec<I>) -> Vec<O> + Sync) -> Vec<O> {
    let share = items.len().div_ceil(THREADS);
    let mut shares = Vec::new();
    while items.len() > share {
        let rest = items.split_off(share);
        shares.push(std::mem::replace(&mut items, rest));
    }
    shares.push(items);
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = shares.into_iter().map(|share| scope.spawn(move || work(share))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("it has said why")).collect()
    })
}

impl Watcher {
    /// Watches the members of the `nth` room of that user.
    fn of_room(server: &Server, users: usize, user: usize, nth: usize) -> Self {
        let room = &rooms_of(user, users)[nth];
        let mut client = server.member(&format!("watcher-of-{room}"), room);
        client.call("presence:watch", json!({"roomId": room}));
        let users = names(users, |other| rooms_of(other, users)[nth] == *room);
        Self { client, users, events: &["presence:changed", "room:member-joined"] }
    }

    /// Watches its account, which is that user's, as its profile wants it.
    fn of_account(server: &Server, users: usize, user: usize) -> Self {
        let token = Token::employee("watcher-of-account").account(&account(user));
        let mut client = server.connect().token(&token).query("profile", "support").open();
        client.ping();
        let users = names(users, |other| account(other) == account(user));
        Self { client, users, events: &["user:online"] }
    }

    /// Watches everybody, and sees who is of its account.
    fn of_everybody(server: &Server, users: usize, user: usize) -> Self {
        let mut client = server.open(&Token::employee("watcher-of-everybody").account(&account(user)));
        client.join("presence:global");
        let users = names(users, |other| account(other) == account(user));
        Self { client, users, events: &["presence:changed"] }
    }

    /// Watches some users by name, and sees those of them who are of its account.
    fn of_users(server: &Server, users: usize, user: usize) -> Self {
        let mut client = server.open(&Token::employee("watcher-of-users").account(&account(user)));
        let is_seen = |other| account(other) == account(user);
        let watched = names(users, |other| is_seen(other) || other < ROOM_USERS);
        client.call("presence:watch", json!({"userIds": watched}));
        Self { client, users: names(users, is_seen), events: &["presence:changed"] }
    }

    /// Each of its users comes; that it is only once is seen by the silence behind it.
    fn expect_everybody(&mut self) {
        for event in self.events {
            let mut heard: Vec<String> = Vec::new();
            for _ in &self.users {
                let frame = self.client.expect_event(event);
                if frame.name == "presence:changed" {
                    assert_eq!(frame.data()["status"], "online", "{}", frame.raw);
                }
                heard.push(frame.data()["userId"].as_str().expect("of somebody").to_owned());
            }
            heard.sort();
            assert_eq!(heard, self.users, "{event}");
        }
    }

    /// Its users count as there, although none of their devices is.
    fn assert_all_within_grace(&mut self) {
        for user in &self.users {
            let status = self.client.call("presence:user-status", json!({"userId": user}));
            assert_eq!((&status["status"], &status["devices"]), (&json!("online"), &json!(0)), "{status}");
        }
    }
}

impl Speaker {
    fn new(server: &Server, users: usize) -> Self {
        let mut client = server.employee("speaker");
        let joins: Vec<String> =
            all_rooms(users).map(|room| client.post("room:join", &json!({"roomId": room}))).collect();
        for id in &joins {
            assert_eq!(client.reply(id).name, "room:joined");
        }
        Self { client, users, said: 0 }
    }

    /// Says the next number in every room.
    fn speak(&mut self) {
        let Self { client, users, said } = self;
        *said += 1;
        client.arrived("message:received");
        let sends: Vec<String> = all_rooms(*users)
            .map(|room| client.post("message:send", &json!({"roomId": room, "content": said})))
            .collect();
        for id in &sends {
            assert_eq!(client.reply(id).offset(), *said);
        }
    }
}

impl Device {
    fn connect(server: &Server, user: usize) -> Self {
        Self { user, session: String::new(), client: open(&server.connect().token(&token(user))) }
    }

    /// Enters its rooms and gets a session; `requests` are those of [`Device::request_session`].
    fn enter(mut self, requests: &[String]) -> Self {
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

    fn request_session(&mut self, users: usize) -> Vec<String> {
        let joins = rooms_of(self.user, users).map(|room| ("room:join", json!({"roomId": room})));
        let requests = joins.into_iter().chain([("connection:create-session", json!({}))]);
        requests.map(|(event, data)| self.client.post(event, &data)).collect()
    }

    /// Everything that was said in its rooms from `first` on has come, in order and once: in `recovered` and then live.
    fn expect_all(&mut self, recovered: Option<&Frame>, users: usize, first: u64, said: u64) {
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
    fn settle(devices: &mut [Self]) {
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
    fn new(server: &Server, user: usize, session: String) -> Self {
        let connect = server.connect().token(&token(user)).subprotocols("roomcast.event.v1");
        Self { user, connect: connect.query("session", &session), session }
    }

    /// All of them ask for an upgrade before the first answer is read. Whom the gateway sends away because it is too
    /// busy tries again, as any client does.
    fn come_back(absent: Vec<Self>) -> Vec<Returned> {
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

impl Stage {
    fn new(shards: usize, users: usize) -> Self {
        let rooms_max = all_rooms(users).count().to_string();
        let server = Server::builder()
            .shards(shards)
            .with(&["--presence-grace", "30s", "--max-rooms", &rooms_max])
            // Nobody is too late because this machine is busy, and no ping comes but those that ask for progress.
            .with(&["--handshake-timeout", "5m", "--auth-timeout", "5m"])
            .with(&["--ping-interval", "10m", "--ping-timeout", "20m"])
            .start();
        let speaker = Speaker::new(&server, users);
        let watchers = vec![
            Watcher::of_room(&server, users, 0, 0),
            Watcher::of_room(&server, users, users - 1, 1),
            Watcher::of_account(&server, users, users / 4),
            Watcher::of_everybody(&server, users, users / 2),
            Watcher::of_users(&server, users, users * 3 / 4),
        ];
        let mut stage = Self { server, shards, users, watchers, speaker };
        for _ in 0..2 {
            stage.speaker.client.expect_event("room:member-joined");
        }
        stage
    }

    /// Everybody comes for the first time, the devices of a user on different threads.
    fn admit(&mut self) -> Vec<Device> {
        let everybody: Vec<usize> = (0..DEVICES).flat_map(|_| 0..self.users).collect();
        let devices = in_parallel(everybody, |users| {
            let mut devices: Vec<Device> =
                users.into_iter().map(|user| Device::connect(&self.server, user)).collect();
            let requests: Vec<_> =
                devices.iter_mut().map(|device| device.request_session(self.users)).collect();
            devices.into_iter().zip(requests).map(|(device, requests)| device.enter(&requests)).collect()
        });
        for watcher in &mut self.watchers {
            watcher.expect_everybody();
        }
        for _ in 0..2 * self.users {
            self.speaker.client.expect_event("room:member-joined");
        }
        devices
    }

    /// Everybody is cut off and comes back; `talking` goes on meanwhile or not.
    #[expect(clippy::print_stdout, reason = "the figures are for whoever asks to see a test's output")]
    fn storm(&mut self, devices: Vec<Device>, talking: bool) -> Vec<Device> {
        let Self { server, shards, users, watchers, speaker } = self;
        let (users, count) = (*users, devices.len());
        let first = speaker.said + 1;
        let (absent, sockets): (Vec<Absent>, Vec<Client>) = devices
            .into_iter()
            .map(|Device { user, session, client }| (Absent::new(server, user, session), client))
            .unzip();
        drop(sockets);
        // One message before the gateway can have noticed everybody's end, and one behind that.
        speaker.speak();
        eventually("all sessions are put aside", || {
            let stats = speaker.client.call("connection:stats", json!({}));
            (stats["parked"] == count).then_some(())
        });
        for watcher in watchers.iter_mut() {
            watcher.assert_all_within_grace();
        }
        // Long enough for the gateway to tell that somebody has gone, if it were to.
        watchers[0].client.stays_open_for(QUIET);
        speaker.speak();
        let missed = usize::try_from(speaker.said + 1 - first).expect("few");

        let (began, cpu_before) = (Instant::now(), server.cpu_time());
        let is_over = AtomicBool::new(!talking);
        let back = std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..INTERJECTIONS_MAX {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    speaker.speak();
                }
            });
            let back = in_parallel(absent, Absent::come_back);
            is_over.store(true, Ordering::Relaxed);
            back
        });
        let (took, cpu) = (began.elapsed(), server.cpu_time() - cpu_before);
        let refused = back.iter().filter(|returned| returned.refused).count();
        println!(
            "{shards} shards, {users} users{}: {count} devices were back in {took:.2?} ({refused} at the second try), \
             with {cpu:.0?} of the server's CPU, {:.0?} each",
            if talking { " while there was talk" } else { "" },
            cpu / u32::try_from(count).expect("few"),
        );

        speaker.speak();
        let said = speaker.said;
        in_parallel(back, |back| {
            let check = |Returned { mut device, first: recovered, .. }| {
                assert_recovered(&recovered, device.user, users, missed, talking);
                device.expect_all(Some(&recovered), users, first, said);
                device
            };
            let mut devices: Vec<Device> = back.into_iter().map(check).collect();
            Device::settle(&mut devices);
            devices
        })
    }

    /// Nobody who stays hears of anybody who comes or goes.
    fn assert_silence(&mut self) {
        let watchers = self.watchers.iter_mut().map(|watcher| &mut watcher.client);
        for client in watchers.chain([&mut self.speaker.client]) {
            client.ping();
            client.arrived("message:received");
            for edge in EDGES {
                let heard = client.arrived(edge);
                assert!(heard.is_empty(), "{} times {edge}, such as {}", heard.len(), heard[0].raw);
            }
        }
    }
}

/// The frame says that all rooms of the user were recovered, those where something was said with what was `missed`
/// (and more only if there was talk while it came back).
fn assert_recovered(frame: &Frame, user: usize, users: usize, missed: usize, talking: bool) {
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

#[test]
fn everybody_is_cut_off_and_comes_back_at_once_unseen_and_with_all_that_was_missed() {
    raise_descriptor_limit();
    let users = std::env::var("ROOMCAST_STORM_USERS")
        .map_or(USERS_DEFAULT, |users| users.parse().expect("ROOMCAST_STORM_USERS is a number"));
    assert!(users >= 4 * ACCOUNT_USERS, "the watchers' accounts would not be different ones");
    for shards in [1, 2] {
        let mut stage = Stage::new(shards, users);
        let devices = stage.admit();
        stage.speaker.speak();
        let mut devices = in_parallel(devices, |mut devices| {
            devices.iter_mut().for_each(|device| device.expect_all(None, users, 1, 1));
            Device::settle(&mut devices);
            devices
        });
        stage.assert_silence();
        for talking in [false, true] {
            devices = stage.storm(devices, talking);
            stage.assert_silence();
        }
    }
}
