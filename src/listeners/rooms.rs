//! Tells the members of rooms what happened: as a push, which is gone when it is sent, or as a message of the room.
//!
//! Events wait in a bounded queue of the listener's own, and go to the rooms' owners in their order, without one waiting
//! for the answer to the one before. What a room does not take is counted and not tried again.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use roomcast_shards::protocol::app_event::{AppEvent, is_free};
use roomcast_shards::protocol::error_code::CommandError;
use roomcast_shards::protocol::push::Except;
use roomcast_shards::room::name::qualify;
use roomcast_shards::room::pattern::validate_name;
use tokio::sync::{Semaphore, mpsc};

use super::event::SharedEvent;
use super::lanes::LaneLimits;
use super::numbers::Numbers;
use super::settings::{Name, RoomsSettings};
use super::template::{Template, Unfit, fits_room};
use crate::control::{DataPlane, Publish};

/// Questions to owners that one listener may have on their way.
const ON_THEIR_WAY_MAX: usize = 256;
/// Messages of listeners whose coming back is awaited.
const OWN_MAX: usize = 16_384;

/// The rooms of one listener.
#[derive(Debug)]
pub(super) struct RoomsSink {
    name: Name,
    settings: RoomsSettings,
    data_plane: Arc<DataPlane>,
    own: Arc<OwnMessages>,
    numbers: Arc<Numbers>,
    queue: mpsc::Sender<SharedEvent>,
    bytes: AtomicUsize,
    limits: LaneLimits,
}

/// What is published for an event in one room.
enum Telling {
    Push(AppEvent),
    Message(Bytes),
}

impl RoomsSink {
    /// A sink, and the queue that [`RoomsSink::run`] takes from.
    pub(super) fn new(
        name: Name,
        settings: RoomsSettings,
        limits: LaneLimits,
        (data_plane, own): (Arc<DataPlane>, Arc<OwnMessages>),
        numbers: Arc<Numbers>,
    ) -> (Self, mpsc::Receiver<SharedEvent>) {
        let (queue, waiting) = mpsc::channel(limits.events_max);
        let bytes = AtomicUsize::new(0);
        (Self { name, settings, data_plane, own, numbers, queue, bytes, limits }, waiting)
    }

    /// Puts an event behind those that wait; without room for it it is dropped and counted.
    pub(super) fn queue(&self, event: &SharedEvent) {
        let cost = event.cost();
        let fits = self.bytes.load(Ordering::Relaxed) + cost <= self.limits.bytes_max;
        if fits && self.queue.try_send(Arc::clone(event)).is_ok() {
            self.bytes.fetch_add(cost, Ordering::Relaxed);
        } else {
            self.numbers.dropped.add(1);
        }
    }

    /// Events and bytes that wait.
    pub(super) fn load(&self) -> (usize, usize) {
        (self.queue.max_capacity() - self.queue.capacity(), self.bytes.load(Ordering::Relaxed))
    }

    /// Tells rooms of what is queued, for ever.
    pub(super) async fn run(self: Arc<Self>, mut waiting: mpsc::Receiver<SharedEvent>) {
        let turns = Arc::new(Semaphore::new(ON_THEIR_WAY_MAX));
        while let Some(event) = waiting.recv().await {
            self.bytes.fetch_sub(event.cost(), Ordering::Relaxed);
            let rooms = self.rooms(&event);
            if rooms.is_empty() {
                continue;
            }
            let payload = Bytes::from(self.settings.payload.of(&event));
            for room in rooms {
                let turn = Arc::clone(&turns).acquire_owned().await;
                let (this, event, payload) = (Arc::clone(&self), Arc::clone(&event), payload.clone());
                // Tasks of this thread begin in the order in which they were made.
                tokio::spawn(async move {
                    this.tell(room, &event, payload).await;
                    drop(turn);
                });
            }
        }
    }

    /// The rooms that an event names, as they are called inside the gateway. A template that names none is left out, so
    /// that an unassigned conversation is told to its room and to no user's.
    fn rooms(&self, event: &SharedEvent) -> Vec<String> {
        let mut rooms = Vec::new();
        for template in &self.settings.rooms {
            match self.rooms_of(template, event) {
                Ok(named) => rooms.extend(named),
                Err(unfit) => {
                    self.numbers.skipped.add(1);
                    let (listener, id) = (&*self.name, &*event.id);
                    tracing::debug!(event = "listener_skipped", listener, id, ?unfit);
                }
            }
        }
        rooms.sort_unstable();
        rooms.dedup();
        rooms
    }

