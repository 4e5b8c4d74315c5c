//! Bytes become records again. Whatever the bytes are, nothing panics and nothing is believed half.

use std::sync::Arc;

use ahash::HashSet;
use bytes::Bytes;

use super::Kind;
use crate::access::revocations::{Revocation, Subject};
use crate::durable::record::{Card, Cursor, Record, RoomRecord, SessionRecord, Space};
use crate::id::{Epoch, MessageId, SessionId};
use crate::protocol::message::{Except, Lane, MessageType, Metadata, Publication, Revised, Revision};
use crate::room::dedupe::Accepted;
use crate::user::progress::{Place, Progress, Step, Steps};
use crate::user::session::SessionRoom;

/// Bytes that are no records of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no records of this format")]
pub struct Malformed;

type Read<T> = Result<T, Malformed>;

/// Reads records; names that come again are shared.
#[derive(Debug, Default)]
pub struct Reader {
    names: HashSet<Arc<str>>,
}

/// What is left to read.
struct Input<'a> {
    rest: &'a [u8],
    names: &'a mut HashSet<Arc<str>>,
}

impl Reader {
    /// Reads all records of a frame.
    ///
    /// # Errors
    /// [`Malformed`] at the first byte that makes no sense; what was taken before is good.
    pub fn read(&mut self, bytes: &[u8], mut take: impl FnMut(Record)) -> Result<(), Malformed> {
        let mut input = Input { rest: bytes, names: &mut self.names };
        while !input.rest.is_empty() {
            take(input.record()?);
        }
        Ok(())
    }
}

