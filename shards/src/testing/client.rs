//! A client: a small state machine that speaks the real wire, does random things, and checks what it hears.

mod answers;
mod commands;
mod connect;
mod created;
mod ends;
mod finish;
mod messages;
mod presence;
mod queues;
mod receipts;
mod reentry;
mod resumes;
mod revisions;
mod rooms;
mod sessions;
mod socketio;
mod talk;
mod topics;
mod typing;
mod view;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::dice::Dice;
use super::host::Around;
use super::ledger::Reading;
use super::scenario::Scenario;
use super::token::Grant;
use super::wire::{self, Reader, Received};
use crate::protocol::profile::Dialect;
use crate::room::pattern::Pattern;
use presence::Watching;
use sessions::{Hold, Session};
use talk::Talk;
use view::{Position, View};

/// What clients speak, each as often as it stands here.
const DIALECTS: [Dialect; 10] = [
    Dialect::Event,
    Dialect::Event,
    Dialect::Event,
    Dialect::Event,
    Dialect::Topic,
    Dialect::Topic,
    Dialect::Topic,
    Dialect::SocketIo,
    Dialect::SocketIo,
    Dialect::SocketIo,
];

/// How far a connection has come, as its client sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The answer to the request head is awaited.
    Head,
    /// A token was sent as the first message.
    Authenticating,
    /// Commands may be sent.
    Open,
    /// Nothing is sent any more; the connection's end is awaited.
    Ending,
}

/// A request whose answer is awaited.
#[derive(Debug)]
enum Asked {
    Join {
        room: String,
        recover: Option<Recovery>,
        history: usize,
        asked_ms: u64,
    },
    Leave {
        room: String,
    },
    /// Sends, by number; in a batch perhaps several. `sure` when the client is in all the rooms.
    Send {
        numbers: Vec<usize>,
        batch: bool,
        sure: bool,
    },
    History {
        room: String,
        after: Option<u64>,
        before: Option<u64>,
        limit: usize,
        /// Whether all is quiet, so that it shows the end of everything.
        last: bool,
    },
    /// A change of a message; `sure` when it must be done.
    Revise {
        number: usize,
        sure: bool,
    },
    /// A receipt, whether of reading, of the stream that the view is in; `ahead` when it must be refused.
    Receipt {
        room: String,
        read: bool,
        offset: u64,
        epoch: String,
        ahead: bool,
    },
    /// Who is watched from then on.
    Watch {
        users: Vec<String>,
        room: Option<String>,
        asked_ms: u64,
    },
    /// The presence of a user, for the last check.
    Presence {
        user: String,
    },
    /// A room that is to be created.
    Create {
        number: usize,
        room: Option<String>,
    },
    /// A room that is to be closed.
    Close {
        room: String,
        epoch: String,
    },
    /// What is to be known of a room that somebody created.
    Look {
        room: String,
    },
    /// A session that others can resume.
    Session,
    /// A session that this connection wants to resume.
    Resume,
    /// The connection's own session.
    Present,
    /// A token that is none of this client's.
    BadResume,
    /// Several rooms and patterns, entered or left.
    Several {
        enter: bool,
        rooms: Vec<String>,
        patterns: Vec<String>,
    },
    /// The rooms of a session that was resumed: those that must be there, and those that may.
    Rooms {
        sure: BTreeSet<String>,
        unsure: BTreeSet<String>,
    },
    /// Whose answer proves that the connection is in the room.
    Info {
        room: Option<String>,
    },
    /// A later token, and which of its rooms nothing else is asked about.
    Refresh {
        rooms: Vec<String>,
    },
    Other,
}

impl Asked {
    /// Whether it is about something that no session brings back.
    fn is_lost(&self) -> bool {
        match self {
            Self::Watch { .. } => true,
            Self::Several { patterns, .. } => !patterns.is_empty(),
            _ => false,
        }
    }

    /// Whether the connection is in other rooms afterwards.
    fn moves(&self) -> bool {
        matches!(
            self,
            Self::Join { .. }
                | Self::Leave { .. }
                | Self::Several { .. }
                | Self::Create { .. }
                | Self::Refresh { .. }
                | Self::Resume
        )
    }
}

