//! The connection's life: made, used until it is lost, and made again; what the shards hear of that.

mod telling;
mod upkeep;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Duration;

use bytes::Bytes;
use redis::aio::{ConnectionLike as _, MultiplexedConnection};
use redis::{PushInfo, PushKind, RedisError, Value};
use roomcast_shards::engine::{Event, Request};
use roomcast_shards::id::ShardId;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::batch::{self, Batch, Style, Told};
use super::cluster::{Ears, Tell};
use super::connect::Backoff;
use super::nodes::Nodes;
use super::scripts::Scripts;
use super::{EngineStatus, RedisSettings, Requests};
use crate::engine::Hearers;

/// Commands of one batch.
const COMMANDS_MAX: usize = 512;
/// What was published and may wait to be handed on; if it is more, the connection counts as lost.
const PUSHES_MAX: usize = 65_536;
/// Pushes that are handed on together.
const PUSHES_AT_ONCE: usize = 1_024;
/// How long to wait for a shard that has too much to hear.
const SHARD_PAUSE: Duration = Duration::from_millis(1);
/// How long taking leave may take.
const LEAVE_TIME_MAX: Duration = Duration::from_millis(500);
/// Share of their lifetime after which rooms that are followed are made to last anew.
const TOUCHES_IN_LIFETIME: u32 = 3;
/// What is told to other nodes in one batch.
const TELLS_AT_ONCE: usize = 64;

/// A room that is followed.
#[derive(Debug)]
struct Followed {
    shard: ShardId,
    /// Words up to this number are in the state that was told.
    words: u64,
}

/// What is asked of the engine.
pub(super) struct Asks {
    /// By the shards.
    pub(super) requests: mpsc::Receiver<Requests>,
    /// By the control plane.
    pub(super) tells: mpsc::Receiver<Tell>,
}

/// Everything that outlives a connection.
pub(super) struct Link {
    settings: RedisSettings,
    style: Style,
    scripts: Scripts,
    session_key: [u8; 32],
    shards: Arc<dyn Hearers>,
    status: Arc<EngineStatus>,
    nodes: Nodes,
    /// When this node last said that it lives.
    renewed: Instant,
    followed: HashMap<Arc<str>, Followed>,
    /// What other nodes say to the control plane.
    ears: Ears,
    /// What each shard is to hear next.
    outbox: Vec<Vec<Event>>,
}

/// Why a connection is used no more.
enum End {
    Lost(String),
    Stopped,
}

impl Link {
    pub(super) fn new(
        settings: RedisSettings,
        style: Style,
        scripts: Scripts,
        session_key: [u8; 32],
        shards: Arc<dyn Hearers>,
        status: Arc<EngineStatus>,
        ears: Ears,
    ) -> Self {
        let nodes = Nodes::new(style.keys.clone(), style.node, settings.lease, settings.card.clone());
        let outbox = (0..shards.count()).map(|_| Vec::new()).collect();
        let followed = HashMap::new();
        let renewed = Instant::now();
        Self { settings, style, scripts, session_key, shards, status, nodes, renewed, followed, ears, outbox }
    }

    /// Serves until it is told to stop; `tried` is dropped when it has tried to connect for the first time.
    pub(super) async fn run(mut self, tried: Sender<()>, mut asks: Asks, mut stopped: watch::Receiver<bool>) {
        let mut tried = Some(tried);
        let mut backoff = Backoff::default();
        let mut was_lost = false;
        loop {
            let end = match self.connect().await {
                Ok((mut connection, mut pushes)) => {
                    backoff.reset();
                    tracing::info!(event = "engine_connected", address = %self.settings.address, sharded = self.style.sharded);
                    self.status.up.store(true, Ordering::Relaxed);
                    tried.take();
                    if was_lost {
                        self.tell_all(&Event::Up).await;
                    }
                    let end = self.serve(&mut connection, &mut pushes, &mut asks, &mut stopped).await;
                    if let End::Stopped = end {
                        let _ = timeout(LEAVE_TIME_MAX, self.nodes.leave(&mut connection)).await;
                    }
                    end
                }
                Err(error) => End::Lost(error.to_string()),
            };
            tried.take();
            let End::Lost(reason) = end else { return };
            if self.status.up.swap(false, Ordering::Relaxed) || !was_lost {
                self.status.losses.fetch_add(1, Ordering::Relaxed);
                tracing::error!(event = "engine_lost", address = %self.settings.address, error = reason);
                self.followed.clear();
                self.nodes.forget();
                self.tell_all(&Event::Down).await;
                was_lost = true;
            }
            let pause = sleep(backoff.pause());
            if self.refuse_until(pause, &mut asks, &mut stopped).await {
                return;
            }
        }
    }