impl Input<'_> {
    fn record(&mut self) -> Read<Record> {
        let kind = self.byte()?;
        let kind = *Kind::ALL.iter().find(|known| **known as u8 == kind).ok_or(Malformed)?;
        Ok(match kind {
            Kind::Entry => Record::Entry(Arc::new(self.entry()?)),
            Kind::Room => Record::Room(Box::new(self.room()?)),
            Kind::Gone => Record::Gone { room: self.name()?, place: self.number()?, ended: self.number()? },
            Kind::Renewed => Record::Renewed { room: self.name()?, epoch: self.epoch()? },
            Kind::Member => Record::Member {
                room: self.name()?,
                epoch: self.epoch()?,
                user: self.name()?,
                offset: self.number()?,
                away_since_unix_ms: self.option(Self::number)?,
            },
            Kind::MemberGone => Record::MemberGone { room: self.name()?, user: self.name()? },
            Kind::Receipt => Record::Receipt {
                room: self.name()?,
                user: self.name()?,
                delivered: self.cursor()?,
                read: self.cursor()?,
            },
            Kind::Name => Record::Name {
                room: self.name()?,
                sender: self.name()?,
                client_id: self.text()?.into(),
                accepted: Accepted { id: self.id()?, offset: self.number()?, unix_ms: self.number()? },
            },
            Kind::Session => Record::Session(Box::new(self.session()?)),
            Kind::GrantedSession => {
                let mut session = self.session()?;
                session.progress.granted = self.list(Self::name)?;
                Record::Session(Box::new(session))
            }
            Kind::SessionRoom => Record::SessionRoom {
                user: self.name()?,
                session: SessionId(self.word()?),
                room: self.name()?,
                entered: self.option(|input| Ok((input.epoch()?, input.number()?)))?,
            },
            Kind::SessionGone => Record::SessionGone { user: self.name()?, session: SessionId(self.word()?) },
            Kind::Seen => Record::Seen {
                user: self.name()?,
                account: self.option(Self::name)?,
                unix_ms: self.number()?,
                online: self.number()? != 0,
            },
            Kind::Revoked => {
                let name = self.name()?;
                let subject = if self.byte()? == 0 { Subject::User(name) } else { Subject::Token(name) };
                Record::Revoked(Revocation { subject, until_unix_ms: self.option(Self::number)? })
            }
            Kind::Place => Record::Place { place: self.number()?, ended: self.number()? },
            Kind::Value => {
                Record::Value { space: self.space()?, key: self.owned()?, value: self.option(Self::owned)? }
            }
            Kind::Values => Record::Values,
            Kind::Told => Record::Told { round: self.number()? },
        })
    }

    fn entry(&mut self) -> Read<Publication> {
        let (room, epoch, id, sender) = (self.name()?, self.epoch()?, self.id()?, self.name()?);
        let kind = self.byte()?;
        let kind = MessageType::ALL.into_iter().find(|known| *known as u8 == kind).ok_or(Malformed)?;
        let flags = self.byte()?;
        Ok(Publication {
            id,
            room,
            epoch,
            sender,
            kind,
            offset: self.number()?,
            unix_ms: self.number()?,
            content: self.owned()?,
            metadata: self.option(|input| {
                Ok(Metadata { raw: input.owned()?, for_topics: input.option(Self::owned)? })
            })?,
            client_id: self.option(|input| input.text().map(Into::into))?,
            exclude: self.except()?,
            revision: self.option(Self::revision)?,
            lane: if flags & 4 == 0 { Lane::Streaming } else { Lane::BatchDelay },
            audience: None,
            binary: flags & 1 != 0,
            ack_requested: flags & 2 != 0,
        })
    }

    fn except(&mut self) -> Read<Except> {
        match self.byte()? {
            0 => Ok(Except::Nobody),
            1 => Ok(Except::Session(SessionId(self.word()?))),
            2 => Ok(Except::User(self.name()?)),
            _ => Err(Malformed),
        }
    }

    fn revision(&mut self) -> Read<Box<Revision>> {
        Ok(Box::new(Revision {
            kind: if self.byte()? == 0 { Revised::Edited } else { Revised::Deleted },
            by: self.name()?,
            unix_ms: self.number()?,
            offset: self.number()?,
            of: self.number()?,
        }))
    }

    fn room(&mut self) -> Read<RoomRecord> {
        Ok(RoomRecord {
            name: self.name()?,
            epoch: self.epoch()?,
            offset: self.number()?,
            created_unix_ms: self.number()?,
            active_unix_ms: self.number()?,
            counts: (self.number()?, self.number()?, self.number()?),
            card: self.option(Self::card)?,
        })
    }

    fn card(&mut self) -> Read<Card> {
        Ok(Card {
            owner: self.name()?,
            audience: self.option(|input| input.list(Self::name))?,
            metadata: self.option(Self::owned)?,
            members_max: self.option(Self::length)?,
        })
    }

    fn session(&mut self) -> Read<SessionRecord> {
        let (user, session) = (self.name()?, SessionId(self.word()?));
        let until_unix_ms = self.option(Self::number)?;
        let rooms = self.list(|input| {
            Ok(SessionRoom { room: input.name()?, epoch: input.epoch()?, offset: input.number()? })
        })?;
        let steps = self.option(|input| {
            let mut place = || input.option(Self::place);
            let (from, acknowledged, named) = (place()?, place()?, place()?);
            let steps = input.list(Self::step)?;
            Ok(Arc::new(Steps { from, steps, acknowledged, named, is_cut: false }))
        })?;
        let progress = Progress { rooms: rooms.into(), steps, granted: Vec::new() };
        Ok(SessionRecord { user, session, until_unix_ms, progress })
    }

    fn step(&mut self) -> Read<Step> {
        let room = |input: &mut Self| u32::try_from(input.number()?).map_err(|_| Malformed);
        Ok(Step {
            epoch: self.epoch()?,
            room: self.option(room)?,
            first: self.number()?,
            last: self.number()?,
        })
    }

    fn place(&mut self) -> Read<Place> {
        match self.byte()? {
            0 => Ok(Place::Start),
            _ => Ok(Place::Behind(self.epoch()?, self.number()?)),
        }
    }

    fn cursor(&mut self) -> Read<Cursor> {
        self.list(|input| Ok((input.number()?, input.number()?)))
    }

    fn space(&mut self) -> Read<Space> {
        let space = self.byte()?;
        Space::ALL.into_iter().find(|known| *known as u8 == space).ok_or(Malformed)
    }

    fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Read<T>) -> Read<Vec<T>> {
        let length = self.length()?;
        // Each takes a byte at least, so that a length that is not true costs nothing.
        let mut list = Vec::with_capacity(length.min(self.rest.len()));
        for _ in 0..length {
            list.push(read(self)?);
        }
        Ok(list)
    }

    fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<Option<T>> {
        Ok(if self.byte()? == 0 { None } else { Some(read(self)?) })
    }

    /// A name that others may share.
    fn name(&mut self) -> Read<Arc<str>> {
        let text = self.text()?;
        if let Some(known) = self.names.get(text) {
            return Ok(Arc::clone(known));
        }
        let name: Arc<str> = text.into();
        self.names.insert(Arc::clone(&name));
        Ok(name)
    }

    fn owned(&mut self) -> Read<Bytes> {
        self.bytes().map(Bytes::copy_from_slice)
    }

    fn number(&mut self) -> Read<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }

    fn length(&mut self) -> Read<usize> {
        usize::try_from(self.number()?).map_err(|_| Malformed)
    }

    fn id(&mut self) -> Read<MessageId> {
        let bytes = self.take(16)?;
        Ok(MessageId::from_bytes(bytes.try_into().map_err(|_| Malformed)?))
    }

    fn epoch(&mut self) -> Read<Epoch> {
        self.word().map(Epoch)
    }

    fn word(&mut self) -> Read<u64> {
        let bytes = self.take(8)?;
        Ok(u64::from_le_bytes(bytes.try_into().map_err(|_| Malformed)?))
    }

    fn byte(&mut self) -> Read<u8> {
        self.take(1).map(|bytes| bytes[0])
    }
}

impl<'a> Input<'a> {
    fn text(&mut self) -> Read<&'a str> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    fn bytes(&mut self) -> Read<&'a [u8]> {
        let length = self.number()?;
        self.take(usize::try_from(length).map_err(|_| Malformed)?)
    }

    fn take(&mut self, length: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }
}
