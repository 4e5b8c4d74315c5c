//! How clients come: with and without tokens, in whichever dialect, sometimes not quite.

use std::collections::BTreeMap;

use super::super::host::Around;
use super::super::network::{Arrival, Socket};
use super::super::wire::{self, Reader};
use super::presence::Watching;
use super::sessions::Hold;
use super::talk::Talk;
use super::{Client, Link, Stage};
use crate::connection::http::TurnAway;
use crate::protocol::profile::Dialect;

/// How the client shows its token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Header,
    Protocol,
    Query,
    FirstMessage,
    /// It never does.
    Never,
}

impl Client {
    pub(super) fn connect(&mut self, around: &mut Around<'_>) {
        let resumes = self.dialect != Dialect::Topic && self.session.is_some() && around.dice.percent(70);
        self.connect_as(resumes, around);
    }

    /// Connects, and resumes its session if it should.
    pub(super) fn connect_as(&mut self, resumes: bool, around: &mut Around<'_>) {
        self.connections += 1;
        around.ledger.totals.connections += 1;
        let number = self.index as u64 * 1_000 + self.connections;
        let socket = around.network.sockets.len();
        let capacity = around.scenario.send_buffer_bytes;
        around.network.sockets.push(Socket::new(capacity));
        let refuse = around
            .dice
            .percent(2)
            .then(|| TurnAway { status: *around.dice.pick(&[429, 503]), retry_after_s: 1 });
        around.network.arrivals.push(Arrival { socket, refuse });
        let link = Link { guilty: refuse.is_some(), ..self.new_link(number, socket, around) };
        self.link = Some(link);
        if resumes && refuse.is_none() {
            return self.send_upgrade(true, around);
        }
        match around.dice.between(0, 99) {
            0..2 => self.send_head(b"GET /healthz HTTP/1.1\r\n\r\n", true, around),
            2..5 => self.send_head(b"GET /ws HTTP/1.1\r\nHost: gate", true, around),
            5..7 => self.send_head(b"GET /ws HTTP/1.1\r\nHost: a\r\n\r\n", true, around),
            _ => self.send_upgrade(false, around),
        }
    }

    /// A connection that has said nothing yet.
    pub(super) fn new_link(&self, number: u64, socket: usize, around: &Around<'_>) -> Link {
        Link {
            number,
            overlaps: self.before.iter().any(|socket| !around.network.knows_end(*socket)),
            fed_ms: around.now.ms,
            socket,
            reader: Reader::default(),
            stage: Stage::Head,
            dialect: self.dialect,
            user: self.grant.as_ref().map(|grant| grant.user.clone()),
            forced: self.grant.iter().flat_map(|grant| grant.forced_rooms()).collect(),
            settled: false,
            views: BTreeMap::new(),
            patterns: BTreeMap::new(),
            asked: BTreeMap::new(),
            requests: 0,
            awaited: BTreeMap::new(),
            recoveries: BTreeMap::new(),
            deserved_errors: 0,
            errors: 0,
            guilty: false,
            close_code: None,
            stalled_until_ms: 0,
            repeatable: Vec::new(),
            session: number,
            hold: Hold::None,
            wants: number,
            contested: self.is_contested(),
            replaced: false,
            typing: BTreeMap::new(),
            readings: BTreeMap::new(),
            named: BTreeMap::new(),
            watching: Watching::default(),
            talk: Talk::default(),
        }
    }

    pub(super) fn send_head(&mut self, head: &[u8], guilty: bool, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        link.guilty |= guilty;
        around
            .ledger
            .note(|| format!("{:>6} {} > {:?}", around.now.ms, link.number, String::from_utf8_lossy(head)));
        let due_ms = around.now.ms + around.dice.between(0, around.scenario.network_delay_ms);
        around.network.sockets[link.socket].send(head.to_vec(), due_ms);
    }

    fn send_upgrade(&mut self, resumes: bool, around: &mut Around<'_>) {
        if self.dialect == Dialect::SocketIo {
            return self.open_conversation(resumes, around);
        }
        let shown = match (&self.grant, around.dice.between(0, 99)) {
            (None, _) | (_, 0..4) => Shown::Never,
            (_, 4..25) => Shown::Header,
            (_, 25..45) => Shown::Protocol,
            (_, 45..65) => Shown::Query,
            _ => Shown::FirstMessage,
        };
        let (mut query, mut protocols, mut headers) = (Vec::new(), Vec::new(), Vec::new());
        let switches = !resumes && self.choose_dialect(&mut query, &mut protocols, around);
        if resumes {
            protocols.push("roomcast.event.v1".to_owned());
            query.push(format!("session={}", self.begin_resume(around)));
        }
        let token = self.token(shown != Shown::Never, around);
        match shown {
            Shown::Header => headers.push(format!("Authorization: Bearer {token}")),
            Shown::Protocol => protocols.push(format!("roomcast.bearer.{token}")),
            Shown::Query => query.push(format!("token={token}")),
            Shown::FirstMessage | Shown::Never => {}
        }
        if !protocols.is_empty() {
            headers.push(format!("Sec-WebSocket-Protocol: {}", protocols.join(", ")));
        }
        let target = if query.is_empty() { "/ws".to_owned() } else { format!("/ws?{}", query.join("&")) };
        self.send_head(&wire::upgrade_head(&target, &headers), false, around);
        if shown == Shown::FirstMessage {
            self.send_first_message(&token, around);
        } else if switches || around.dice.percent(20) {
            self.send_first_ping(around);
        }
        let silent = shown == Shown::Never && self.grant.is_some();
        let Some(link) = &mut self.link else { return };
        link.guilty |= switches || silent;
        if silent {
            // Without a token it can only wait for its end.
            link.stage = Stage::Authenticating;
        }
    }

