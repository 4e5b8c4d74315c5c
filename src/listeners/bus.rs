//! The event bus: takes what happens, and gives it to the listeners whose patterns and conditions match.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use roomcast_shards::gateway_event::{EventKind, GatewayEvent};
use roomcast_shards::id::MessageIds;
use tokio::time::sleep;

use super::deliver::{Deliverer, unix_ms};
use super::event::{Event, SharedEvent};
use super::gateway_events::event_of;
use super::gateway_queue::{GatewayReceiver, Told};
use super::numbers::{Count, Numbers, Report};
use super::outbox::{DeadLetter, Left, Outbox};
use super::rooms::{OwnMessages, RoomsSink};
use super::settings::{ListenerSettings, ListenersSettings, SinkSettings};
use super::source;
use super::transport::Transport;
use crate::backend::http_client::HttpClient;
use crate::control::DataPlane;
use crate::store::{Handle, NoRoom, Written};

/// How often it is looked whether everything is delivered.
const LOOK: Duration = Duration::from_millis(10);
/// What is said of a dead letter whose listener is not configured any more.
const GONE: &str = "the listener is not configured any more";

/// Who hears of what.
#[derive(Debug)]
pub(crate) struct Bus {
    listeners: Vec<Listener>,
    outbox: Arc<Outbox>,
    own: Arc<OwnMessages>,
    ids: Mutex<MessageIds>,
    /// Events of the application's that were taken, that could not be read, and that found no room.
    pub(super) taken: Count,
    pub(super) unreadable: Count,
    pub(super) refused: Count,
}

#[derive(Debug)]
struct Listener {
    settings: ListenerSettings,
    sink: Sink,
    numbers: Arc<Numbers>,
}

#[derive(Debug)]
enum Sink {
    Rooms(Arc<RoomsSink>),
    Deliver(Arc<Deliverer>),
    Log,
}

/// What became of an event.
#[derive(Debug, Default)]
struct Dispatched {
    listeners: usize,
    written: Option<Written>,
    no_room: Option<NoRoom>,
}

/// What the metrics show of the bus.
#[derive(Debug)]
pub(crate) struct BusReport {
    pub(crate) listeners: Vec<Report>,
    /// Events of the application's by what became of them.
    pub(crate) events: [(&'static str, u64); 3],
    pub(crate) dead_letters: usize,
    pub(crate) dead_letters_dropped: u64,
}

impl Bus {
    /// Makes the bus and starts its tasks; to be called within the runtime that they run in. What the last process left
    /// behind is delivered before anything new.
    ///
    /// # Errors
    /// When a webhook is behind HTTPS and no authority is trusted.
    pub(crate) fn start(
        settings: &ListenersSettings,
        client: &HttpClient,
        data_plane: &Arc<DataPlane>,
        store: Option<Handle>,
    ) -> io::Result<Arc<Self>> {
        let (outbox, left) = Outbox::open(store);
        let outbox = Arc::new(outbox);
        let own = Arc::new(OwnMessages::new(settings.kinds().has(EventKind::MessagePublished)));
        let listener =
            |settings: &ListenerSettings| Listener::start(settings, client, (data_plane, &own), &outbox);
        let listeners = settings.listeners.iter().map(listener).collect::<io::Result<_>>()?;
        let bus = Arc::new(Self {
            listeners,
            outbox,
            own,
            ids: Mutex::default(),
            taken: Count::default(),
            unreadable: Count::default(),
            refused: Count::default(),
        });
        bus.resume(left);
        if let Some(settings) = &settings.source {
            tokio::spawn(source::run(settings.clone(), Arc::clone(&bus)));
        }
        Ok(bus)
    }

    /// One that nobody hears anything from.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self {
            listeners: Vec::new(),
            outbox: Arc::new(Outbox::open(None).0),
            own: Arc::default(),
            ids: Mutex::default(),
            taken: Count::default(),
            unreadable: Count::default(),
            refused: Count::default(),
        }
    }

    /// Queues what the last process left behind.
    fn resume(&self, left: Left) {
        for (name, entry) in left {
            match self.deliverer(&name) {
                Some(deliverer) => deliverer.queue(entry),
                None => self.outbox.bury(&name, entry, GONE),
            }
        }
    }

    fn deliverer(&self, name: &str) -> Option<&Arc<Deliverer>> {
        let listener = self.listeners.iter().find(|listener| listener.settings.name == name)?;
        match &listener.sink {
            Sink::Deliver(deliverer) => Some(deliverer),
            Sink::Rooms(_) | Sink::Log => None,
        }
    }

    /// Gives the gateway's events to listeners, until no shard is left.
    pub(crate) async fn run(self: Arc<Self>, mut events: GatewayReceiver) {
        while let Some(told) = events.recv().await {
            self.hear(&told);
        }
    }

    /// An event of the gateway's: told once, to whoever has room for it.
    fn hear(&self, told: &Told) {
        let is_own = match &told.event {
            GatewayEvent::Message(publication) => {
                self.own.is_own(&publication.room, publication.client_id.as_deref())
            }
            _ => false,
        };
        let event = event_of(told, &mut self.ids.lock().unwrap_or_else(PoisonError::into_inner));
        if let Some(event) = event {
            self.dispatch(&Arc::new(event), is_own);
        }
    }

    /// An event of the application's: when this returns, whoever must hear of it will, whatever becomes of the process, as
    /// far as the store promises that. How many listeners hear of it.
    ///
    /// # Errors
    /// [`NoRoom`] when one of them could not take it. Others may have: the same event, with the same id, may come again.
    pub(crate) async fn take(&self, event: Event) -> Result<usize, NoRoom> {
        let dispatched = self.dispatch(&Arc::new(event), false);
        self.outbox.kept(dispatched.written).await;
        match dispatched.no_room {
            None => {
                self.taken.add(1);
                Ok(dispatched.listeners)
            }
            Some(no_room) => {
                self.refused.add(1);
                Err(no_room)
            }
        }
    }

