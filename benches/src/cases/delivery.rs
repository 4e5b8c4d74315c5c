//! What clients ask of whole shards: connecting, joining, sending to many, coming back.

use roomcast_shards::config::{AuthMode, Config};
use roomcast_shards::protocol::profile::Dialect;

use super::access::{HS256_TOKEN, secret_verifier};
use super::protocol::message_text;
use super::{Case, warm};
use crate::gateway::{Client, Gateway, client_frame, open_config, upgrade_head};

const EVENT_PROTOCOL: &str = "roomcast.event.v1";
const ROOM: &str = "lobby";
/// Messages that a recovery brings: as many as the room keeps.
const MISSED: usize = 100;

fn join_frame(room: &str) -> Vec<u8> {
    client_frame(&format!(r#"{{"event":"room:join","data":{{"roomId":"{room}"}},"requestId":1}}"#))
}

fn leave_frame(room: &str) -> Vec<u8> {
    client_frame(&format!(r#"{{"event":"room:leave","data":{{"roomId":"{room}"}},"requestId":2}}"#))
}

/// Clients of the event dialect who are in a room, on the shards in turn.
fn members(gateway: &mut Gateway, room: &str, count: usize, shards: usize) -> Vec<Client> {
    let (head, join) = (upgrade_head(EVENT_PROTOCOL), join_frame(room));
    (0..count)
        .map(|number| {
            let client = gateway.connect(number % shards, &head);
            gateway.receive(client, &join);
            gateway.settle();
            client
        })
        .collect()
}

/// What stands behind the last `name` in what a client heard, up to the next quote or comma.
fn last_value(heard: &str, name: &str) -> String {
    let (_, rest) =
        heard.rsplit_once(&format!("\"{name}\":")).unwrap_or_else(|| panic!("no {name} in {heard}"));
    rest.trim_start_matches('"').split(['"', ',', '}']).next().expect("a first part").to_owned()
}

/// A message to all members of a room: from the sender's bytes to every member's write.
pub struct FanOut {
    gateway: Gateway,
    sender: Client,
    frame: Vec<u8>,
    messages: u32,
}

impl FanOut {
    /// To so many members, the sender among them, all on one shard.
    #[must_use]
    pub fn to(members: usize) -> Self {
        Self::on(1, members, ROOM)
    }

    /// From a client on one shard to a room of the other, with a member on each: two hops over rings.
    #[must_use]
    pub fn across_shards() -> Self {
        let room = Gateway::new(open_config(2)).room_of(1);
        Self::on(2, 2, &room)
    }

    fn on(shards: usize, count: usize, room: &str) -> Self {
        let mut gateway = Gateway::new(open_config(shards));
        let sender = members(&mut gateway, room, count, shards)[0];
        let frame = client_frame(&message_text(Dialect::Event, room));
        // Rooms that are large take long anyway.
        let messages = if count < 100 { 20 } else { 5 };
        // Until the history is full.
        warm(Self { gateway, sender, frame, messages }, 120 / messages)
    }

    /// Sends a message and delivers it.
    pub fn send(&mut self) {
        self.send_together(1);
    }

    /// Sends some messages, and delivers all of them to each member with one write.
    pub fn send_together(&mut self, messages: usize) {
        self.gateway.pass_time();
        for _ in 0..messages {
            self.gateway.receive(self.sender, &self.frame);
        }
        self.gateway.settle();
    }

    /// The shards.
    #[must_use]
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }
}

impl Case for FanOut {
    fn run(&mut self) {
        for _ in 0..self.messages {
            self.send();
        }
    }

    fn times(&self) -> u32 {
        self.messages
    }
}

/// Joining a room of ten, who are told; by several, one after the other.
pub struct Join {
    gateway: Gateway,
    joiners: Vec<Client>,
    join: Vec<u8>,
    leave: Vec<u8>,
}

const JOINERS: usize = 10;

impl Join {
    /// The case.
    #[must_use]
    pub fn new() -> Self {
        let mut gateway = Gateway::new(open_config(1));
        members(&mut gateway, ROOM, 10, 1);
        let joiners = members(&mut gateway, ROOM, JOINERS, 1);
        warm(Self { gateway, joiners, join: join_frame(ROOM), leave: leave_frame(ROOM) }, 5)
    }

    fn all(&mut self, joins: bool) {
        let frame = if joins { &self.join } else { &self.leave };
        for client in &self.joiners {
            self.gateway.receive(*client, frame);
            self.gateway.settle();
        }
    }
}

impl Default for Join {
    fn default() -> Self {
        Self::new()
    }
}

impl Case for Join {
    fn prepare(&mut self) {
        self.all(false);
    }

    fn run(&mut self) {
        self.all(true);
    }

    fn times(&self) -> u32 {
        u32::try_from(JOINERS).expect("a few")
    }
}

/// Accepting a client: request head, token if there is one, the rooms that it is in from the start, the answer.
pub struct Connect {
    gateway: Gateway,
    head: Vec<u8>,
    client: Option<Client>,
}

impl Connect {
    /// Without authentication.
    #[must_use]
    pub fn anonymous() -> Self {
        warm(
            Self { gateway: Gateway::new(open_config(1)), head: upgrade_head(EVENT_PROTOCOL), client: None },
            20,
        )
    }

    /// With a token that was signed with a secret.
    #[must_use]
    pub fn with_token() -> Self {
        let gateway = Gateway::new(guarded_config());
        warm(Self { gateway, head: token_head(), client: None }, 20)
    }
}

impl Case for Connect {
    fn prepare(&mut self) {
        self.gateway.pass_time();
        if let Some(client) = self.client.take() {
            self.gateway.disconnect(client);
        }
    }

    fn run(&mut self) {
        self.client = Some(self.gateway.connect(0, &self.head));
    }
}

fn guarded_config() -> Config {
    Config { auth: AuthMode::Required, verifier: Some(secret_verifier()), ..open_config(1) }
}

fn token_head() -> Vec<u8> {
    upgrade_head(&format!("{EVENT_PROTOCOL}, roomcast.bearer.{HS256_TOKEN}"))
}

/// Coming back to a room from an offset, a hundred messages later.
pub struct RecoverByOffset {
    gateway: Gateway,
    client: Client,
    join: Vec<u8>,
    leave: Vec<u8>,
}

impl RecoverByOffset {
    /// The case.
    ///
    /// # Panics
    /// When the messages do not come.
    #[must_use]
    pub fn new() -> Self {
        let mut gateway = Gateway::new(open_config(1));
        let speaker = members(&mut gateway, ROOM, 2, 1)[0];
        let client = gateway.connect(0, &upgrade_head(EVENT_PROTOCOL));
        gateway.listen_to(client);
        gateway.receive(client, &join_frame(ROOM));
        gateway.settle();
        let heard = gateway.heard();
        let (epoch, offset) = (last_value(&heard, "epoch"), last_value(&heard, "offset"));
        let join = client_frame(&format!(
            r#"{{"event":"room:join","data":{{"roomId":"{ROOM}","recover":{{"epoch":"{epoch}","offset":{offset}}}}},"requestId":1}}"#
        ));
        speak(&mut gateway, speaker);
        let mut case = warm(Self { gateway, client, join, leave: leave_frame(ROOM) }, 3);
        case.gateway.listen_to(client);
        case.run();
        check_recovered(&case.gateway.heard());
        case.prepare();
        case
    }
}

impl Default for RecoverByOffset {
    fn default() -> Self {
        Self::new()
    }
}

impl Case for RecoverByOffset {
    fn prepare(&mut self) {
        self.gateway.receive(self.client, &self.leave);
        self.gateway.settle();
    }

    fn run(&mut self) {
        self.gateway.receive(self.client, &self.join);
        self.gateway.settle();
    }
}

/// Resuming a session after its connection was lost, a hundred messages later. The client names the position that it has
/// got to, as nothing here confirms deliveries by pongs.
pub struct RecoverSession {
    gateway: Gateway,
    speaker: Client,
    lost: Client,
    client: Client,
    token: String,
    epoch: String,
    offset: usize,
    recover: Vec<u8>,
}

impl RecoverSession {
    /// The case.
    ///
    /// # Panics
    /// When the messages do not come.
    #[must_use]
    pub fn new() -> Self {
        let mut gateway = Gateway::new(guarded_config());
        let [speaker, lost, client] = [(); 3].map(|()| gateway.connect(0, &token_head()));
        gateway.receive(speaker, &join_frame(ROOM));
        gateway.listen_to(lost);
        gateway.receive(lost, &join_frame(ROOM));
        gateway.receive(lost, &client_frame(r#"{"event":"connection:create-session","requestId":3}"#));
        gateway.settle();
        let heard = gateway.heard();
        let (token, epoch) = (last_value(&heard, "token"), last_value(&heard, "epoch"));
        let case = Self { gateway, speaker, lost, client, token, epoch, offset: 0, recover: Vec::new() };
        let mut case = warm(case, 3);
        case.gateway.listen_to(case.client);
        case.run();
        check_recovered(&case.gateway.heard());
        case.prepare();
        case
    }
}

impl Default for RecoverSession {
    fn default() -> Self {
        Self::new()
    }
}

impl Case for RecoverSession {
    fn prepare(&mut self) {
        let Self { token, epoch, offset, .. } = self;
        self.recover = client_frame(&format!(
            r#"{{"event":"connection:recover","data":{{"token":"{token}","positions":[{{"roomId":"{ROOM}","epoch":"{epoch}","offset":{offset}}}]}},"requestId":4}}"#
        ));
        self.gateway.disconnect(self.lost);
        speak(&mut self.gateway, self.speaker);
        self.offset += MISSED;
        self.client = self.gateway.connect(0, &token_head());
    }

    fn run(&mut self) {
        self.gateway.receive(self.client, &self.recover);
        self.gateway.settle();
        self.lost = self.client;
    }
}

/// The messages that somebody else misses.
fn speak(gateway: &mut Gateway, speaker: Client) {
    let frame = client_frame(&message_text(Dialect::Event, ROOM));
    for _ in 0..MISSED {
        gateway.pass_time();
        gateway.receive(speaker, &frame);
        gateway.settle();
    }
}

fn check_recovered(heard: &str) {
    assert!(heard.contains("\"recovered\":true"), "not recovered: {heard}");
    assert_eq!(heard.matches("\"senderId\":").count(), MISSED, "{heard}");
}
