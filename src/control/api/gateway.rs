//! The way from the control plane to the shards and back: a question to a room's owner, and its answer.
//!
//! A question waits in the bounded queue of its shard, which takes it as it takes a client's command, so that every
//! rule of rooms holds; the answer comes back in a batch with all others of that shard's turn. A shard is woken once
//! for all questions that tasks of this thread had ready, however many they are.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use roomcast_shards::effect::ApiAnswer;
use roomcast_shards::id::{SessionId, ShardId};
use roomcast_shards::mesh::administration::Administration;
use roomcast_shards::mesh::item::Ask;
use roomcast_shards::mesh::operation::Operation;
use roomcast_shards::mesh::outcome::Outcome;
use roomcast_shards::protocol::app_event::AppEvent;
use roomcast_shards::protocol::command::Draft;
use roomcast_shards::protocol::emission::Emission;
use roomcast_shards::protocol::error_code::{CommandError, Detail, ErrorCode};
use roomcast_shards::protocol::message::MessageType;
use roomcast_shards::protocol::push::Except;
use roomcast_shards::protocol::reply::Sent;
use roomcast_shards::rim::Shards;
use slab::Slab;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::timeout;

/// How long a shard may take to answer. What it was asked may still happen afterwards.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
/// Questions that may be on their way at a time. Each has one answer, so that this bounds the answers as well.
pub(in crate::control) const QUESTIONS_MAX: usize = 16_384;
/// The sender of what the application publishes and does not name a sender for.
const SYSTEM: &str = "system";

/// The shards, as they can be asked.
pub(in crate::control) trait Owners: Send + Sync {
    /// Asks the owner of a room, or the shard that is named; which one it was.
    ///
    /// # Errors
    /// The question, when too many wait for that shard.
    fn request(&self, shard: Option<ShardId>, ask: Box<Ask>) -> Result<ShardId, Box<Ask>>;

    /// Wakes a shard that was asked something.
    fn ring(&self, shard: ShardId);

    /// How many there are.
    fn count(&self) -> usize;
}

impl Owners for Shards {
    fn request(&self, shard: Option<ShardId>, ask: Box<Ask>) -> Result<ShardId, Box<Ask>> {
        match shard {
            Some(shard) => self.request_of(shard, ask),
            None => self.request(ask),
        }
    }

    fn ring(&self, shard: ShardId) {
        Self::ring(self, shard);
    }

    fn count(&self) -> usize {
        self.len()
    }
}

/// What became of a question.
pub(crate) type Answer = Result<Outcome, CommandError>;
/// Answers of all shards that are yet to come.
pub(crate) type Asked = Vec<oneshot::Receiver<Answer>>;

/// Asks the shards, and waits for what they answer.
pub(crate) struct DataPlane {
    owners: Arc<dyn Owners>,
    waiting: Mutex<Waiting>,
    counts: Arc<Counts>,
    /// Shards that were asked something and not woken yet, one bit each.
    unrung: AtomicU64,
    asked: Notify,
    answer_time_max: Duration,
}

/// What the way to the shards and the server API count; only ever shown.
#[derive(Debug, Default)]
pub(in crate::control) struct Counts {
    /// Requests that succeeded.
    pub(in crate::control) succeeded: AtomicU64,
    /// Requests whose fault it was.
    pub(in crate::control) refused: AtomicU64,
    /// Requests for which something was missing here.
    pub(in crate::control) failed: AtomicU64,
    /// Questions that found no place.
    pub(in crate::control) overflows: AtomicU64,
}

/// Who waits for answers.
#[derive(Default)]
struct Waiting {
    /// By the low half of their tokens, with the high half, which tells apart those who had the same place.
    places: Slab<(u32, oneshot::Sender<Answer>)>,
    /// Questions so far.
    asked: u32,
}

/// A message of the application's.
#[derive(Debug)]
pub(crate) struct Publish {
    /// Who is said to have sent it; `None` for `system`.
    pub(crate) sender: Option<Arc<str>>,
    /// The message, with its room.
    pub(crate) draft: Draft,
    /// Who does not get it, now or later.
    pub(crate) except: Except,
}

impl Publish {
    /// A message of the gateway's or a backend's own: content that is JSON, for a room.
    pub(crate) fn new(room: impl Into<String>, content: Bytes) -> Self {
        let draft = Draft::new(room.into(), MessageType::System, content);
        Self { sender: None, draft, except: Except::Nobody }
    }

    /// What the room's owner is asked.
    fn into_question(self) -> (Arc<str>, Operation) {
        let Self { sender, mut draft, except } = self;
        let mut session = SessionId(0);
        match except {
            Except::Nobody => {}
            Except::User(user) => draft.exclude_user = Some(user),
            Except::Session(excluded) => {
                draft.exclude_sender = true;
                session = excluded;
            }
        }
        let sender = sender.unwrap_or_else(|| SYSTEM.into());
        let room = draft.room.as_str().into();
        (room, Operation::Publish { sender, session, draft, confirm: true, outside: Some(true) })
    }
}

