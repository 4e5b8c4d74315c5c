//! The floor's event loop: one epoll set, one turn after the other.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_reuseaddr, set_tcp_nodelay};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use slab::Slab;

use crate::connection::{Connection, Flushed, Phase, SCRATCH_BYTES};
use crate::frame::{self, Frame, Refusal, opcode};
use crate::handshake::{self, Handshake};
use crate::message::{self, Reader, Request};

/// The listener's key in the epoll set; connections have their index in the slab.
const LISTENER: u64 = u64::MAX;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;
/// Events of one turn.
const EVENTS_MAX: usize = 1024;

/// Those who hear the same messages, in one order.
#[derive(Debug)]
struct Room {
    offset: u64,
    members: Vec<usize>,
}

pub(crate) struct Server {
    epoll: OwnedFd,
    listener: OwnedFd,
    connections: Slab<Connection>,
    /// Index in `rooms`, by name.
    room_indices: HashMap<Box<[u8]>, usize>,
    rooms: Vec<Room>,
    /// Connections with something queued in this turn.
    dirty: Vec<usize>,
    events: Vec<Event>,
    /// What is received, by whichever connection; taken out while it is read.
    scratch: Vec<u8>,
    /// The JSON and the frame that are being written, kept for their memory.
    json: Vec<u8>,
    ready: Vec<u8>,
    reader: Reader,
}

