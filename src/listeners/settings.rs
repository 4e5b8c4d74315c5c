//! What the configuration says of listeners, checked.

use std::sync::Arc;

use roomcast_shards::gateway_event::{EventKind, EventKinds};

use super::lanes::LaneLimits;
use super::pattern::NamePattern;
use super::payload::{Condition, Payload};
use super::template::Template;
use crate::backend::http_client::EndpointSettings;
use crate::backend::signer::Signer;
use crate::engine::redis::connect::Address;

/// All listeners, and where events come from besides the server API and the gateway.
#[derive(Debug, Clone, Default)]
pub(crate) struct ListenersSettings {
    pub(crate) listeners: Vec<ListenerSettings>,
    /// A stream of a Redis that events are read from.
    pub(crate) source: Option<SourceSettings>,
}

/// One listener.
#[derive(Debug, Clone)]
pub(crate) struct ListenerSettings {
    /// Its name.
    pub(crate) name: String,
    /// The events that it hears of.
    pub(crate) on: Vec<NamePattern>,
    /// What must hold of them, all of it.
    pub(crate) when: Vec<Condition>,
    /// What must not hold, none of it.
    pub(crate) unless: Vec<Condition>,
    /// Whether it hears of messages that listeners have published.
    pub(crate) hears_listeners: bool,
    /// Bounds of what waits for it.
    pub(crate) limits: LaneLimits,
    /// Where its events go.
    pub(crate) sink: SinkSettings,
}

/// Where events go.
#[derive(Debug, Clone)]
pub(crate) enum SinkSettings {
    /// To the members of rooms.
    Rooms(Box<RoomsSettings>),
    /// To a web server.
    Webhook(Box<EndpointSettings>, Box<DeliverySettings>),
    /// Into streams of a Redis.
    Stream(Box<StreamSettings>, Box<DeliverySettings>),
    /// Into the log.
    Log,
}

/// How rooms are told.
#[derive(Debug, Clone)]
pub(crate) struct RoomsSettings {
    /// Which.
    pub(crate) rooms: Vec<Template>,
    /// What the event is called there; `None` for its own name.
    pub(crate) event: Option<String>,
    /// What they are told.
    pub(crate) payload: Payload,
    /// Whether that is a message of the room, with an offset.
    pub(crate) as_message: bool,
    /// Whether rooms belong to accounts, so that an event without one is for none.
    pub(crate) tenancy: bool,
}

/// Which streams, and how long they become.
#[derive(Debug, Clone)]
pub(crate) struct StreamSettings {
    /// The Redis.
    pub(crate) address: Address,
    /// The stream.
    pub(crate) stream: Template,
    /// About how many entries it keeps.
    pub(crate) length_max: Option<usize>,
}

/// How events are delivered that must arrive.
#[derive(Debug, Clone)]
pub(crate) struct DeliverySettings {
    /// What events have in common that must come in order; `None` for all.
    pub(crate) key: Option<Template>,
    /// Batches on their way at once.
    pub(crate) concurrency: usize,
    /// Milliseconds that one attempt may take.
    pub(crate) time_max_ms: u64,
    /// Attempts, the first included.
    pub(crate) attempts_max: u32,
    /// Milliseconds after which an event is given up whatever the attempts.
    pub(crate) age_max_ms: u64,
    /// Milliseconds of the first pause between two attempts, and of the longest.
    pub(crate) pause_ms: (u64, u64),
}

/// A stream that events are read from.
#[derive(Debug, Clone)]
pub(crate) struct SourceSettings {
    pub(crate) address: Address,
    pub(crate) stream: String,
    pub(crate) group: String,
    pub(crate) consumer: String,
    /// Milliseconds after which what another consumer has begun counts as abandoned.
    pub(crate) claim_after_ms: u64,
}

impl ListenersSettings {
    /// What signs requests to webhooks.
    pub(crate) fn signers(&self) -> impl Iterator<Item = &Arc<Signer>> {
        self.listeners.iter().filter_map(|listener| match &listener.sink {
            SinkSettings::Webhook(endpoint, _) => Some(&endpoint.signer),
            SinkSettings::Rooms(_) | SinkSettings::Stream(..) | SinkSettings::Log => None,
        })
    }

    /// The gateway's events that some listener may hear of.
    pub(crate) fn kinds(&self) -> EventKinds {
        let heard = |kind: &EventKind| {
            self.listeners.iter().any(|listener| listener.on.iter().any(|on| on.matches(kind.name())))
        };
        EventKind::ALL.into_iter().filter(heard).collect()
    }
}

impl ListenerSettings {
    /// Whether its name and its data make an event one that the listener hears of.
    pub(super) fn hears(&self, event: &super::event::SharedEvent) -> bool {
        self.on.iter().any(|on| on.matches(&event.name))
            && self.when.iter().all(|condition| condition.holds(event))
            && !self.unless.iter().any(|condition| condition.holds(event))
    }
}

/// A listener's name, which many hold.
pub(super) type Name = Arc<str>;
