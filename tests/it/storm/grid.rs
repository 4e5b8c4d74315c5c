//! Who there is, in which rooms and accounts, and how many threads share them.

use crate::support::Token;

pub(super) const ROOM_USERS: usize = 10;
pub(super) const ACCOUNT_USERS: usize = 5;
/// Threads on this side, each with its share of the devices.
pub(super) const THREADS: usize = 6;

pub(super) fn name(user: usize) -> String {
    format!("user{user:05}")
}

pub(super) fn account(user: usize) -> String {
    format!("account{}", user / ACCOUNT_USERS)
}

pub(super) fn token(user: usize) -> Token {
    Token::employee(&name(user)).account(&account(user))
}

/// Users stand in a grid; each is in the room of its row and in that of its column.
pub(super) fn rooms_of(user: usize, users: usize) -> [String; 2] {
    [format!("row:{}", user / ROOM_USERS), format!("column:{}", user % users.div_ceil(ROOM_USERS))]
}

pub(super) fn all_rooms(users: usize) -> impl Iterator<Item = String> {
    let of_kind = move |kind| (0..users.div_ceil(ROOM_USERS)).map(move |n| format!("{kind}:{n}"));
    ["row", "column"].into_iter().flat_map(of_kind)
}

/// The names of the users who are `wanted`, sorted.
pub(super) fn names(users: usize, wanted: impl Fn(usize) -> bool) -> Vec<String> {
    (0..users).filter(|user| wanted(*user)).map(name).collect()
}

/// Gives each thread its share, and puts together what they make of it, in order.
pub(super) fn in_parallel<I: Send, O: Send>(
    mut items: Vec<I>,
    work: impl Fn(Vec<I>) -> Vec<O> + Sync,
) -> Vec<O> {
    let share = items.len().div_ceil(THREADS);
    let mut shares = Vec::new();
    while items.len() > share {
        let rest = items.split_off(share);
        shares.push(std::mem::replace(&mut items, rest));
    }
    shares.push(items);
    std::thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = shares.into_iter().map(|share| scope.spawn(move || work(share))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("it has said why")).collect()
    })
}