    async fn connect(&mut self) -> Result<(MultiplexedConnection, Pushes), RedisError> {
        let (sender, receiver) = mpsc::channel(PUSHES_MAX);
        let overflow = Arc::new(AtomicBool::new(false));
        let full = Arc::clone(&overflow);
        let push = move |push: PushInfo| {
            // What does not fit is missed, which is as if the connection were lost.
            sender.try_send(push).inspect_err(|_| full.store(true, Ordering::Relaxed))
        };
        let mut connection = self.settings.address.connect_with(push).await?;
        self.style.sharded = supports_shards(&mut connection).await?;
        self.scripts.load(&mut connection).await?;
        // A Redis that has forgotten everything learns it from whoever is first.
        let key = self.style.keys.session_key();
        redis::cmd("SETNX").arg(key).arg(&self.session_key[..]).exec_async(&mut connection).await?;
        let census = self.nodes.renew(&mut connection).await?;
        self.status.found(census.peers);
        self.join_cluster(&mut connection).await?;
        Ok((connection, Pushes { receiver, overflow }))
    }

    async fn serve(
        &mut self,
        connection: &mut MultiplexedConnection,
        pushes: &mut Pushes,
        asks: &mut Asks,
        stopped: &mut watch::Receiver<bool>,
    ) -> End {
        let mut lease = interval(self.nodes.interval());
        lease.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut touch = interval(Duration::from_millis(self.style.ttl_ms) / TOUCHES_IN_LIFETIME);
        touch.set_missed_tick_behavior(MissedTickBehavior::Delay);
        touch.reset();
        let mut waiting: Vec<PushInfo> = Vec::new();
        let mut asked: Vec<Requests> = Vec::new();
        let mut tells: Vec<Tell> = Vec::new();
        loop {
            let done = tokio::select! {
                biased;
                // Before all else, or under load a living node would be taken for gone.
                _ = lease.tick() => self.renew(connection).await,
                count = pushes.receiver.recv_many(&mut waiting, PUSHES_AT_ONCE) => {
                    if count == 0 { Err("the connection has ended".to_owned()) } else { self.hand_on(&mut waiting, pushes) }
                }
                count = asks.requests.recv_many(&mut asked, COMMANDS_MAX) => {
                    if count == 0 { return End::Stopped; }
                    self.ask(connection, &mut asked, pushes).await
                }
                Some(tell) = asks.tells.recv() => {
                    tells.push(tell);
                    while tells.len() < TELLS_AT_ONCE && let Ok(tell) = asks.tells.try_recv() {
                        tells.push(tell);
                    }
                    self.tell(connection, &mut tells).await
                }
                _ = touch.tick() => self.touch(connection).await,
                _ = stopped.wait_for(|stop| *stop) => return End::Stopped,
            };
            self.flush().await;
            if let Err(reason) = done {
                return End::Lost(reason);
            }
        }
    }

    /// Sends what the shards ask, and takes in the answers.
    async fn ask(
        &mut self,
        connection: &mut MultiplexedConnection,
        asked: &mut Vec<Requests>,
        pushes: &mut Pushes,
    ) -> Result<(), String> {
        let mut all =
            asked.drain(..).flat_map(|(shard, requests)| requests.into_iter().map(move |it| (shard, it)));
        let mut all = all.by_ref().peekable();
        let mut outcome = Ok(());
        while all.peek().is_some() {
            let mut batch = Batch::default();
            let mut unanswered = Vec::new();
            for (shard, request) in all.by_ref().take(COMMANDS_MAX) {
                unanswered.extend(request.unanswered().map(|event| (shard, event)));
                if let Request::Release { room } = &request {
                    self.followed.remove(room);
                }
                if outcome.is_ok() {
                    self.style.add(&mut batch, &self.scripts, shard, request);
                }
            }
            if outcome.is_ok() && !batch.is_empty() {
                outcome = self.send(connection, batch, pushes, &mut unanswered).await;
                if outcome.is_ok() && self.renewed.elapsed() >= self.nodes.interval() {
                    outcome = self.renew(connection).await;
                }
            }
            for (shard, event) in unanswered {
                self.outbox[shard.index()].push(event);
            }
        }
        outcome
    }

    /// Sends one batch; whatever is answered is no longer `unanswered`.
    async fn send(
        &mut self,
        connection: &mut MultiplexedConnection,
        batch: Batch,
        pushes: &mut Pushes,
        unanswered: &mut Vec<(ShardId, Event)>,
    ) -> Result<(), String> {
        let Batch { pipeline, expected } = batch;
        self.status.batches.fetch_add(1, Ordering::Relaxed);
        self.status.commands.fetch_add(expected.len() as u64, Ordering::Relaxed);
        let answers = connection.req_packed_commands(&pipeline, 0, expected.len()).await;
        let answers = answers.map_err(|error| error.to_string())?;
        let mut events = Vec::with_capacity(expected.len());
        let read = batch::read(expected, answers, |shard, event, words| events.push((shard, event, words)));
        let mut answers = Vec::new();
        for (shard, mut event, words) in events {
            if let Event::Opened { room, state } = &mut event {
                self.clear_dead(connection, room, state).await?;
                self.followed.insert(Arc::clone(room), Followed { shard, words: words.unwrap_or_default() });
                self.outbox[shard.index()].push(event);
            } else {
                answers.push((shard, event));
            }
        }
        // What a script told lies in front of its answer: whoever is answered has it, or will get it first.
        let mut told = Vec::new();
        while let Ok(push) = pushes.receiver.try_recv() {
            told.push(push);
        }
        let handed_on = self.hand_on(&mut told, pushes);
        let answered: HashSet<(ShardId, u64)> =
            answers.iter().filter_map(|(shard, event)| Some((*shard, event.ticket()?))).collect();
        unanswered.retain(|(shard, event)| {
            event.ticket().is_none_or(|ticket| !answered.contains(&(*shard, ticket)))
        });
        for (shard, event) in answers {
            self.outbox[shard.index()].push(event);
        }
        self.status.rooms.store(self.followed.len() as u64, Ordering::Relaxed);
        read.map_err(|error| error.to_string()).and(handed_on)
    }

