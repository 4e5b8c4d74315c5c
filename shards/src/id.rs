//! Names for the things that a message passes on its way: shards, connections, sessions, streams.
//!
//! Ids of reusable slots carry a generation, so that an answer for a connection that is gone never reaches the
//! one that took its slot.

use std::fmt;

use rand::Rng;

/// Most shards of a process: sets of shards are one word.
pub const SHARDS_MAX: usize = 64;

/// One core's executor and its state; dense, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub u16);

impl ShardId {
    /// The position of the shard in a table of all shards.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A connection of one shard: the slot that it uses there, and how often the slot was reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId {
    /// Slot in the shard's slab.
    pub slot: u32,
    /// Distinguishes the users of a slot.
    pub generation: u32,
}

impl ConnectionId {
    /// No connection: the generations of those that are count from 1.
    pub const NOBODY: Self = Self { slot: u32::MAX, generation: 0 };

    /// The id as one word, as epoll carries it.
    #[must_use]
    pub fn to_u64(self) -> u64 {
        (u64::from(self.generation) << 32) | u64::from(self.slot)
    }

    /// The inverse of [`ConnectionId::to_u64`].
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "each half of the word is one field")]
    pub fn from_u64(word: u64) -> Self {
        Self { slot: word as u32, generation: (word >> 32) as u32 }
    }
}

/// What a client is to the rooms, whichever socket it uses; random, so that it cannot be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(self.0, out)
    }
}

/// Writes sixteen digits; by hand, as every message carries two of them.
fn hex(word: u64, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let nibbles = word.to_be_bytes().into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let mut digits = [0; 16];
    for (digit, nibble) in digits.iter_mut().zip(nibbles) {
        *digit = b"0123456789abcdef"[usize::from(nibble)];
    }
    out.write_str(std::str::from_utf8(&digits).expect("digits are ASCII"))
}

/// Position in a room's stream: 1 for the first message, 0 before it.
pub type Offset = u64;

/// Identity of a room's stream; new whenever its order starts again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(pub u64);

impl Epoch {
    /// Reads what [`Display`](fmt::Display) wrote; any other text is an epoch that no room has.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 16 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        u64::from_str_radix(text, 16).ok().map(Self)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(self.0, out)
    }
}

/// Identity of a message: a `UUIDv7`, so that ids sort by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(uuid::Uuid);

/// Gives out ids that only grow: within a millisecond by a counter (RFC 9562 §6.2, method 1).
#[derive(Debug, Default)]
pub struct MessageIds {
    unix_ms: u64,
    count: u16,
}

impl MessageIds {
    /// Ids of one millisecond: what the 12 bits beside the time hold.
    const COUNT_MAX: u16 = 0x0fff;

    /// An id for a message accepted at `unix_ms`. A clock that goes back, or more messages than a millisecond
    /// counts, make the id's time run ahead of it.
    pub fn next(&mut self, unix_ms: u64, random: &mut impl Rng) -> MessageId {
        if unix_ms > self.unix_ms {
            *self = Self { unix_ms, count: 0 };
        } else if self.count < Self::COUNT_MAX {
            self.count += 1;
        } else {
            *self = Self { unix_ms: self.unix_ms + 1, count: 0 };
        }
        let mut bytes = [0u8; 10];
        random.fill_bytes(&mut bytes);
        bytes[..2].copy_from_slice(&self.count.to_be_bytes());
        MessageId(uuid::Builder::from_unix_timestamp_millis(self.unix_ms, &bytes).into_uuid())
    }

    /// Ids that come are larger than this one, whatever the clock says.
    pub fn pass(&mut self, id: MessageId) {
        let unix_ms = id.unix_ms();
        if unix_ms >= self.unix_ms {
            *self = Self { unix_ms, count: Self::COUNT_MAX };
        }
    }
}

impl MessageId {
    /// Reads what [`Display`](fmt::Display) wrote, in whichever case; `None` for any other text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        uuid::Uuid::try_parse(text).ok().filter(|_| text.len() == 36).map(Self)
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }

    /// The inverse of [`MessageId::to_bytes`].
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(uuid::Uuid::from_bytes(bytes))
    }

    fn unix_ms(self) -> u64 {
        let mut word = [0; 8];
        word[2..].copy_from_slice(&self.0.as_bytes()[..6]);
        u64::from_be_bytes(word)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_read_what_they_write() {
        let epoch = Epoch(0x00ab_cdef_0123_4567);
        assert_eq!(Epoch::parse(&epoch.to_string()), Some(epoch));
        for text in ["", "0", "zzzzzzzzzzzzzzzz", "00abcdef012345678", "+0abcdef01234567", "00ABCDEF01234567"]
        {
            assert_eq!(Epoch::parse(text), None, "{text}");
        }
    }

    #[test]
    fn message_ids_only_grow() {
        let (mut ids, mut random) = (MessageIds::default(), rand::rng());
        let mut last = ids.next(5, &mut random);
        for number in 0..20_000u64 {
            let id = ids.next(5 - number % 2, &mut random);
            assert!(id > last && id.to_string() > last.to_string());
            last = id;
        }
        assert!(ids.next(1_000, &mut random) > last);
    }

    #[test]
    fn ids_pass_those_of_an_earlier_process() {
        let mut random = rand::rng();
        let before = MessageIds::default().next(5_000, &mut random);
        assert_eq!(MessageId::from_bytes(before.to_bytes()), before);
        let mut ids = MessageIds::default();
        ids.pass(before);
        assert!(ids.next(4_000, &mut random) > before, "the clock went back");
        assert!(ids.next(6_000, &mut random) > before);
    }

    #[test]
    fn connection_ids_survive_the_poller() {
        let id = ConnectionId { slot: 7, generation: u32::MAX };
        assert_eq!(ConnectionId::from_u64(id.to_u64()), id);
    }
}
