//! The loop over all connections: waits, receives through one buffer, sends what is due, and keeps connecting.

use std::os::fd::AsFd as _;

use anyhow::{Context as _, Result};
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::sockopt::socket_error;

use super::connection::{Connection, Stage};
use super::frame::{self, Frame};
use super::handshake::{self, Upgrade};
use super::packing::{Packing, Part};
use super::poller::Poller;
use super::{Answer, End, Handler, socket};
use crate::args::Recovery;
use crate::clock;
use crate::settings::Settings;

/// Time that a connection has to become ready, and to close.
const HANDSHAKE_TIMEOUT_NS: u64 = 10_000_000_000;
/// Messages sent before sockets are looked at again; sending more than there is time for must not end all reading.
const SENDS_AT_ONCE_MAX: usize = 8;
/// Close frame payload of a normal end, code 1000.
const NORMAL_CLOSE: [u8; 2] = [0x03, 0xE8];
/// Largest answer to a recovery: what the gateway gives at most by default, and some room.
const RECOVERY_BYTES_MAX: usize = 3 << 20;
/// Of what a server says instead of its greeting so much is reported.
const SHOWN_CHARS: usize = 80;

/// All connections, known by index.
pub(crate) struct Fleet<'a> {
    settings: &'a Settings,
    upgrade: Upgrade,
    packing: Packing,
    frame_bytes_max: usize,
    poller: Poller,
    connections: Vec<Connection>,
    /// Every connection is received into this; empty while in use.
    buffer: Vec<u8>,
    text: Vec<u8>,
    frame: Vec<u8>,
    in_flight: usize,
    /// At each of the servers, so that every one of them meets all source addresses.
    opened: Vec<usize>,
    receives: u64,
}

impl<'a> Fleet<'a> {
    /// As many absent connections as the settings ask for.
    ///
    /// # Errors
    /// When the kernel has no descriptors left.
    pub(crate) fn new(settings: &'a Settings, upgrade: Upgrade) -> Result<Self> {
        let count = settings.args.connections;
        let packing = upgrade.packing;
        // All that a recovery brings comes in one frame.
        let frame_bytes_max = match settings.args.disrupt.recovery {
            Recovery::None => packing.frame_bytes_max(),
            Recovery::Offset => packing.frame_bytes_max().max(RECOVERY_BYTES_MAX),
        };
        Ok(Self {
            settings,
            upgrade,
            packing,
            poller: Poller::new().context("creating the epoll set")?,
            connections: std::iter::repeat_with(Connection::absent).take(count).collect(),
            // A part kept from before, and what completes it, always fit together.
            buffer: vec![0; 2 * frame_bytes_max],
            frame_bytes_max,
            text: Vec::new(),
            frame: Vec::new(),
            in_flight: 0,
            opened: vec![0; settings.targets.len()],
            receives: 0,
        })
    }

    /// Whether another connection may begin to connect.
    pub(crate) fn may_open(&self) -> bool {
        self.in_flight < self.settings.args.in_flight
    }

    /// Connections that are neither ready nor gone.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// How far a connection has come.
    pub(crate) fn stage(&self, index: usize) -> Stage {
        self.connections[index].stage
    }

    /// Receive calls that brought something, over all connections so far.
    pub(crate) fn receives(&self) -> u64 {
        self.receives
    }

    /// Begins to connect an absent connection to one of the servers; `slow` gives it a small receive buffer.
    pub(crate) fn open(&mut self, index: usize, address: u8, slow: bool, handler: &mut impl Handler) {
        let opened = &mut self.opened[usize::from(address)];
        let source = match self.settings.source_ips {
            0 => 0,
            count => u8::try_from(1 + *opened % count).unwrap_or(1),
        };
        *opened += 1;
        let target = self.settings.targets[usize::from(address)].address;
        let opened = socket::open(target, source, slow)
            .and_then(|socket| self.poller.add(&socket, index).map(|()| socket));
        match opened {
            Ok(socket) => {
                self.connections[index] = Connection::connecting(socket, address, clock::now_ns());
                self.in_flight += 1;
            }
            Err(errno) => handler.on_end(index, Stage::Connecting, End::Os(errno)),
        }
    }

