//! Profiles: what differs between kinds of clients at the edge, as data (protocol, introduction).

use crate::config::Rate;

/// The language that a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Frames with an `event` key.
    Event,
    /// Frames with a `type` key.
    Topic,
}

/// How an error looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorShape {
    /// `error {status, code, message, details, recoverable}`.
    Native,
    /// `chat:error {code, message, details, recoverable}`.
    Chat,
    /// `error {status, code, message, data}`.
    Channel,
}

/// One profile.
#[derive(Debug)]
pub struct Profile {
    /// Its position in [`PROFILES`].
    pub index: u8,
    /// Its name in `?profile=` and `--profile`.
    pub name: &'static str,
    /// The dialect of a connection that names none.
    pub dialect: Dialect,
    /// How errors look in the event dialect.
    pub error_shape: ErrorShape,
    /// Unusable first messages that are forgiven before 4401, and the closing one.
    pub auth_tries: u8,
    /// Replaces the default of `--limit-messages`.
    pub messages: Option<Rate>,
    /// Canonical names that go out under another.
    pub outbound: &'static [(&'static str, &'static str)],
}

impl Profile {
    /// The name under which an event goes out.
    #[must_use]
    pub fn outbound(&self, name: &'static str) -> &'static str {
        self.outbound.iter().find(|(canonical, _)| *canonical == name).map_or(name, |(_, other)| other)
    }
}

const NATIVE: Profile = Profile {
    index: 0,
    name: "native",
    dialect: Dialect::Event,
    error_shape: ErrorShape::Native,
    auth_tries: 3,
    messages: None,
    outbound: &[],
};

/// Every profile; the first is the default.
pub static PROFILES: [Profile; 6] = [
    NATIVE,
    Profile {
        index: 1,
        name: "chat",
        error_shape: ErrorShape::Chat,
        auth_tries: 1,
        outbound: &[
            ("room:joined", "chat:room:joined"),
            ("room:member-joined", "chat:room:joined"),
            ("room:left", "chat:room:left"),
            ("room:member-left", "chat:room:left"),
            ("message:received", "chat:message:received"),
        ],
        ..NATIVE
    },
    Profile {
        index: 2,
        name: "channel",
        error_shape: ErrorShape::Channel,
        auth_tries: 1,
        messages: Some(Rate { count: 60, interval_ms: 60_000, burst: 60 }),
        ..NATIVE
    },
    Profile { index: 3, name: "t3", ..NATIVE },
    Profile { index: 4, name: "support", auth_tries: 1, ..NATIVE },
    Profile { index: 5, name: "topic", dialect: Dialect::Topic, ..NATIVE },
];

/// The names of all profiles.
pub fn names() -> impl Iterator<Item = &'static str> {
    PROFILES.iter().map(|profile| profile.name)
}

/// The profile of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Profile> {
    PROFILES.iter().find(|profile| profile.name == name)
}

/// What a frame is encoded for: everything that its bytes depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variant {
    /// The dialect.
    pub dialect: Dialect,
    /// The profile.
    pub profile: &'static Profile,
}

impl Variant {
    /// Number of variants there can be.
    pub const COUNT: usize = PROFILES.len() + 1;

    /// Dense index: the topic dialect looks alike in all profiles.
    #[must_use]
    pub fn index(self) -> usize {
        match self.dialect {
            Dialect::Topic => Self::COUNT - 1,
            Dialect::Event => usize::from(self.profile.index),
        }
    }
}

impl PartialEq for Profile {
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index
    }
}

impl Eq for Profile {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_stands_at_its_index() {
        for (index, profile) in PROFILES.iter().enumerate() {
            assert_eq!(usize::from(profile.index), index);
            assert_eq!(find(profile.name), Some(profile));
        }
        assert!(find("nonsense").is_none());
    }
}