impl DataPlane {
    pub(in crate::control) fn new(owners: Arc<dyn Owners>) -> Self {
        Self {
            owners,
            waiting: Mutex::default(),
            counts: Arc::default(),
            unrung: AtomicU64::new(0),
            asked: Notify::new(),
            answer_time_max: ANSWER_TIME_MAX,
        }
    }

    /// Publishes a message; it has its offset when this returns.
    ///
    /// # Errors
    /// What the room's owner says against it, or that it cannot be asked.
    pub(crate) async fn publish(&self, publish: Publish) -> Result<Sent, CommandError> {
        let (room, operation) = publish.into_question();
        sent(self.ask(room, operation).await)
    }

    /// Publishes messages, all of which are on their way before the first answer is waited for. Those of one room keep
    /// their order; what is an error already stays one.
    pub(crate) async fn publish_all(
        &self,
        messages: Vec<Result<Publish, CommandError>>,
    ) -> Vec<Result<Sent, CommandError>> {
        let put = |publish: Publish| {
            let (room, operation) = publish.into_question();
            self.put(None, room, operation)
        };
        let asked: Vec<_> = messages.into_iter().map(|message| message.and_then(put)).collect();
        let mut results = Vec::with_capacity(asked.len());
        for asked in asked {
            results.push(match asked {
                Ok(asked) => sent(self.answer(asked).await),
                Err(error) => Err(error),
            });
        }
        results
    }

    /// Tells the members of a room something that is no message: it has no offset, and nobody gets it later. How many
    /// members the room has.
    ///
    /// # Errors
    /// That the room's owner cannot be asked.
    pub(crate) async fn push(
        &self,
        room: Arc<str>,
        event: AppEvent,
        except: Except,
    ) -> Result<usize, CommandError> {
        match self.ask(room, Operation::Push { event: Arc::new(event), except }).await? {
            Outcome::Pushed { members } => Ok(members),
            outcome => Err(unexpected(&outcome)),
        }
    }

    /// Has every shard do something with those of its connections that are meant. The answers need not be waited for.
    ///
    /// # Errors
    /// That one of the shards cannot be asked; others may have been.
    pub(crate) fn emit(
        &self,
        emission: &Arc<Emission>,
    ) -> Result<Vec<oneshot::Receiver<Answer>>, CommandError> {
        let shard = |index| ShardId(u16::try_from(index).expect("shards are few"));
        let ask = |index| self.put(Some(shard(index)), "".into(), Operation::Emit(Arc::clone(emission)));
        (0..self.shards()).map(ask).collect()
    }

    /// Asks a room's owner.
    ///
    /// # Errors
    /// What it says against it, or `SERVER_ERROR` when it cannot be asked or does not answer.
    pub(crate) async fn ask(&self, room: Arc<str>, operation: Operation) -> Answer {
        self.ask_of(None, room, operation).await
    }

    /// Asks the owners of several rooms at once; answers come in the order of the questions.
    pub(crate) async fn ask_many(&self, questions: Vec<(Arc<str>, Operation)>) -> Vec<Answer> {
        let asked: Vec<_> =
            questions.into_iter().map(|(room, operation)| self.put(None, room, operation)).collect();
        let mut answers = Vec::with_capacity(asked.len());
        for asked in asked {
            answers.push(match asked {
                Ok(asked) => self.answer(asked).await,
                Err(error) => Err(error),
            });
        }
        answers
    }

    /// Asks one shard about its own connections.
    ///
    /// # Errors
    /// As [`DataPlane::ask`].
    pub(crate) async fn ask_shard(&self, shard: ShardId, operation: Operation) -> Answer {
        self.ask_of(Some(shard), "".into(), operation).await
    }

    /// Has every shard do something with its connections; how many those were.
    ///
    /// # Errors
    /// The first of any shard; others may have done it, and it may be asked again.
    pub(crate) async fn administer(&self, administration: &Administration) -> Result<usize, CommandError> {
        self.administered(self.begin(administration)?).await
    }

    /// As [`DataPlane::administer`], but does not wait for the shards. What is begun first, they do first.
    ///
    /// # Errors
    /// That one of the shards cannot be asked; others may have been, and it may be begun again.
    pub(crate) fn begin(&self, administration: &Administration) -> Result<Asked, CommandError> {
        let shards = (0..u16::try_from(self.shards()).unwrap_or(u16::MAX)).map(ShardId);
        let put = |shard| self.put(Some(shard), "".into(), Operation::Administer(administration.clone()));
        shards.map(put).collect()
    }