    /// Sends a close frame; the server's ends the connection.
    pub(crate) fn close(&mut self, index: usize) {
        self.send_frame(index, frame::CLOSE, &NORMAL_CLOSE);
        let connection = &mut self.connections[index];
        if connection.stage == Stage::Ready {
            connection.stage = Stage::Closing;
            connection.since_ns = clock::now_ns();
        }
    }

    /// Cuts a connection off, as a failing network would; nobody is told.
    pub(crate) fn cut(&mut self, index: usize) {
        let gone = std::mem::replace(&mut self.connections[index], Connection::absent());
        if gone.stage.is_in_flight() {
            self.in_flight -= 1;
        }
        gone.reset();
    }

    /// Reads so many bytes, and no more, of a connection that is paused.
    pub(crate) fn sip(&mut self, index: usize, bytes: usize, handler: &mut impl Handler) -> usize {
        let mut buffer = std::mem::take(&mut self.buffer);
        let connection = &self.connections[index];
        let kept = connection.kept();
        let end = (kept + bytes).min(buffer.len());
        let received = match connection.receive(&mut buffer[..end]) {
            Ok((0, _)) => Err(End::Eof),
            Ok((filled, _)) => self.consume(index, &buffer[..filled], clock::now_ns(), handler).map(|used| {
                self.connections[index].keep(&buffer[used..filled]);
                filled - kept
            }),
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(errno) => Err(End::Os(errno)),
        };
        self.buffer = buffer;
        received.unwrap_or_else(|end| {
            self.end(index, end, handler);
            0
        })
    }

    /// Stops reading a connection, for good as far as the server can tell.
    pub(crate) fn pause(&mut self, index: usize) {
        self.connections[index].paused = true;
    }

    /// Reads a paused connection again, to learn how it ended.
    pub(crate) fn resume(&mut self, index: usize, handler: &mut impl Handler) {
        self.connections[index].paused = false;
        self.receive(index, true, handler);
    }

    /// One turn: sleeps until a socket is ready, a message is due, or `until_ns`; then does what there is to do.
    ///
    /// # Errors
    /// Only when the epoll set itself is broken.
    pub(crate) fn turn(&mut self, handler: &mut impl Handler, until_ns: u64) -> Result<()> {
        let now_ns = self.send_due(handler, clock::now_ns());
        let count =
            self.poller.wait(until_ns.min(handler.next_due_ns()), now_ns).context("waiting for events")?;
        for number in 0..count {
            let Some((index, flags)) = self.poller.event(number) else {
                handler.on_wake(self.poller.late_ns());
                continue;
            };
            let now_ns = self.on_event(index, flags, handler);
            // Many readable sockets must not make a message late.
            if now_ns >= handler.next_due_ns() {
                self.send_due(handler, now_ns);
            }
        }
        Ok(())
    }

    /// Gives up on connections that have been on their way, or closing, for too long.
    pub(crate) fn expire(&mut self, handler: &mut impl Handler) {
        let now_ns = clock::now_ns();
        for index in 0..self.connections.len() {
            let Connection { stage, since_ns, .. } = self.connections[index];
            let waits = stage.is_in_flight() || stage == Stage::Closing;
            if waits && now_ns.saturating_sub(since_ns) > HANDSHAKE_TIMEOUT_NS {
                self.end(index, End::TimedOut(stage), handler);
            }
        }
    }

    fn send_due(&mut self, handler: &mut impl Handler, mut now_ns: u64) -> u64 {
        for _ in 0..SENDS_AT_ONCE_MAX {
            if now_ns < handler.next_due_ns() {
                break;
            }
            let mut text = std::mem::take(&mut self.text);
            text.clear();
            if let Some(index) = handler.next_send(now_ns, &mut text)
                && !self.send_frame(index, self.packing.opcode(), &text)
            {
                handler.on_unsent(index);
            }
            self.text = text;
            now_ns = clock::now_ns();
        }
        now_ns
    }

