//! Receipts: up to where each reader said that it has got and read each room.

use std::collections::BTreeMap;

use super::super::scenario::Scenario;
use super::Ledger;

/// Whose receipts, in which room, and whether of reading.
pub(in super::super) type Reading = (String, String, bool);

/// One receipt that was accepted.
#[derive(Debug)]
struct Accepted {
    connection: u64,
    reading: Reading,
    epoch: String,
    offset: u64,
}

/// What readers said.
#[derive(Debug, Default)]
pub(in super::super) struct Receipts {
    /// The highest offset that was ever asked for.
    asked: BTreeMap<Reading, u64>,
    accepted: Vec<Accepted>,
}

impl Ledger {
    /// A client says that its user has got or read a room up to an offset.
    pub(in super::super) fn ask_receipt(&mut self, reading: &Reading, offset: u64) {
        let asked = self.receipts.asked.entry(reading.clone()).or_default();
        *asked = (*asked).max(offset);
    }

    /// A client was told of a receipt, which somebody must have given.
    pub(in super::super) fn hear_receipt(&mut self, reading: &Reading, offset: u64) {
        let (room, user, read) = reading;
        let of = |read: bool| self.receipts.asked.get(&(room.clone(), user.clone(), read)).copied();
        // What was read has arrived.
        let highest = if *read { of(true) } else { of(true).max(of(false)) };
        if highest.is_none_or(|highest| offset > highest) {
            let what = format!("{reading:?} at {offset}, asked for at most {highest:?}");
            self.violate("a receipt is one that was given", what);
        }
    }

    /// The owner accepted a receipt of a connection.
    pub(in super::super) fn accept_receipt(
        &mut self,
        connection: u64,
        reading: &Reading,
        epoch: &str,
        offset: u64,
    ) {
        let (reading, epoch) = (reading.clone(), epoch.to_owned());
        self.receipts.accepted.push(Accepted { connection, reading, epoch, offset });
    }

    /// At the end: a connection's messages, each with its room, epoch and offset, were read by others, of which its
    /// user must have heard.
    pub(in super::super) fn check_receipts(
        &mut self,
        connection: u64,
        user: Option<&str>,
        heard: &BTreeMap<Reading, (u64, u64)>,
    ) {
        let mut unheard = None;
        let mut confirmed = 0;
        for (room, epoch, stream) in self.streams().filter(|(room, ..)| !Scenario::is_ephemeral(room)) {
            let mine = |number: usize| {
                let send = &self.sends[number];
                send.connection == connection && send.times == 1
            };
            let own = stream.iter().filter(|(_, entry)| entry.change.is_none() && mine(entry.number));
            let offsets: Vec<u64> = own.map(|(offset, _)| *offset).collect();
            for accepted in self.receipts.accepted.iter().filter(|accepted| accepted.connection != connection)
            {
                let (of_room, reader, read) = &accepted.reading;
                let known = |read: bool| {
                    heard.get(&(of_room.clone(), reader.clone(), read)).map(|(_, highest)| *highest)
                };
                if of_room != room || accepted.epoch != epoch || user == Some(reader) {
                    continue;
                }
                let passed = offsets.iter().filter(|offset| **offset <= accepted.offset).max();
                // What was read has arrived.
                let known = if *read { known(true) } else { known(true).max(known(false)) };
                confirmed += u64::from(passed.is_some());
                if passed.is_some_and(|passed| known.is_none_or(|known| known < *passed)) {
                    unheard = Some(format!(
                        "{accepted:?} passed {passed:?} of {connection}, which knows {known:?}"
                    ));
                }
            }
        }
        self.totals.receipts_confirmed += confirmed;
        if let Some(what) = unheard {
            self.suspect("a sender hears of its readers", what);
        }
    }
}
