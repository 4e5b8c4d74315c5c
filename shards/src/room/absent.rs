//! Members of a queued room who are away: what of its stream each of them still has to get.
//!
//! A member's queue is a cursor into the room's one history, which keeps for as long as anybody needs it what it would
//! otherwise have forgotten by age. Count and bytes stay those of the history: what does not fit is gone, and whoever
//! comes back for it is told to synchronise.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ahash::HashMap;

use crate::id::Offset;

/// Members who may be away from one room; of more, those who went first are forgotten.
const MEMBERS_MAX: usize = 10_000;

/// One member of a queued room.
#[derive(Debug)]
struct Member {
    /// Up to where it has got everything.
    offset: Offset,
    /// Which absence this is, of all in the room; `None` while it is there.
    absence: Option<u64>,
}

/// The members of a queued room who are away, or came back and may not have got everything.
#[derive(Debug, Default)]
pub struct Absent {
    members: HashMap<Arc<str>, Member>,
    /// Since when, which absence, and whose, in the order in which they went; entries of those who came back are stale.
    by_age: VecDeque<(u64, u64, Arc<str>)>,
    absences: u64,
    /// Members who are away, by up to where they have got everything: asked for with every message.
    away: BTreeMap<Offset, usize>,
    /// How many those are.
    away_members: usize,
}

impl Absent {
    /// A member's last socket is lost; it has got everything up to `offset`, or up to where it was if that is `None`.
    /// Whether an older one had to be forgotten.
    pub fn leave(&mut self, user: &Arc<str>, offset: Option<Offset>, otherwise: Offset, now_ms: u64) -> bool {
        let known = self.remove(user);
        let offset = offset.or(known).unwrap_or(otherwise);
        self.absences += 1;
        self.members.insert(Arc::clone(user), Member { offset, absence: Some(self.absences) });
        *self.away.entry(offset).or_default() += 1;
        self.away_members += 1;
        self.by_age.push_back((now_ms, self.absences, Arc::clone(user)));
        if self.by_age.len() > 2 * MEMBERS_MAX {
            let members = &self.members;
            self.by_age.retain(|(_, absence, user)| {
                members.get(user).is_some_and(|member| member.absence == Some(*absence))
            });
        }
        let full = self.away_members > MEMBERS_MAX;
        if full {
            self.forget_oldest();
        }
        full
    }

    /// A member is there, and has got everything up to an offset: remembered for a process that ends without notice.
    pub fn enter(&mut self, user: &Arc<str>, offset: Offset) {
        self.members.entry(Arc::clone(user)).or_insert(Member { offset, absence: None });
    }

    /// What is known of a member: up to where it has got everything, and whether it is away.
    #[must_use]
    pub fn member(&self, user: &str) -> Option<(Offset, bool)> {
        self.members.get(user).map(|member| (member.offset, member.absence.is_some()))
    }

    /// Everybody who is known: first those who are away, as they went, and since when.
    pub fn members(&self) -> impl Iterator<Item = (&Arc<str>, Offset, Option<u64>)> {
        let away = self.by_age.iter().filter_map(|(since_ms, absence, user)| {
            let member = self.members.get(user).filter(|member| member.absence == Some(*absence))?;
            Some((user, member.offset, Some(*since_ms)))
        });
        let there = self.members.iter().filter(|(_, member)| member.absence.is_none());
        away.chain(there.map(|(user, member)| (user, member.offset, None)))
    }

    /// It turned out up to where a member has got everything.
    pub fn settle(&mut self, user: &str, offset: Offset) {
        let Some(member) = self.members.get_mut(user) else { return };
        let before = std::mem::replace(&mut member.offset, offset);
        if member.absence.is_some() {
            *self.away.entry(offset).or_default() += 1;
            self.away_members += 1;
            self.uncount(before);
        }
    }

    /// A member is back: up to where it has got everything, if it was away.
    pub fn arrive(&mut self, user: &str) -> Option<Offset> {
        let member = self.members.get_mut(user)?;
        member.absence.take()?;
        let offset = member.offset;
        self.uncount(offset);
        Some(offset)
    }

    /// Up to where a member that is away has got everything.
    #[must_use]
    pub fn position(&self, user: &str) -> Option<Offset> {
        self.members.get(user).filter(|member| member.absence.is_some()).map(|member| member.offset)
    }

    /// A member left for good.
    pub fn forget(&mut self, user: &str) {
        self.remove(user);
    }

    /// Removes a member; up to where it had got everything.
    fn remove(&mut self, user: &str) -> Option<Offset> {
        let member = self.members.remove(user)?;
        if member.absence.is_some() {
            self.uncount(member.offset);
        }
        Some(member.offset)
    }