    fn send_frame(&mut self, index: usize, opcode: u8, payload: &[u8]) -> bool {
        self.frame.clear();
        frame::write(&mut self.frame, opcode, payload);
        self.connections[index].send(&self.frame)
    }

    /// Handles one socket's readiness; returns the time, as far as it was looked at.
    fn on_event(&mut self, index: usize, flags: EventFlags, handler: &mut impl Handler) -> u64 {
        let connection = &mut self.connections[index];
        let ended = flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR);
        if flags.contains(EventFlags::OUT) {
            if connection.stage == Stage::Connecting {
                self.on_connected(index, handler);
            } else {
                connection.flush();
            }
        }
        // What a slow consumer does not read may hide why it was closed: once the server is gone, look.
        if ended || (flags.contains(EventFlags::IN) && !self.connections[index].paused) {
            return self.receive(index, ended, handler);
        }
        0
    }

    fn on_connected(&mut self, index: usize, handler: &mut impl Handler) {
        let connection = &mut self.connections[index];
        let Some(socket) = connection.socket() else { return };
        match socket_error(socket.as_fd()) {
            Ok(Ok(())) => {}
            Ok(Err(errno)) | Err(errno) => return self.end(index, End::Os(errno), handler),
        }
        connection.stage = Stage::Upgrading;
        match self.upgrade.request(index, usize::from(connection.address)) {
            // A new socket's buffer holds a request; a failure to send comes back as an event.
            Ok(request) => drop(connection.send(&request)),
            Err(_) => self.end(index, End::Upgrade("no token"), handler),
        }
    }

    /// Receives what there is. An edge is told once, so a full buffer, and the end of the stream (`ended`), demand
    /// reading on; a buffer that was not filled proves that the socket is empty.
    fn receive(&mut self, index: usize, ended: bool, handler: &mut impl Handler) -> u64 {
        let mut now_ns = 0;
        let mut buffer = std::mem::take(&mut self.buffer);
        loop {
            let end = match self.connections[index].receive(&mut buffer) {
                Ok((0, _)) => Some(End::Eof),
                Ok((filled, more)) => {
                    now_ns = clock::now_ns();
                    self.receives += 1;
                    match self.consume(index, &buffer[..filled], now_ns, handler) {
                        Ok(used) => {
                            self.connections[index].keep(&buffer[used..filled]);
                            if more || ended {
                                continue;
                            }
                            None
                        }
                        Err(end) => Some(end),
                    }
                }
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => None,
                Err(errno) => Some(End::Os(errno)),
            };
            if let Some(end) = end {
                self.end(index, end, handler);
            }
            break;
        }
        self.buffer = buffer;
        now_ns
    }

    /// Takes the upgrade's answer and all whole frames from `bytes`; returns how many bytes that were.
    fn consume(
        &mut self,
        index: usize,
        bytes: &[u8],
        now_ns: u64,
        handler: &mut impl Handler,
    ) -> std::result::Result<usize, End> {
        let mut used = 0;
        if self.connections[index].stage == Stage::Upgrading {
            let Some(length) = handshake::read_response(bytes)? else {
                return Ok(0);
            };
            used = length;
            self.on_upgraded(index, handler);
        }
        let packing = self.packing;
        while let Some(frame) = frame::read(&bytes[used..], self.frame_bytes_max).map_err(End::Frame)? {
            used += frame.len;
            if frame.opcode != packing.opcode() {
                self.on_control_frame(index, &frame)?;
            } else if packing == Packing::Plain {
                self.on_message(index, frame.payload, now_ns, handler)?;
            } else {
                self.unpack(index, frame.payload, now_ns, handler)?;
            }
        }
        Ok(used)
    }

    /// Takes a frame apart that may hold more, or less, than one message.
    fn unpack(
        &mut self,
        index: usize,
        mut payload: &[u8],
        now_ns: u64,
        handler: &mut impl Handler,
    ) -> std::result::Result<(), End> {
        while let Some(part) = self.packing.next_part(&mut payload).map_err(|_| End::Packing)? {
            match part {
                Part::Message(message) => self.on_message(index, message, now_ns, handler)?,
                // A failure to send comes back as an event.
                Part::Ping(pong) => drop(self.send_frame(index, self.packing.opcode(), pong)),
            }
        }
        Ok(())
    }

    #[inline]
    fn on_message(
        &mut self,
        index: usize,
        message: &[u8],
        now_ns: u64,
        handler: &mut impl Handler,
    ) -> std::result::Result<(), End> {
        if self.connections[index].stage == Stage::Ready {
            handler.on_text(index, message, now_ns);
            return Ok(());
        }
        self.on_early_message(index, message, handler)
    }

    #[cold]
    fn on_early_message(
        &mut self,
        index: usize,
        message: &[u8],
        handler: &mut impl Handler,
    ) -> std::result::Result<(), End> {
        match self.connections[index].stage {
            Stage::Greeting if self.packing.is_greeting(message) => self.ask_first(index, handler),
            Stage::Greeting => {
                return Err(End::Refused(
                    String::from_utf8_lossy(message).chars().take(SHOWN_CHARS).collect(),
                ));
            }
            Stage::Joining => match handler.on_answer(index, message) {
                Answer::Unrelated => {}
                // A failure to send comes back as an event.
                Answer::Next(text) => drop(self.send_frame(index, self.packing.opcode(), &text)),
                Answer::Accepted => self.become_ready(index, handler),
                Answer::Refused(reason) => return Err(End::Refused(reason)),
            },
            _ => {}
        }
        Ok(())
    }

    fn on_upgraded(&mut self, index: usize, handler: &mut impl Handler) {
        if self.packing.has_greeting() {
            self.connections[index].stage = Stage::Greeting;
        } else {
            self.ask_first(index, handler);
        }
    }

    fn ask_first(&mut self, index: usize, handler: &mut impl Handler) {
        let mut first = Vec::new();
        handler.on_open(index, &mut first);
        if first.is_empty() {
            self.become_ready(index, handler);
        } else {
            self.connections[index].stage = Stage::Joining;
            self.send_frame(index, self.packing.opcode(), &first);
        }
    }

    fn become_ready(&mut self, index: usize, handler: &mut impl Handler) {
        let connection = &mut self.connections[index];
        connection.stage = Stage::Ready;
        self.in_flight -= 1;
        handler.on_ready(index, clock::now_ns().saturating_sub(connection.since_ns));
    }

    #[cold]
    fn on_control_frame(&mut self, index: usize, frame: &Frame<'_>) -> std::result::Result<(), End> {
        match frame.opcode {
            frame::PING => drop(self.send_frame(index, frame::PONG, frame.payload)),
            frame::CLOSE => {
                if self.connections[index].stage != Stage::Closing {
                    self.send_frame(index, frame::CLOSE, frame.payload.get(..2).unwrap_or_default());
                }
                return Err(end_of(frame.payload));
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, index: usize, end: End, handler: &mut impl Handler) {
        let gone = std::mem::replace(&mut self.connections[index], Connection::absent());
        if gone.stage == Stage::Absent {
            return;
        }
        if gone.stage.is_in_flight() {
            self.in_flight -= 1;
        }
        handler.on_end(index, gone.stage, end);
    }
}

/// What a close frame says: its code, and in its reason perhaps when to come back.
fn end_of(payload: &[u8]) -> End {
    let code = frame::close_code(payload);
    let reason = payload.get(2..).and_then(|reason| std::str::from_utf8(reason).ok()).unwrap_or_default();
    match reason.strip_prefix("reconnect=").and_then(|ms| ms.parse().ok()) {
        Some(ms) => End::Reconnect(code, ms),
        None => End::Code(code),
    }
}

#[cfg(test)]
mod tests;