    /// Waits until nothing is left to be delivered that would end with the process.
    pub(crate) async fn delivered(&self) {
        // What has just been told is in the queue before it is in the lanes.
        sleep(LOOK).await;
        while !self.outbox.outlives_process() && self.listeners.iter().any(Listener::delivers) {
            sleep(LOOK).await;
        }
    }

    fn dispatch(&self, event: &SharedEvent, is_own: bool) -> Dispatched {
        let mut dispatched = Dispatched::default();
        for listener in &self.listeners {
            if (!is_own || listener.settings.hears_listeners) && listener.settings.hears(event) {
                listener.numbers.heard.add(1);
                dispatched.listeners += 1;
                listener.give(event, &self.outbox, &mut dispatched);
            }
        }
        dispatched
    }

    /// A name for an event that has none.
    pub(crate) fn next_id(&self, unix_ms: u64) -> Box<str> {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        ids.next(unix_ms, &mut rand::rng()).to_string().into()
    }

    /// At most `limit` dead letters behind the one of that number, and whether there are more.
    pub(crate) fn dead_letters(&self, after: u64, limit: usize) -> (Vec<DeadLetter>, bool) {
        self.outbox.page(after, limit)
    }

    /// Has another try at a dead letter; `None` when there is none of that number, and whether there was a listener and
    /// room for it otherwise.
    pub(crate) async fn retry(&self, number: u64) -> Option<bool> {
        let letter = self.outbox.letter(number)?;
        let Some(deliverer) = self.deliverer(&letter.listener) else { return Some(false) };
        let Ok((entry, written)) = self.outbox.put(&letter.listener, &letter.event, unix_ms()) else {
            return Some(false);
        };
        deliverer.queue(entry);
        self.outbox.revive(number);
        self.outbox.kept(written).await;
        Some(true)
    }

    /// How listeners do, for the metrics.
    pub(crate) fn report(&self) -> BusReport {
        BusReport {
            listeners: self.listeners.iter().map(Listener::report).collect(),
            events: [
                ("taken", self.taken.get()),
                ("unreadable", self.unreadable.get()),
                ("refused", self.refused.get()),
            ],
            dead_letters: self.outbox.letters_count(),
            dead_letters_dropped: self.outbox.letters_dropped.get(),
        }
    }
}

impl Listener {
    fn start(
        settings: &ListenerSettings,
        client: &HttpClient,
        (data_plane, own): (&Arc<DataPlane>, &Arc<OwnMessages>),
        outbox: &Arc<Outbox>,
    ) -> io::Result<Self> {
        let numbers = Arc::new(Numbers::default());
        let (name, limits) = (Arc::from(&*settings.name), settings.limits);
        let deliver = |transport, delivery| {
            let (outbox, numbers) = (Arc::clone(outbox), Arc::clone(&numbers));
            let deliverer =
                Arc::new(Deliverer::new(Arc::clone(&name), limits, transport, delivery, outbox, numbers));
            tokio::spawn(Arc::clone(&deliverer).run());
            Sink::Deliver(deliverer)
        };
        let sink = match &settings.sink {
            SinkSettings::Webhook(endpoint, delivery) => deliver(
                Transport::Webhook(Box::new(client.endpoint((**endpoint).clone())?)),
                (**delivery).clone(),
            ),
            SinkSettings::Stream(stream, delivery) => {
                deliver(Transport::stream((**stream).clone()), (**delivery).clone())
            }
            SinkSettings::Rooms(rooms) => {
                let reach = (Arc::clone(data_plane), Arc::clone(own));
                let (sink, waiting) =
                    RoomsSink::new(Arc::clone(&name), (**rooms).clone(), limits, reach, Arc::clone(&numbers));
                let sink = Arc::new(sink);
                tokio::spawn(Arc::clone(&sink).run(waiting));
                Sink::Rooms(sink)
            }
            SinkSettings::Log => Sink::Log,
        };
        Ok(Self { settings: settings.clone(), sink, numbers })
    }

    fn give(&self, event: &SharedEvent, outbox: &Outbox, dispatched: &mut Dispatched) {
        match &self.sink {
            Sink::Rooms(rooms) => rooms.queue(event),
            Sink::Deliver(deliverer) if !deliverer.fits(event) => self.numbers.skipped.add(1),
            Sink::Deliver(deliverer) => match outbox.put(&self.settings.name, event, unix_ms()) {
                Ok((entry, written)) => {
                    deliverer.queue(entry);
                    dispatched.written = written.or(dispatched.written);
                }
                Err(no_room) => {
                    self.numbers.dropped.add(1);
                    dispatched.no_room = Some(no_room);
                }
            },
            Sink::Log => {
                let (listener, id, name) = (&*self.settings.name, &*event.id, &*event.name);
                tracing::info!(event = "listener_heard", listener, id, name, data = event.data.get());
                self.numbers.delivered.add(1);
            }
        }
    }

    /// Whether something waits or is on its way to a webhook or a stream.
    fn delivers(&self) -> bool {
        matches!(&self.sink, Sink::Deliver(deliverer) if deliverer.load().0 > 0)
    }

    fn report(&self) -> Report {
        let waiting = match &self.sink {
            Sink::Rooms(rooms) => rooms.load(),
            Sink::Deliver(deliverer) => deliverer.load(),
            Sink::Log => (0, 0),
        };
        self.numbers.report(&self.settings.name, waiting)
    }
}