/// A recovery that was asked for.
#[derive(Debug)]
struct Recovery {
    from: Position,
    /// Whether the position was made up, so that nothing can be recovered from it.
    bogus: bool,
}

/// A subscription to a pattern.
#[derive(Debug)]
struct Covered {
    pattern: Pattern,
    /// From when on every message must come; `None` before the answer.
    since_ms: Option<u64>,
    /// Whether an answer about it is awaited; until then its messages may come.
    busy: bool,
}

/// One connection of a client.
#[derive(Debug)]
struct Link {
    number: u64,
    /// Whether the server perhaps does not know of an earlier connection's end when this one comes.
    overlaps: bool,
    /// When bytes came last.
    fed_ms: u64,
    socket: usize,
    reader: Reader,
    stage: Stage,
    dialect: Dialect,
    /// The user, as far as the client knows.
    user: Option<String>,
    /// Rooms that the server enters for the user.
    forced: Vec<String>,
    /// Whether an answer has shown that they were entered.
    settled: bool,
    views: BTreeMap<String, View>,
    patterns: BTreeMap<String, Covered>,
    asked: BTreeMap<String, Asked>,
    requests: u64,
    /// Topic clients: answers that are awaited, by kind and topic.
    awaited: BTreeMap<(&'static str, String), u32>,
    /// Recoveries of a topic client, by topic.
    recoveries: BTreeMap<String, Recovery>,
    /// Errors without a request that the client has deserved.
    deserved_errors: u64,
    /// Errors of a topic client, which name no request.
    errors: u64,
    /// Whether the client gave a reason to end the connection, such as silence or broken frames.
    guilty: bool,
    close_code: Option<u16>,
    stalled_until_ms: u64,
    /// Sends that bore a `clientId` and may be repeated.
    repeatable: Vec<usize>,
    /// What the connection is to the rooms, as far as the client knows.
    session: u64,
    hold: Hold,
    /// What the session that it has asked for is to the rooms.
    wants: u64,
    /// Whether another connection wanted its session at the time when it came.
    contested: bool,
    /// Whether another connection of the client has taken its place.
    replaced: bool,
    /// Who is shown writing, by room and user.
    typing: BTreeMap<(String, String), bool>,
    /// Up to where the client was told that others have got, in rooms.
    readings: BTreeMap<Reading, (u64, u64)>,
    /// Rooms of which the client itself says how far it has got, in the resume that it has asked for.
    named: BTreeMap<String, Position>,
    watching: Watching,
    /// What it says and hears as a Socket.IO client.
    talk: Talk,
}

/// A client, over all its connections.
#[derive(Debug)]
pub(super) struct Client {
    index: usize,
    dialect: Dialect,
    grant: Option<Grant>,
    /// Bytes that it reads in a turn.
    pace: usize,
    rest_until_ms: u64,
    connections: u64,
    positions: BTreeMap<String, Position>,
    /// The last place that it saw as a Socket.IO client, in whichever session.
    seen: Option<String>,
    /// The place that it named last, and whether it has seen that again since: then the server cannot know that.
    named: (Option<String>, bool),
    /// Messages behind that place which told none, because they ask for an answer.
    unplaced: BTreeSet<(String, u64)>,
    link: Option<Link>,
    /// Connections whose place another has taken, and that are not gone yet.
    ghosts: Vec<Link>,
    /// What it can resume.
    session: Option<Session>,
    /// What it could resume before it opened that.
    spare: Option<Session>,
    /// Sessions that it has had, resumed ones each time.
    stamps: u64,
    /// The sockets of its earlier connections.
    before: Vec<usize>,
    /// Which of the ledgers is its namespace's.
    pub(super) tenant: usize,
}

impl Client {
    pub(super) fn new(index: usize, grants: &[Grant], dice: &mut Dice) -> Self {
        let grant = dice.pick_any(grants).cloned();
        Self {
            index,
            dialect: *dice.pick(&DIALECTS),
            tenant: grant.as_ref().map_or(0, |grant| grant.tenant),
            grant,
            pace: if dice.percent(20) { dice.size(5, 200) } else { usize::MAX },
            rest_until_ms: dice.between(0, 500),
            connections: 0,
            positions: BTreeMap::new(),
            seen: None,
            named: (None, false),
            unplaced: BTreeSet::new(),
            link: None,
            ghosts: Vec::new(),
            session: None,
            spare: None,
            stamps: 0,
            before: Vec::new(),
        }
    }

