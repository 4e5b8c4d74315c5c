//! Connections in a room, or of a user: mostly one, which needs no memory beside itself.

use thin_vec::{ThinVec, thin_vec};

use crate::id::{SHARDS_MAX, ShardId};

/// One connection in a room: its shard, and what tells that shard's subscriptions apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// The home shard.
    pub shard: ShardId,
    /// The subscription there.
    pub number: u32,
}

impl Seat {
    /// Whether it is a connection of this node; the seats of other nodes name what is no shard here.
    #[must_use]
    pub fn is_here(self) -> bool {
        self.shard.index() < SHARDS_MAX
    }
}

/// Several of them, in no order.
#[derive(Debug)]
pub enum Seats {
    /// Just one.
    One(Seat),
    /// None, or more than one at some time.
    Many(ThinVec<Seat>),
}

impl Default for Seats {
    fn default() -> Self {
        Self::Many(ThinVec::new())
    }
}

impl Seats {
    /// One.
    #[must_use]
    pub fn of(seat: Seat) -> Self {
        Self::One(seat)
    }

    /// One more.
    pub fn push(&mut self, seat: Seat) {
        match self {
            Self::One(first) => *self = Self::Many(thin_vec![*first, seat]),
            Self::Many(seats) if seats.is_empty() => *self = Self::One(seat),
            Self::Many(seats) => seats.push(seat),
        }
    }

    /// One less; whether it was there.
    pub fn remove(&mut self, seat: Seat) -> bool {
        match self {
            Self::One(only) if *only == seat => *self = Self::default(),
            Self::One(_) => return false,
            Self::Many(seats) => {
                let Some(at) = seats.iter().position(|known| *known == seat) else { return false };
                seats.swap_remove(at);
                if let [only] = **seats {
                    *self = Self::One(only);
                }
            }
        }
        true
    }

    fn as_slice(&self) -> &[Seat] {
        match self {
            Self::One(seat) => std::slice::from_ref(seat),
            Self::Many(seats) => seats,
        }
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Seat> {
        self.as_slice().iter()
    }

    /// Whether it is one of them.
    #[must_use]
    pub fn contains(&self, seat: Seat) -> bool {
        self.as_slice().contains(&seat)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_slice().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_come_and_go_in_any_order() {
        let seat = |number| Seat { shard: ShardId(0), number };
        let mut seats = Seats::default();
        assert!(seats.is_empty() && !seats.remove(seat(1)));
        for number in 1..=3 {
            seats.push(seat(number));
            assert_eq!(seats.len(), number as usize);
        }
        assert!(seats.contains(seat(2)) && seats.remove(seat(2)) && !seats.remove(seat(2)));
        assert!(seats.remove(seat(1)) && matches!(seats, Seats::One(only) if only == seat(3)));
        assert!(!seats.remove(seat(1)) && seats.remove(seat(3)) && seats.is_empty());
        assert!(size_of::<Seats>() <= 16);
    }
}