    /// With how many connections the shards have done it.
    ///
    /// # Errors
    /// The first of any shard.
    pub(crate) async fn administered(&self, asked: Asked) -> Result<usize, CommandError> {
        let mut connections = 0;
        for asked in asked {
            match self.answer(asked).await? {
                Outcome::Administered { connections: more } => connections += more,
                outcome => return Err(unexpected(&outcome)),
            }
        }
        Ok(connections)
    }

    async fn ask_of(&self, shard: Option<ShardId>, room: Arc<str>, operation: Operation) -> Answer {
        self.answer(self.put(shard, room, operation)?).await
    }

    async fn answer(&self, answer: oneshot::Receiver<Answer>) -> Answer {
        match timeout(self.answer_time_max, answer).await {
            Ok(Ok(answer)) => answer,
            // A place is given up only by answering.
            Ok(Err(_)) | Err(_) => Err(unavailable("a shard does not answer")),
        }
    }

    fn put(
        &self,
        shard: Option<ShardId>,
        room: Arc<str>,
        operation: Operation,
    ) -> Result<oneshot::Receiver<Answer>, CommandError> {
        let (sender, answer) = oneshot::channel();
        // The lock is released before the shard is asked: whoever is refused needs it again.
        let token = self.waiting().enter(sender);
        let asked = token.and_then(|token| {
            let ask = Box::new(Ask::of_api(token, room, operation));
            let sent = self.owners.request(shard, ask);
            sent.map_err(|_| self.waiting().leave(token)).ok()
        });
        let Some(shard) = asked else {
            self.counts.overflows.fetch_add(1, Ordering::Relaxed);
            return Err(unavailable("too many requests wait for a shard"));
        };
        // Whoever finds nobody unrung calls for the bell; whoever comes until it is rung shares that.
        if self.unrung.fetch_or(1 << shard.index(), Ordering::Relaxed) == 0 {
            self.asked.notify_one();
        }
        Ok(answer)
    }

    /// Wakes the shards that were asked something, for ever: once the tasks that are ready now have had their turn.
    pub(in crate::control) async fn ring(&self) {
        loop {
            self.asked.notified().await;
            let mut shards = self.unrung.swap(0, Ordering::Relaxed);
            while shards != 0 {
                let index = shards.trailing_zeros();
                shards &= shards - 1;
                self.owners.ring(ShardId(u16::try_from(index).expect("a word has few bits")));
            }
        }
    }

    /// Gives answers to those who wait for them, until no shard is left that could answer.
    pub(in crate::control) async fn hear(&self, mut answers: mpsc::Receiver<Vec<ApiAnswer>>) {
        while let Some(batch) = answers.recv().await {
            let mut waiting = self.waiting();
            for (token, answer) in batch {
                // Whoever does not wait any more does not want it.
                if let Some(asker) = waiting.leave(token) {
                    let _ = asker.send(answer);
                }
            }
        }
    }

    /// Number of shards.
    pub(crate) fn shards(&self) -> usize {
        self.owners.count()
    }

    /// What is counted.
    pub(in crate::control) fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// Questions that are on their way, and those so far that found no place.
    pub(in crate::control) fn load(&self) -> (usize, u64) {
        (self.waiting().places.len(), self.counts.overflows.load(Ordering::Relaxed))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// The token for a question, if there is a place for it.
    fn enter(&mut self, asker: oneshot::Sender<Answer>) -> Option<u64> {
        if self.places.len() >= QUESTIONS_MAX {
            return None;
        }
        self.asked = self.asked.wrapping_add(1);
        let place = self.places.insert((self.asked, asker));
        Some((u64::from(self.asked) << 32) | place as u64)
    }

    /// Who waits for the answer to a question; the place is free again.
    fn leave(&mut self, token: u64) -> Option<oneshot::Sender<Answer>> {
        let place = usize::try_from(token & u64::from(u32::MAX)).ok()?;
        let is_it = self.places.get(place).is_some_and(|(asked, _)| u64::from(*asked) == token >> 32);
        is_it.then(|| self.places.remove(place).1)
    }
}

impl fmt::Debug for DataPlane {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("DataPlane").field("load", &self.load()).finish_non_exhaustive()
    }
}

fn sent(answer: Answer) -> Result<Sent, CommandError> {
    match answer? {
        Outcome::Sent(sent) => Ok(sent),
        outcome => Err(unexpected(&outcome)),
    }
}

fn unavailable(message: &'static str) -> CommandError {
    CommandError::new(ErrorCode::ServerError, message).with("component", Detail::Text("shard".into()))
}

/// An owner answered something else than it was asked: a bug, of which only the log says more.
pub(super) fn unexpected(outcome: &Outcome) -> CommandError {
    tracing::error!(event = "unexpected_outcome", ?outcome);
    unavailable("a shard answered something else")
}

#[cfg(test)]
mod tests;