    /// The user, if it has a name.
    pub(super) fn user(&self) -> Option<&str> {
        self.grant.as_ref().map(|grant| grant.user.as_str())
    }

    /// Reads, and does something if it may still act.
    pub(super) fn turn(&mut self, acts: bool, around: &mut Around<'_>) {
        self.turn_ghosts(acts, around);
        if self.link.is_some() {
            self.read(acts, around);
            if acts {
                self.act(around);
            }
        } else if acts && self.rest_until_ms <= around.now.ms {
            self.connect(around);
        }
    }

    fn read(&mut self, acts: bool, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        if acts && link.stalled_until_ms > around.now.ms {
            return;
        }
        let pace = if acts { self.pace } else { usize::MAX };
        let bytes = around.network.sockets[link.socket].take(pace);
        if !bytes.is_empty() {
            link.fed_ms = around.now.ms;
        }
        link.reader.feed(&bytes);
        while let Some(link) = &mut self.link {
            match link.reader.next_frame() {
                Ok(Some(received)) => self.on_received(received, around),
                Ok(None) => break,
                Err(what) => {
                    let what = format!("connection {}: {what}", link.number);
                    return around.ledger.violate("the server's bytes are frames", what);
                }
            }
        }
        self.notice_end(around);
    }

    fn on_received(&mut self, received: Received, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        around.ledger.note(|| format!("{:>6} {} < {received:?}", around.now.ms, link.number));
        match received {
            Received::Head { status: 101, accepts: false } => {
                around.ledger.violate("an upgrade is answered with its key", format!("{}", link.number));
            }
            Received::Head { status, .. } => self.on_head(status, around),
            Received::Ping(payload) => self.on_ping(&payload, around),
            Received::Pong => {}
            Received::Close(code) => self.on_close(code, around),
            Received::Text(text) if link.dialect == Dialect::SocketIo => self.on_packet(&text, around),
            Received::Binary(data) if link.dialect == Dialect::SocketIo => {
                self.on_attachment(&data, around);
            }
            Received::Binary(_) => {
                around.ledger.violate("no client hears binary", format!("{}", link.number))
            }
            Received::Text(text) => match serde_json::from_str(&text) {
                Ok(value) => self.on_text(&text, &value, around),
                Err(error) => {
                    around.ledger.violate("the server's texts are JSON", format!("{error}: {text}"))
                }
            },
        }
    }

    fn on_text(&mut self, text: &str, frame: &Value, around: &mut Around<'_>) {
        let Some(link) = &mut self.link else { return };
        let speaks = if frame.get("event").is_some() { Dialect::Event } else { Dialect::Topic };
        if speaks == link.dialect {
            match speaks {
                Dialect::Topic => self.on_topic(text, frame, around),
                _ => self.on_event(text, frame, around),
            }
        } else if link.guilty {
            // It was too slow with the first frame that should have changed the dialect.
            self.vanish(around);
        } else {
            around.ledger.violate("a client is spoken to in its dialect", text);
        }
    }

    fn send_frame(&mut self, opcode: u8, payload: &[u8], around: &mut Around<'_>) {
        let Some(link) = &self.link else { return };
        around.ledger.note(|| {
            format!("{:>6} {} > {opcode} {}", around.now.ms, link.number, String::from_utf8_lossy(payload))
        });
        let mut bytes = Vec::new();
        if payload.len() > 1 && opcode < wire::CLOSE && around.dice.percent(5) {
            let (first, last) = payload.split_at(around.dice.size(1, payload.len() - 1));
            bytes.extend(wire::client_frame(opcode, false, first, around.dice.mask()));
            bytes.extend(wire::client_frame(wire::CONTINUATION, true, last, around.dice.mask()));
        } else {
            bytes.extend(wire::client_frame(opcode, true, payload, around.dice.mask()));
        }
        let due_ms = around.now.ms + around.dice.between(0, around.scenario.network_delay_ms);
        around.network.sockets[link.socket].send(bytes, due_ms);
    }

    fn send_text(&mut self, text: &str, around: &mut Around<'_>) {
        self.send_frame(wire::TEXT, text.as_bytes(), around);
    }
}