    /// Hands on what was published.
    fn hand_on(&mut self, waiting: &mut Vec<PushInfo>, pushes: &Pushes) -> Result<(), String> {
        for push in waiting.drain(..) {
            match push.kind {
                PushKind::Message | PushKind::SMessage => self.on_message(push.data)?,
                PushKind::Disconnection => return Err("the connection was closed".to_owned()),
                _ => {}
            }
        }
        if pushes.overflow.load(Ordering::Relaxed) {
            return Err("more was published than could be handed on".to_owned());
        }
        Ok(())
    }

    fn on_message(&mut self, data: Vec<Value>) -> Result<(), String> {
        let Ok([Value::BulkString(channel), Value::BulkString(payload)]) = <[Value; 2]>::try_from(data)
        else {
            return Ok(());
        };
        let Ok(channel) = std::str::from_utf8(&channel) else { return Ok(()) };
        let Some(room) = self.style.keys.room_of(channel) else { return self.hear_node(channel, payload) };
        let Some((room, followed)) = self.followed.get_key_value(room) else { return Ok(()) };
        let (room, shard) = (Arc::clone(room), followed.shard);
        let event = match batch::read_told(&Bytes::from(payload)) {
            Some(Told::Entry(epoch, offset, entry)) => Event::Entry { room, epoch, offset, entry },
            Some(Told::Restarted(epoch)) => Event::Restarted { room, epoch },
            Some(Told::Word(from, number, word)) => {
                if number == 0
                    && let Some(followed) = self.followed.get_mut(&room)
                {
                    followed.words = 0;
                }
                if from == self.style.node || (number > 0 && number <= self.followed[&room].words) {
                    return Ok(());
                }
                self.nodes.see(from);
                Event::Word { room, from, word }
            }
            None => return Ok(()),
        };
        self.outbox[shard.index()].push(event);
        Ok(())
    }

    /// Gives the shards what they are to hear; whoever has too much waits, and so does everything else.
    async fn flush(&mut self) {
        for shard in 0..self.outbox.len() {
            let mut events = std::mem::take(&mut self.outbox[shard]);
            let id = ShardId(u16::try_from(shard).expect("shards are few"));
            while !events.is_empty() {
                match self.shards.hear(id, events) {
                    Ok(()) => break,
                    Err(back) => {
                        events = back;
                        sleep(SHARD_PAUSE).await;
                    }
                }
            }
        }
    }

    async fn tell_all(&mut self, event: &Event) {
        for outbox in &mut self.outbox {
            outbox.push(event.clone());
        }
        self.flush().await;
    }

    /// Answers that the engine cannot be reached, until it is time to try again; whether to stop instead.
    async fn refuse_until(
        &mut self,
        pause: tokio::time::Sleep,
        asks: &mut Asks,
        stopped: &mut watch::Receiver<bool>,
    ) -> bool {
        let mut pause = std::pin::pin!(pause);
        loop {
            tokio::select! {
                () = pause.as_mut() => return false,
                _ = stopped.wait_for(|stop| *stop) => return true,
                // Whoever waits for an answer hears that there is none.
                Some(_) = asks.tells.recv() => {}
                asked = asks.requests.recv() => {
                    let Some((shard, asked)) = asked else { return true };
                    let refused = asked.iter().filter_map(Request::unanswered);
                    self.outbox[shard.index()].extend(refused);
                    self.flush().await;
                }
            }
        }
    }
}

/// What is published on a connection, and whether it was too much.
struct Pushes {
    receiver: mpsc::Receiver<PushInfo>,
    overflow: Arc<AtomicBool>,
}

/// Whether channels can spread over a cluster: since version 7, and in Valkey.
async fn supports_shards(connection: &mut MultiplexedConnection) -> Result<bool, RedisError> {
    let known: Vec<Value> = redis::cmd("COMMAND").arg("INFO").arg("SPUBLISH").query_async(connection).await?;
    Ok(known.first().is_some_and(|command| !matches!(command, Value::Nil)))
}
