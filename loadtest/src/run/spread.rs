//! Which of the servers a connection goes to: at first, and when it has lost the one that it was at. Arithmetic only.

use crate::scenario::Layout;
use crate::settings::Part;

/// Places of the connections among so many servers.
pub(super) struct Spread {
    servers: usize,
    /// For each connection its place when all are gone through room by room.
    places: Vec<u32>,
    part: Part,
}

impl Spread {
    /// There is at least one server.
    pub(super) fn new(layout: &Layout, servers: usize, part: Part) -> Self {
        let mut places = vec![0; layout.connections()];
        for (place, connection) in (0..).zip(layout.room_by_room()) {
            places[connection] = place;
        }
        Self { servers, places, part }
    }

    /// How many servers there are.
    pub(super) fn servers(&self) -> usize {
        self.servers
    }

    /// Where a connection goes at first: the members of each room in turn.
    ///
    /// Generators that share a run take turns in the same order. Where both numbers have a common divisor each would
    /// only meet some of the servers, so from one round to the next the turn is moved by one.
    pub(super) fn first(&self, connection: usize) -> u8 {
        let place = self.places[connection] as usize;
        let divisor = greatest_common_divisor(self.servers, self.part.of);
        let moved = if divisor > 1 { place / (self.servers / divisor * self.part.of) } else { 0 };
        narrow((place + moved) % self.servers)
    }

    /// Where a connection tries for the `attempt`-th time, counted from 0, to find another server than the one that it
    /// has lost: all others in turn, and then that one. Those who lost the same are shared out among the others.
    pub(super) fn next(&self, connection: usize, lost: u8, attempt: usize) -> u8 {
        let (lost, turn) = (usize::from(lost), attempt % self.servers);
        if turn + 1 == self.servers {
            return narrow(lost);
        }
        let among_lost = self.places[connection] as usize / self.servers;
        narrow((lost + 1 + (among_lost + turn) % (self.servers - 1)) % self.servers)
    }
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

fn narrow(server: usize) -> u8 {
    u8::try_from(server).expect("settings allow no more servers than a u8 counts")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const ALONE: Part = Part::WHOLE;

    #[test]
    fn everybody_goes_to_the_only_server_and_back_to_it() {
        let spread = Spread::new(&Layout::new(10, 2, 0.0), 1, ALONE);
        assert!(
            (0..10).all(|connection| spread.first(connection) == 0 && spread.next(connection, 0, 3) == 0)
        );
    }

    #[test]
    fn servers_are_equally_full_and_every_room_is_on_all() {
        for (connections, rooms, servers, generators) in
            [(6, 2, 3, 1), (1000, 100, 3, 1), (90_000, 9000, 5, 5), (600, 60, 4, 6), (100, 7, 2, 3)]
        {
            let layout = Layout::new(connections, rooms, 0.0);
            let spread = Spread::new(&layout, servers, Part { number: 0, of: generators });
            let mut full = vec![0; servers];
            (0..connections).for_each(|connection| full[usize::from(spread.first(connection))] += 1);
            let most = full.iter().max().expect("there are servers");
            let least = full.iter().min().expect("there are servers");
            assert!(most - least <= generators, "{full:?}");
            for room in 0..rooms {
                let members = layout.members_of(room).iter();
                let met: BTreeSet<_> = members.map(|member| spread.first(*member as usize)).collect();
                assert_eq!(met.len(), servers, "room {room} of {rooms}");
            }
        }
    }

    #[test]
    fn every_generator_meets_every_server() {
        for (generators, servers) in [(5, 5), (2, 4), (4, 2), (6, 4), (3, 2)] {
            let layout = Layout::new(1000, 20, 0.0);
            for number in 0..generators {
                let spread = Spread::new(&layout, servers, Part { number, of: generators });
                let own = layout.room_by_room().into_iter().skip(number).step_by(generators);
                let met: BTreeSet<_> = own.map(|connection| spread.first(connection)).collect();
                assert_eq!(met.len(), servers, "{number} of {generators}");
            }
        }
    }

    #[test]
    fn who_lost_a_server_tries_all_others_first_and_they_share_the_load() {
        let spread = Spread::new(&Layout::new(3000, 300, 0.0), 4, ALONE);
        let lost = 2;
        let mut full = [0; 4];
        for connection in (0..3000).filter(|connection| spread.first(*connection) == lost) {
            let tried: Vec<_> = (0..8).map(|attempt| spread.next(connection, lost, attempt)).collect();
            let others: BTreeSet<_> = tried[..3].iter().copied().collect();
            assert_eq!((others, tried[3]), (BTreeSet::from([0, 1, 3]), lost));
            assert_eq!(tried[..4], tried[4..]);
            full[usize::from(tried[0])] += 1;
        }
        assert_eq!(full, [250, 250, 0, 250]);
    }
}