    /// One fewer is away of those who have got everything up to an offset.
    fn uncount(&mut self, offset: Offset) {
        let Some(count) = self.away.get_mut(&offset) else { return };
        *count -= 1;
        self.away_members -= 1;
        if *count == 0 {
            self.away.remove(&offset);
        }
    }

    /// Whether the member is known here, away or not.
    #[must_use]
    pub fn knows(&self, user: &str) -> bool {
        self.members.contains_key(user)
    }

    /// Whether the member is away.
    #[must_use]
    pub fn is_away(&self, user: &str) -> bool {
        self.members.get(user).is_some_and(|member| member.absence.is_some())
    }

    /// Up to where everybody who is away has got everything.
    #[must_use]
    pub fn lowest(&self) -> Option<Offset> {
        self.away.first_key_value().map(|(offset, _)| *offset)
    }

    /// Forgets those who have been away for too long.
    pub fn expire(&mut self, now_ms: u64, ttl_ms: u64) {
        while self.by_age.front().is_some_and(|(at, ..)| at + ttl_ms <= now_ms) {
            self.forget_oldest();
        }
        if self.members.is_empty() {
            *self = Self::default();
        }
    }

    /// When the next of them will have been away for too long.
    #[must_use]
    pub fn next_due_ms(&self, ttl_ms: u64) -> Option<u64> {
        self.by_age.front().map(|(at, ..)| at + ttl_ms)
    }

    fn forget_oldest(&mut self) {
        if let Some((_, absence, user)) = self.by_age.pop_front()
            && self.members.get(&user).is_some_and(|member| member.absence == Some(absence))
        {
            self.remove(&user);
        }
    }

    /// Whether nobody is known, away or not.
    #[must_use]
    pub fn knows_nobody(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether nobody is away.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.away.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn user(name: &str) -> Arc<str> {
        name.into()
    }

    #[test]
    fn a_member_comes_back_to_where_it_was() {
        let mut absent = Absent::default();
        absent.leave(&user("a"), Some(5), 9, 0);
        absent.leave(&user("b"), None, 9, 10);
        assert_eq!(absent.lowest(), Some(5));
        absent.settle("a", 3);
        absent.settle("b", 20);
        assert_eq!((absent.arrive("a"), absent.arrive("a"), absent.lowest()), (Some(3), None, Some(20)));
        absent.leave(&user("a"), None, 9, 20);
        assert_eq!(absent.arrive("a"), Some(3), "nothing was delivered meanwhile");
    }

    #[test]
    fn who_is_away_too_long_is_forgotten() {
        let mut absent = Absent::default();
        absent.leave(&user("a"), Some(1), 0, 0);
        absent.leave(&user("b"), Some(2), 0, 50);
        absent.arrive("a");
        absent.leave(&user("a"), Some(3), 0, 80);
        assert_eq!(absent.next_due_ms(100), Some(100));
        absent.expire(150, 100);
        assert!(absent.knows("a") && !absent.knows("b"));
        absent.expire(180, 100);
        assert!(absent.is_empty() && absent.next_due_ms(100).is_none());
    }

    #[test]
    fn members_are_bounded() {
        let mut absent = Absent::default();
        for number in 0..=MEMBERS_MAX as u64 {
            let full = absent.leave(&user(&number.to_string()), Some(1), 0, number);
            assert_eq!(full, number == MEMBERS_MAX as u64);
        }
        assert!(!absent.knows("0") && absent.knows("1"));
        for _ in 0..3 * MEMBERS_MAX {
            absent.arrive("7");
            absent.leave(&user("7"), Some(1), 0, 1 << 20);
        }
        assert!(absent.by_age.len() <= 2 * MEMBERS_MAX + 1);
    }

    proptest! {
        #[test]
        fn the_lowest_is_that_of_those_who_are_away(
            steps in prop::collection::vec((0_u8..5, 0_u8..4, 0_u64..6), 1..60),
        ) {
            let mut absent = Absent::default();
            for (now_ms, (step, number, offset)) in steps.into_iter().enumerate() {
                let now_ms = now_ms as u64;
                let user = user(&number.to_string());
                match step {
                    0 => drop(absent.leave(&user, Some(offset), 0, now_ms)),
                    1 => drop(absent.arrive(&user)),
                    2 => absent.settle(&user, offset),
                    3 => absent.forget(&user),
                    _ => absent.expire(now_ms, 10),
                }
                let away = absent.members.values().filter(|member| member.absence.is_some());
                let lowest = away.map(|member| member.offset).min();
                prop_assert_eq!((absent.lowest(), absent.is_empty()), (lowest, lowest.is_none()));
            }
        }
    }
}
