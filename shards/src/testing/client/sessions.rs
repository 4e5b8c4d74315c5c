//! Sessions: opened, kept when their connection is lost, and taken over while it is still there.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::host::Around;
use super::view::View;
use super::{Asked, Client, Link, Stage};
use crate::protocol::profile::Dialect;

/// What a connection has to do with a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Hold {
    /// Nothing that its client knows of.
    #[default]
    None,
    /// It wants to resume one; by command, or as it came.
    Asked { by_command: bool },
    /// It has one; of two that had the same, the greater number had it later.
    Held(u64),
}

impl Hold {
    /// Whether it is not decided yet.
    pub(super) fn is_asked(self) -> bool {
        matches!(self, Self::Asked { .. })
    }
}

/// What a client can resume.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) token: String,
    /// What it is to the rooms.
    pub(super) session: u64,
    /// Its rooms, as the last connection that had it has left them.
    pub(super) rooms: BTreeMap<String, View>,
    /// Those of which it is not known whether it has them.
    pub(super) unsure: BTreeSet<String>,
    /// Whether its client has left for good, and whether the server surely knows.
    pub(super) over: bool,
    pub(super) gone: bool,
    /// Whether a connection that was not let in has named another place than the last that its client saw.
    pub(super) inexact: bool,
    /// Whether its connection was lost while it waited to hear of a recovery, that could have told it of a gap.
    pub(super) asked: bool,
    /// Whether it may have had patterns or watches, which no session brings back.
    pub(super) partial: bool,
    /// Which time it was that it had it.
    pub(super) stamp: u64,
    /// The sockets that had it or wanted it, in order.
    pub(super) sockets: Vec<usize>,
    /// The socket of the last one that surely had it.
    pub(super) holder: usize,
    /// Connections that wanted it since, and were lost before they had read the answer.
    pub(super) unread: u32,
    /// When its connection left it for another session.
    pub(super) left_ms: Option<u64>,
}

