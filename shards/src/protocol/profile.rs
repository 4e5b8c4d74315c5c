//! Profiles: what differs between kinds of clients at the edge, as data (protocol, introduction).
//!
//! Six are built in, one for each of the systems that the product comes from and the native one; the configuration
//! may define more. A profile lives as long as the process, so that connections hold a plain reference to theirs.

use super::catalog::{Constants, Event};
use super::socketio::{Namespace, ROOT};
use crate::config::Rate;

/// The language that a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Frames with an `event` key.
    Event,
    /// Frames with a `type` key.
    Topic,
    /// Packets of Socket.IO.
    SocketIo,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 3] = [Self::Event, Self::Topic, Self::SocketIo];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Topic => "topic",
            Self::SocketIo => "socketio",
        }
    }
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

/// Whose presence a connection watches without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watching {
    /// Nobody's.
    Nobody,
    /// That of its own account's users.
    Account,
    /// That of everybody visible.
    Everybody,
}

/// Another name of an event, inbound: the name, the event, and members of `data` that the name stands for.
pub type Inbound = (&'static str, Event, Constants);

/// One profile.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its position among all profiles of the process.
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
    /// Replaces the default of `--limit-typing`.
    pub typing: Option<Rate>,
    /// Replaces the default of `--limit-presence`.
    pub presence: Option<Rate>,
    /// In place of `--ping-interval` and `--ping-timeout`, in milliseconds.
    pub ping_ms: Option<(u64, u64)>,
    /// Names of events beside the catalogue's.
    pub inbound: &'static [Inbound],
    /// Canonical names that go out under another.
    pub outbound: &'static [(&'static str, &'static str)],
    /// Whether a user's first and last socket are told as `user:online` and `user:offline`.
    pub presence_edges: bool,
    /// Whose presence its connections watch without asking.
    pub watching: Watching,
}

impl Profile {
    /// The name under which an event goes out.
    #[must_use]
    pub fn outbound<'a>(&self, name: &'a str) -> &'a str {
        self.outbound.iter().find(|(canonical, _)| *canonical == name).map_or(name, |(_, other)| other)
    }

    /// The event of a name that only this profile knows.
    #[must_use]
    pub fn find_inbound(&self, name: &str) -> Option<(Event, Constants)> {
        let (_, event, constants) = self.inbound.iter().find(|(known, ..)| *known == name)?;
        Some((*event, constants))
    }
}

const NATIVE: Profile = Profile {
    index: 0,
    name: "native",
    dialect: Dialect::Event,
    error_shape: ErrorShape::Native,
    auth_tries: 3,
    messages: None,
    typing: None,
    presence: None,
    ping_ms: None,
    inbound: &[],
    outbound: &[],
    presence_edges: false,
    watching: Watching::Nobody,
};

/// The built-in profiles; the first is the default.
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
            ("room:created", "chat:room:created"),
            ("message:received", "chat:message:received"),
            ("user:typing", "chat:user:typing"),
            ("file:uploaded", "chat:file:uploaded"),
            ("robot:response", "chat:robot:response"),
            ("escalation:created", "chat:escalation:created"),
            ("system:notification", "chat:system:notification"),
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
    Profile { index: 3, name: "t3", watching: Watching::Everybody, ..NATIVE },
    Profile {
        index: 4,
        name: "support",
        auth_tries: 1,
        outbound: &[("user:typing", "conversation:typing")],
        presence_edges: true,
        watching: Watching::Account,
        ..NATIVE
    },
    Profile { index: 5, name: "topic", dialect: Dialect::Topic, ..NATIVE },
];

/// Most profiles of a process, the built-in ones included.
pub const PROFILES_MAX: usize = 32;

/// Every profile of a process: the built-in ones, and those that the configuration defines.
#[derive(Debug, Clone)]
pub struct Profiles(Vec<&'static Profile>);

impl Default for Profiles {
    fn default() -> Self {
        Self(PROFILES.iter().collect())
    }
}

impl Profiles {
    /// Adds a profile, which gets the next index; it stays for the life of the process.
    ///
    /// # Errors
    /// Why it cannot be added, for the operator.
    pub fn define(&mut self, profile: Profile) -> Result<(), String> {
        if self.find(profile.name).is_some() {
            return Err(format!("there is a profile {:?} already", profile.name));
        }
        if self.0.len() >= PROFILES_MAX {
            return Err(format!("at most {PROFILES_MAX} profiles are possible"));
        }
        let index = u8::try_from(self.0.len()).expect("checked above");
        self.0.push(Box::leak(Box::new(Profile { index, ..profile })));
        Ok(())
    }

    /// The profile of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&'static Profile> {
        self.0.iter().copied().find(|profile| profile.name == name)
    }

    /// The names of all profiles.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|profile| profile.name)
    }
}

/// What a frame is encoded for: everything that its bytes depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variant {
    /// The dialect.
    pub dialect: Dialect,
    /// The profile.
    pub profile: &'static Profile,
    /// The namespace of a Socket.IO client.
    pub namespace: &'static Namespace,
}

impl Variant {
    /// A variant that has no namespaces.
    #[must_use]
    pub fn new(dialect: Dialect, profile: &'static Profile) -> Self {
        Self { dialect, profile, namespace: &ROOT }
    }

    /// Tells variants apart: the topic dialect looks alike in all profiles.
    #[must_use]
    pub fn index(self) -> u16 {
        let profile = u16::from(self.profile.index);
        match self.dialect {
            Dialect::Topic => u16::MAX,
            Dialect::Event => profile,
            Dialect::SocketIo => (u16::from(self.namespace.index) + 1) << 8 | profile,
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
        let mut profiles = Profiles::default();
        for (index, profile) in PROFILES.iter().enumerate() {
            assert_eq!(usize::from(profile.index), index);
            assert_eq!(profiles.find(profile.name), Some(profile));
        }
        assert!(profiles.find("mine").is_none());
        profiles.define(Profile { name: "mine", ..NATIVE }).expect("a new name");
        assert_eq!(profiles.find("mine").map(|profile| profile.index), Some(6));
        assert!(profiles.define(Profile { name: "chat", ..NATIVE }).is_err());
    }
}