    /// Whether the first frame must change the dialect that the server assumes.
    fn choose_dialect(
        &self,
        query: &mut Vec<String>,
        protocols: &mut Vec<String>,
        around: &mut Around<'_>,
    ) -> bool {
        let assumed_topic = around.scenario.config.profile == "topic";
        let (own, other, protocol) = match self.dialect {
            Dialect::Topic => ("topic", "native", "roomcast.topic.v1"),
            Dialect::Event | Dialect::SocketIo => ("native", "topic", "roomcast.event.v1"),
        };
        match around.dice.between(0, 9) {
            0..5 => protocols.push(protocol.to_owned()),
            5 => {
                query.push(format!("profile={other}"));
                return true;
            }
            6..8 if assumed_topic == (self.dialect == Dialect::Topic) => {}
            _ => query.push(format!("profile={own}")),
        }
        false
    }

    /// A token, now and then a bad one.
    pub(super) fn token(&mut self, may_be_bad: bool, around: &mut Around<'_>) -> String {
        let (Some(grant), Some(link)) = (&self.grant, &mut self.link) else { return String::new() };
        let now_s = around.now.unix_ms / 1_000;
        if around.dice.percent(4) && may_be_bad {
            link.guilty = true;
            link.deserved_errors += 1_000;
            let expired = grant.sign(now_s - 10);
            return (*around.dice.pick(&["no.token.atall", &expired])).to_owned();
        }
        let short = around.dice.percent(5);
        link.guilty |= short;
        link.deserved_errors += u64::from(short);
        grant.sign(now_s + if short { 3 } else { 3_600 })
    }

    fn send_first_message(&mut self, token: &str, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        link.stage = Stage::Authenticating;
        match self.dialect {
            Dialect::Event | Dialect::SocketIo => {
                self.send_text(&format!(r#"{{"event":"auth","data":{{"token":"{token}"}}}}"#), around);
            }
            Dialect::Topic => self.send_text(&format!(r#"{{"type":"auth","token":"{token}"}}"#), around),
        }
    }

    fn send_first_ping(&mut self, around: &mut Around<'_>) {
        match self.dialect {
            Dialect::Event | Dialect::SocketIo => self.send_text(r#"{"event":"ping"}"#, around),
            Dialect::Topic => self.send_text(r#"{"type":"ping"}"#, around),
        }
    }

    pub(super) fn on_head(&mut self, status: u16, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        match status {
            101 => {
                self.note_overlap(around);
                self.open_unless_authenticating(around);
            }
            _ => {
                around.ledger.totals.http_refusals += 1;
                if !link.guilty {
                    around.ledger.violate("a proper upgrade is accepted", format!("{status}"));
                }
                link.stage = Stage::Ending;
            }
        }
    }

    fn open_unless_authenticating(&mut self, around: &mut Around<'_>) {
        if self.link.as_ref().is_some_and(|link| link.stage == Stage::Head) {
            self.open(around);
        }
    }

    /// Commands may be sent from here on; they are read when the forced rooms have been entered.
    pub(super) fn open(&mut self, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        if link.stage != Stage::Ending {
            link.stage = Stage::Open;
        }
        for room in link.forced.clone() {
            link.view(&room).member = true;
        }
        if let Some(user) = &link.user
            && !around.ledger.users.contains(user)
        {
            around.ledger.users.push(user.clone());
        }
        if let (Some(user), true) = (&link.user, link.stage == Stage::Open) {
            let comings = around.ledger.comings.entry(user.clone()).or_default();
            comings.come(link.number);
        }
    }

    /// The first answer to a command proves that the forced rooms have been entered.
    pub(super) fn settle_forced(&mut self, around: &mut Around<'_>) {
        let Some(link) = self.link.as_mut().filter(|link| !link.settled) else { return };
        link.settled = true;
        if let Some(user) = &link.user {
            around.ledger.comings.entry(user.clone()).or_default().settle(link.number, around.now.ms);
        }
        for room in link.forced.clone() {
            link.view(&room).enter_somewhere(around.now.ms);
        }
    }
}
