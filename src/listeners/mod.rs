//! Listeners: what happens is told to whoever was configured to hear of it.
//!
//! Events come from the application, through the server API or a stream of a Redis (`source`), and from the gateway itself
//! (`gateway_queue`, `gateway_events`). The `bus` gives each to the listeners whose names (`pattern`) and conditions
//! (`payload`) match. A listener tells `rooms` (with `template`s of their names), delivers to a webhook or a stream
//! (`deliver`, over a `transport`, from `lanes`; what is not yet delivered is in the `outbox`), or writes to the log.
//!
//! All of it runs on the control thread, and nobody in it waits for a listener: each has a bounded queue of its own.

mod bus;
mod deliver;
mod event;
mod gateway_events;
pub(crate) mod gateway_queue;
mod lanes;
mod numbers;
mod outbox;
mod pattern;
mod payload;
mod rooms;
mod settings;
mod source;
mod template;
mod transport;

pub(crate) use bus::{Bus, BusReport};
pub(crate) use deliver::unix_ms;
pub(crate) use event::{Event, Written};
pub(crate) use lanes::LaneLimits;
pub(crate) use numbers::Report;
pub(crate) use pattern::NamePattern;
pub(crate) use payload::{Condition, Member, Payload};
pub(crate) use settings::{
    DeliverySettings, ListenerSettings, ListenersSettings, RoomsSettings, SinkSettings, SourceSettings,
    StreamSettings,
};
pub(crate) use template::{Path, Template};