impl Client {
    pub(super) fn use_session(&mut self, around: &mut Around<'_>) {
        let Some(link) = &self.link else { return };
        let idle = link.asked.is_empty() && link.settled && !link.is_covered();
        let mut busy = link.views.values().filter(|view| view.busy > 0 || view.busy_parts > 0);
        // A Socket.IO client takes a session up as it comes, and by no other means.
        let calm = idle && busy.next().is_none() && self.dialect != Dialect::SocketIo;
        match (link.hold, around.dice.between(0, 9)) {
            (_, 0) => self.resume_badly(around),
            (Hold::None, _) if self.session.is_some() && calm => self.resume_by_command(around),
            (Hold::None, _) if link.settled => {
                self.request("connection:create-session", "{}", Asked::Session, around);
            }
            (Hold::Held(_), 1..3) => {
                self.request("connection:create-session", "{}", Asked::Session, around);
            }
            (Hold::Held(_), 3..5) if self.spare.is_some() && calm => {
                std::mem::swap(&mut self.session, &mut self.spare);
                self.resume_by_command(around);
            }
            (Hold::Held(_), 5..7) if calm => {
                let Some(session) = &self.session else { return };
                let data = format!(r#"{{"token":"{}"}}"#, session.token);
                self.request("connection:recover", &data, Asked::Present, around);
            }
            _ => {}
        }
    }

    /// Presents a token that nobody gave, or that was given to another user.
    fn resume_badly(&mut self, around: &mut Around<'_>) {
        let others: Vec<String> = match self.user() {
            Some(own) => {
                let tokens = around.ledger.tokens.iter().filter(|(user, _)| user != own);
                tokens.map(|(_, token)| token.clone()).collect()
            }
            None => Vec::new(),
        };
        let token = around.dice.pick_any(&others).map_or("rs1.0.00.x", String::as_str);
        let data = format!(r#"{{"token":"{token}"}}"#);
        self.request("connection:recover", &data, Asked::BadResume, around);
    }

    /// A session is open: the connection's own.
    pub(super) fn on_session(&mut self, data: &Value, around: &mut Around<'_>) {
        let (Some(token), Some(link)) = (data["token"].as_str(), &mut self.link) else {
            return around.ledger.violate("a session has a token", format!("{data}"));
        };
        around.ledger.totals.sessions += 1;
        if let Some(user) = &link.user {
            around.ledger.tokens.push((user.clone(), token.to_owned()));
        }
        let stamp = match link.hold {
            Hold::Held(stamp) => stamp,
            _ => self.stamps + 1,
        };
        self.stamps = self.stamps.max(stamp);
        if matches!(link.hold, Hold::Held(_)) {
            let known = self.session.as_ref().filter(|session| session.session == link.session);
            if known.is_some_and(|session| session.token != token) {
                around.ledger.violate("a session has one token", format!("{data}"));
            }
            return;
        }
        link.hold = Hold::Held(stamp);
        let session = Session {
            token: token.to_owned(),
            session: link.session,
            rooms: BTreeMap::new(),
            unsure: BTreeSet::new(),
            over: false,
            gone: false,
            inexact: false,
            asked: false,
            partial: false,
            stamp,
            sockets: vec![link.socket],
            holder: link.socket,
            unread: 0,
            left_ms: None,
        };
        self.spare = self.session.replace(session);
    }

    /// What a connection leaves behind of its session.
    pub(super) fn keep_session(&mut self, link: &Link, around: &Around<'_>) {
        let mut sessions = self.session.iter_mut().chain(&mut self.spare);
        match link.hold {
            Hold::None => {}
            Hold::Asked { .. } => {
                let asked = sessions.find(|session| session.sockets.contains(&link.socket));
                asked.into_iter().for_each(|session| session.unread += 1);
            }
            Hold::Held(stamp) => {
                let held = sessions.find(|session| session.session == link.session);
                if let Some(session) = held.filter(|session| session.stamp <= stamp) {
                    session.rooms = link.rooms_of_session();
                    session.unsure = link.unsure_rooms();
                    session.asked = link.waits_for_recovery() || link.may_hear_of_gap_again();
                    session.partial = link.talk.forgoes;
                    // A conversation that is not its transport's first ends before that does.
                    let closing_ms = around.network.sockets[link.socket].closing_ms;
                    session.left_ms = closing_ms.filter(|_| link.talk.returns);
                    session.stamp = stamp;
                    session.holder = link.socket;
                    // Others may have wanted it since.
                    if session.sockets.last() == Some(&link.socket) {
                        session.unread = 0;
                    }
                }
            }
        }
    }

    /// Whether another connection may want what a new one resumes.
    pub(super) fn is_contested(&self) -> bool {
        !self.ghosts.is_empty() || self.session.as_ref().is_some_and(|session| session.unread > 0)
    }

    /// Whether the client may come back although its connection is there.
    pub(super) fn may_take_over(&self) -> bool {
        let (Some(link), Some(session)) = (&self.link, &self.session) else { return false };
        let has = match link.hold {
            Hold::None => false,
            Hold::Asked { by_command } => !by_command,
            Hold::Held(_) => session.session == link.session,
        };
        let stage = match link.hold {
            Hold::Asked { .. } if self.dialect == Dialect::SocketIo => Stage::Authenticating,
            _ => Stage::Open,
        };
        has && link.stage == stage && self.ghosts.len() < 2
    }

    /// Comes back with its session although its connection is there.
    pub(super) fn take_over(&mut self, around: &mut Around<'_>) {
        let Some(mut link) = self.link.take() else { return };
        around.ledger.totals.take_overs += 1;
        around.ledger.crossed.insert(self.index as u64);
        link.replaced = true;
        if self.dialect == Dialect::SocketIo {
            // What still comes to the other connection is not handled: the session is where the client is now.
            self.keep_session(&link, around);
            (link.hold, link.talk.deaf) = (Hold::None, true);
        }
        self.before.push(link.socket);
        self.ghosts.push(link);
        self.connect_as(true, around);
    }

    /// Reads what still comes to connections whose place another has taken.
    pub(super) fn turn_ghosts(&mut self, acts: bool, around: &mut Around<'_>) {
        let wanted = self.link.as_ref().is_some_and(|link| link.hold != Hold::None);
        let session = self.session.as_ref().map(|session| session.session).filter(|_| wanted);
        for ghost in std::mem::take(&mut self.ghosts) {
            // Who has come back over the same transport is told, and keeps that.
            let superseded = !ghost.talk.returns && (ghost.hold.is_asked() || session == Some(ghost.session));
            let primary = self.link.replace(ghost);
            self.read(acts, around);
            if !acts && !superseded && self.link.is_some() {
                // Nobody wants its session, so that the server does not close it.
                self.vanish(around);
            }
            let ghost = std::mem::replace(&mut self.link, primary);
            self.ghosts.extend(ghost);
        }
    }

    /// When all is quiet, connections that were replaced are closed.
    pub(super) fn check_ghosts(&self, around: &mut Around<'_>) {
        let Some(link) = &self.link else { return };
        let held = matches!(link.hold, Hold::Held(_));
        if let Some(ghost) =
            self.ghosts.iter().find(|ghost| held && !ghost.talk.returns && ghost.session == link.session)
        {
            let what = format!("connection {} is open beside {}", ghost.number, link.number);
            around.ledger.violate("a replaced connection is closed with 4410", what);
        }
    }
}

impl Session {
    /// Whether it may have been without a connection for too long.
    pub(super) fn is_expired(&self, around: &Around<'_>) -> bool {
        let released_ms = |socket: usize| around.network.sockets[socket].released_ms;
        let released = self.left_ms.or(released_ms(self.holder));
        let ttl_ms = around.scenario.config.session_ttl_ms;
        // Whoever asked for it later had it, perhaps, and was lost before the answer was read.
        let later = self.sockets.iter().rev().take_while(|socket| **socket != self.holder);
        let later = later.filter_map(|socket| released_ms(*socket));
        released.into_iter().chain(later).any(|released_ms| released_ms + ttl_ms <= around.now.ms)
    }
}

impl Link {
    /// The rooms that the connection is surely in, as it has them.
    pub(super) fn rooms_of_session(&self) -> BTreeMap<String, View> {
        let sure = self.views.iter().filter(|(_, view)| view.is_sure() && view.since_ms.is_some());
        sure.map(|(room, view)| (room.clone(), view.clone())).collect()
    }
}