impl Server {
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let listener = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        set_socket_reuseaddr(&listener, true)?;
        rustix::net::bind(&listener, &address)?;
        rustix::net::listen(&listener, BACKLOG)?;
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        Ok(Self {
            epoll,
            listener,
            connections: Slab::new(),
            room_indices: HashMap::new(),
            rooms: Vec::new(),
            dirty: Vec::new(),
            events: Vec::with_capacity(EVENTS_MAX),
            scratch: vec![0; SCRATCH_BYTES],
            json: Vec::new(),
            ready: Vec::new(),
            reader: Reader::new(),
        })
    }

    /// The address that was bound.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        Ok(rustix::net::getsockname(&self.listener)?.try_into()?)
    }

    /// Waits, reads what has come, and sends what came of it.
    pub(crate) fn turn(&mut self) -> io::Result<()> {
        let mut events = std::mem::take(&mut self.events);
        match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        for event in events.drain(..) {
            match event.data.u64() {
                LISTENER => self.accept_all()?,
                key => self.on_ready(key, event.flags, &mut scratch),
            }
        }
        self.scratch = scratch;
        self.events = events;
        self.flush_dirty()
    }

    fn accept_all(&mut self) -> io::Result<()> {
        loop {
            match rustix::net::accept_with(&self.listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok(socket) => {
                    set_tcp_nodelay(&socket, true)?;
                    let entry = self.connections.vacant_entry();
                    let data = EventData::new_u64(entry.key() as u64);
                    epoll::add(&self.epoll, &socket, data, EventFlags::IN)?;
                    entry.insert(Connection::new(socket));
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Handles one event. The connection may be gone, or its place be another's, since the event was taken: then
    /// there is nothing to receive or to send.
    fn on_ready(&mut self, key: u64, flags: EventFlags, scratch: &mut [u8]) {
        let key = usize::try_from(key).expect("made from an index");
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        if flags.contains(EventFlags::OUT) {
            mark_dirty(&mut self.dirty, key, connection);
        }
        if !flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            return;
        }
        match connection.receive(scratch) {
            Ok(_) if connection.phase == Phase::Closing => {}
            Ok(length) => self.on_bytes(key, &mut scratch[..length]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.remove(key),
        }
    }

    /// Reads all that is complete in `bytes`, and keeps the rest.
    fn on_bytes(&mut self, key: usize, bytes: &mut [u8]) {
        let mut at = 0;
        if self.connections[key].phase == Phase::Handshake {
            at = self.on_head(key, bytes);
        }
        while self.connections[key].phase == Phase::Open {
            match frame::read(&mut bytes[at..]) {
                Ok(Some(frame)) => {
                    at += frame.bytes;
                    self.on_frame(key, &frame);
                }
                Ok(None) => break,
                Err(refusal) => self.refuse(key, refusal),
            }
        }
        let connection = &mut self.connections[key];
        if connection.phase != Phase::Closing {
            connection.keep_unread(&bytes[at..]);
        }
    }

    /// Answers the request head once it is complete, and says where it ends.
    fn on_head(&mut self, key: usize, bytes: &[u8]) -> usize {
        let connection = &mut self.connections[key];
        let head_bytes = match handshake::read(bytes) {
            Handshake::Incomplete if bytes.len() < handshake::HEAD_BYTES_MAX => return 0,
            Handshake::Incomplete | Handshake::Refused => {
                connection.queue(handshake::REFUSAL);
                connection.phase = Phase::Closing;
                0
            }
            Handshake::Accepted { response, head_bytes } => {
                connection.queue(response.as_bytes());
                connection.phase = Phase::Open;
                head_bytes
            }
        };
        mark_dirty(&mut self.dirty, key, connection);
        head_bytes
    }

    fn on_frame(&mut self, key: usize, frame: &Frame<'_>) {
        match frame.opcode {
            opcode::TEXT => match self.reader.read(frame.payload) {
                Some(Request::Send { room, content }) => self.publish(room, content),
                Some(Request::Join { room, request_id }) => self.join(key, room, request_id),
                None => self.refuse(key, Refusal::UNSUPPORTED),
            },
            opcode::PING => {
                self.ready.clear();
                frame::append(&mut self.ready, opcode::PONG, frame.payload);
                self.queue_ready(key);
            }
            opcode::CLOSE => self.close(key, frame.payload.get(..2).unwrap_or_default()),
            // A pong, which nobody asked for: the floor sends no pings.
            _ => {}
        }
    }

    fn join(&mut self, key: usize, name: &[u8], request_id: Option<&[u8]>) {
        let index = self.room_index(name);
        let (room, connection) = (&mut self.rooms[index], &mut self.connections[key]);
        if !connection.rooms.contains(&index) {
            connection.rooms.push(index);
            room.members.push(key);
        }
        self.json.clear();
        message::write_joined(&mut self.json, name, room.offset, room.members.len(), request_id);
        self.ready.clear();
        frame::append(&mut self.ready, opcode::TEXT, &self.json);
        self.queue_ready(key);
    }

    /// Gives the message the room's next offset, and every member the same bytes.
    fn publish(&mut self, name: &[u8], content: &[u8]) {
        let index = self.room_index(name);
        let room = &mut self.rooms[index];
        room.offset += 1;
        self.json.clear();
        message::write_message(&mut self.json, name, room.offset, content);
        self.ready.clear();
        frame::append(&mut self.ready, opcode::TEXT, &self.json);
        for &member in &room.members {
            let connection = &mut self.connections[member];
            connection.queue(&self.ready);
            mark_dirty(&mut self.dirty, member, connection);
        }
    }

    fn room_index(&mut self, name: &[u8]) -> usize {
        if let Some(&index) = self.room_indices.get(name) {
            return index;
        }
        self.rooms.push(Room { offset: 0, members: Vec::new() });
        self.room_indices.insert(name.into(), self.rooms.len() - 1);
        self.rooms.len() - 1
    }

    fn queue_ready(&mut self, key: usize) {
        let connection = &mut self.connections[key];
        connection.queue(&self.ready);
        mark_dirty(&mut self.dirty, key, connection);
    }

    fn refuse(&mut self, key: usize, refusal: Refusal) {
        self.close(key, &refusal.0.to_be_bytes());
    }

    fn close(&mut self, key: usize, code: &[u8]) {
        let connection = &mut self.connections[key];
        connection.close(code);
        mark_dirty(&mut self.dirty, key, connection);
    }

    /// Sends each queue that grew in this turn with one call.
    fn flush_dirty(&mut self) -> io::Result<()> {
        let mut dirty = std::mem::take(&mut self.dirty);
        for key in dirty.drain(..) {
            let Some(connection) = self.connections.get_mut(key) else {
                continue;
            };
            connection.dirty = false;
            let flushed = connection.flush();
            if flushed == Flushed::End {
                self.remove(key);
            } else if connection.awaits_writable != (flushed == Flushed::Part) {
                connection.awaits_writable = flushed == Flushed::Part;
                let mut interest = EventFlags::IN;
                interest.set(EventFlags::OUT, connection.awaits_writable);
                epoll::modify(&self.epoll, connection.socket(), EventData::new_u64(key as u64), interest)?;
            }
        }
        self.dirty = dirty;
        Ok(())
    }

    /// Forgets a connection; closing its socket also takes it out of the epoll set.
    fn remove(&mut self, key: usize) {
        for index in self.connections.remove(key).rooms {
            self.rooms[index].members.retain(|&member| member != key);
        }
    }
}

fn mark_dirty(dirty: &mut Vec<usize>, key: usize, connection: &mut Connection) {
    if !std::mem::replace(&mut connection.dirty, true) {
        dirty.push(key);
    }
}