    fn rooms_of(&self, template: &Template, event: &SharedEvent) -> Result<Vec<String>, Unfit> {
        let account = event.account.as_deref().filter(|_| self.settings.tenancy);
        if self.settings.tenancy && !account.is_some_and(fits_room) {
            return Err(Unfit::Missing);
        }
        let rooms = template.texts(event, fits_room)?;
        if rooms.iter().any(|room| validate_name(room).is_err()) {
            return Err(Unfit::Forbidden);
        }
        Ok(rooms.into_iter().map(|room| qualify(account, &room).into_owned()).collect())
    }

    async fn tell(&self, room: String, event: &SharedEvent, payload: Bytes) {
        let told = match self.telling(event, payload) {
            Some(Telling::Push(push)) => {
                self.data_plane.push(room.into(), push, Except::Nobody).await.map(|_| ())
            }
            Some(Telling::Message(content)) => self.publish(room, event, content).await,
            None => {
                self.numbers.skipped.add(1);
                return;
            }
        };
        match told {
            Ok(()) => self.numbers.delivered.add(1),
            Err(error) => {
                self.numbers.failed.add(1);
                let (listener, id) = (&*self.name, &*event.id);
                tracing::warn!(event = "listener_failed", listener, id, code = error.code.name());
            }
        }
    }

    fn telling(&self, event: &SharedEvent, payload: Bytes) -> Option<Telling> {
        if self.settings.as_message {
            return Some(Telling::Message(payload));
        }
        let name = self.settings.event.as_deref().unwrap_or(&event.name);
        is_free(name).then(|| Telling::Push(AppEvent { name: name.into(), data: payload }))
    }

    async fn publish(&self, room: String, event: &SharedEvent, content: Bytes) -> Result<(), CommandError> {
        // An event that comes twice is one message.
        let client_id = format!("{}/{}", event.id, self.name);
        let place = OwnMessages::place(&room, &client_id);
        let mut publish = Publish::new(room, content);
        publish.draft.client_id = Some(client_id.into());
        self.own.add(place.clone());
        let sent = self.data_plane.publish(publish).await;
        if !sent.as_ref().is_ok_and(|sent| !sent.duplicate) {
            self.own.take(&place);
        }
        sent.map(|_| ())
    }
}

/// Places of messages, and the order in which they came.
type Places = (HashSet<Arc<str>>, VecDeque<Arc<str>>);

/// Messages that listeners have published and that have not come back as events: so that no listener answers itself.
#[derive(Debug, Default)]
pub(super) struct OwnMessages {
    /// Whether any listener hears of messages at all.
    is_heard: bool,
    places: Mutex<Places>,
}

impl OwnMessages {
    pub(super) fn new(is_heard: bool) -> Self {
        Self { is_heard, places: Mutex::default() }
    }

    fn place(room: &str, client_id: &str) -> Arc<str> {
        format!("{room} {client_id}").into()
    }

    fn add(&self, place: Arc<str>) {
        if !self.is_heard {
            return;
        }
        let mut places = self.places();
        let (set, order) = &mut *places;
        if set.insert(Arc::clone(&place)) {
            order.push_back(place);
        }
        if order.len() > OWN_MAX
            && let Some(oldest) = order.pop_front()
        {
            set.remove(&oldest);
        }
    }

    /// Whether a listener has published the message; it is not awaited any more.
    pub(super) fn is_own(&self, room: &str, client_id: Option<&str>) -> bool {
        client_id.is_some_and(|client_id| self.take(&Self::place(room, client_id)))
    }

    fn take(&self, place: &Arc<str>) -> bool {
        self.is_heard && self.places().0.remove(place)
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_a_listener_is_recognised_once() {
        let own = OwnMessages::new(true);
        own.add(OwnMessages::place("r", "e-1/hook"));
        assert!(!own.is_own("s", Some("e-1/hook")) && !own.is_own("r", None));
        assert!(own.is_own("r", Some("e-1/hook")));
        assert!(!own.is_own("r", Some("e-1/hook")));
    }

    #[test]
    fn what_never_comes_back_is_forgotten() {
        let own = OwnMessages::new(true);
        for number in 0..=OWN_MAX {
            own.add(OwnMessages::place("r", &number.to_string()));
        }
        assert!(!own.is_own("r", Some("0")) && own.is_own("r", Some("1")));
    }
}
