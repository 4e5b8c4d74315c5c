//! Who is refused, as the Redis keeps it for all nodes: one change for each user or token, the latest.
//!
//! The end of a revocation is a change too, and kept until the revocation would have ended by itself: so a node that was
//! cut off, or a Redis that has lost what it knew, learns it from whoever knows, and never the other way round.

use redis::{Cmd, Value};
use roomcast_shards::access::revocations::{REVOCATIONS_MAX, Revocation, Subject};
use roomcast_shards::engine::NodeId;

use super::batch::Style;
use super::scripts::Scripts;

/// The latest that is known of a user or a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// Who.
    pub(crate) subject: Subject,
    /// When it was decided.
    pub(crate) at_unix_ms: u64,
    /// Until when it matters.
    pub(crate) until_unix_ms: u64,
    /// Whether the subject is refused until then; else no longer.
    pub(crate) is_refused: bool,
}

/// Whose change it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The node that it was asked of.
    pub(crate) node: NodeId,
    /// What that node calls the answers of the others.
    pub(crate) ticket: u64,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It is kept, or a later one is.
    Yes,
    /// There are as many as there may be.
    Full,
}

impl Change {
    /// What shards are told.
    pub(crate) fn revocation(&self) -> Revocation {
        let until_unix_ms = self.is_refused.then_some(self.until_unix_ms);
        Revocation { subject: self.subject.clone(), until_unix_ms }
    }

    fn name(&self) -> String {
        match &self.subject {
            Subject::User(user) => format!("u:{user}"),
            Subject::Token(token) => format!("t:{token}"),
        }
    }
}

impl Style {
    /// Keeps a change and tells it; with a ticket one that was decided just now, else one that the Redis has missed.
    pub(super) fn revoke(&self, scripts: &Scripts, change: &Change, ticket: Option<u64>, now_ms: u64) -> Cmd {
        let keys = &self.keys;
        let keys = [keys.revocations(), keys.revocation_ends(), keys.revocations_lifted()];
        let mut call = scripts.call(&scripts.revoke, &keys.each_ref().map(String::as_str));
        call.arg(change.name()).arg(change.at_unix_ms).arg(change.until_unix_ms);
        call.arg(if change.is_refused { "r" } else { "e" }).arg(ticket.map_or("", |_| "now"));
        call.arg(now_ms).arg(REVOCATIONS_MAX).arg(self.publish()).arg(self.keys.revoked_channel());
        call.arg(format!("{:016x}", self.node.0)).arg(ticket.unwrap_or_default());
        call
    }
}

/// All that the Redis keeps: names and changes in turn.
pub(super) fn read_all(kept: Vec<(String, String)>) -> Vec<Change> {
    kept.iter().filter_map(|(name, change)| read_change(change, name)).collect()
}

/// `AT UNTIL r|e`.
fn read_change(change: &str, name: &str) -> Option<Change> {
    let mut words = change.split(' ');
    let (at, until, what) = (words.next()?, words.next()?, words.next()?);
    let (kind, name) = name.split_once(':')?;
    let subject = match kind {
        "u" => Subject::User(name.into()),
        "t" => Subject::Token(name.into()),
        _ => return None,
    };
    Some(Change {
        subject,
        at_unix_ms: at.parse().ok()?,
        until_unix_ms: until.parse().ok()?,
        is_refused: what == "r",
    })
}

/// What is told of a change: `NODE TICKET AT UNTIL r|e NAME`.
pub(super) fn read_told(payload: &[u8]) -> Option<(Origin, Change)> {
    let text = std::str::from_utf8(payload).ok()?;
    let (node, rest) = text.split_once(' ')?;
    let (ticket, rest) = rest.split_once(' ')?;
    let name = rest.splitn(4, ' ').nth(3)?;
    let change = rest.strip_suffix(name)?;
    let node = NodeId(u64::from_str_radix(node, 16).ok()?);
    Some((Origin { node, ticket: ticket.parse().ok()? }, read_change(change, name)?))
}

/// What became of a change that was to be kept.
pub(super) fn read_kept(answer: Value) -> Option<Kept> {
    let Value::BulkString(word) = answer else { return None };
    match &word[..] {
        b"kept" | b"old" => Some(Kept::Yes),
        b"full" => Some(Kept::Full),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_reads_back() {
        let told = b"00000000000000ff 7 12 34 r u:7 alice";
        let (origin, change) = read_told(told).expect("it makes sense");
        assert_eq!(origin, Origin { node: NodeId(255), ticket: 7 });
        let expected = Change {
            subject: Subject::User("7 alice".into()),
            at_unix_ms: 12,
            until_unix_ms: 34,
            is_refused: true,
        };
        assert_eq!(change, expected);
        assert_eq!(change.name(), "u:7 alice");
        for wrong in ["", "ff 7", "ff 7 1 2 r", "ff 7 1 2 r alice", "x 7 1 2 r u:a", "ff 7 1 x r u:a"] {
            assert_eq!(read_told(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
