//! Questions to shards that are played.

use std::sync::atomic::AtomicUsize;

use roomcast_shards::mesh::item::ReplyTo;
use tokio::task::yield_now;

use super::*;

/// Shards that keep what they are asked, up to a bound.
#[derive(Default)]
struct Played {
    room: AtomicUsize,
    asked: Mutex<Vec<Ask>>,
    rung: AtomicUsize,
}

impl Owners for Played {
    fn request(&self, shard: Option<ShardId>, ask: Box<Ask>) -> Result<ShardId, Box<Ask>> {
        let mut asked = self.asked.lock().unwrap();
        if asked.len() == self.room.load(Ordering::Relaxed) {
            return Err(ask);
        }
        asked.push(*ask);
        Ok(shard.unwrap_or(ShardId(0)))
    }

    fn ring(&self, _: ShardId) {
        self.rung.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> usize {
        1
    }
}

fn play(room: usize, test: impl AsyncFnOnce(Arc<DataPlane>, Arc<Played>, mpsc::Sender<Vec<ApiAnswer>>)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.unwrap().block_on(async {
        let shards = Arc::new(Played { room: room.into(), ..Played::default() });
        let owners = Arc::clone(&shards) as Arc<dyn Owners>;
        let answer_time_max = Duration::from_millis(50);
        let data_plane = Arc::new(DataPlane { answer_time_max, ..DataPlane::new(owners) });
        let (sender, answers) = mpsc::channel(8);
        let (hearing, ringing) = (Arc::clone(&data_plane), Arc::clone(&data_plane));
        tokio::spawn(async move { hearing.hear(answers).await });
        tokio::spawn(async move { ringing.ring().await });
        test(data_plane, shards, sender).await;
    });
}

fn token(ask: &Ask) -> u64 {
    let ReplyTo::Api(token) = ask.caller.reply else { panic!("the question is not the control plane's") };
    token
}

async fn ask(data_plane: Arc<DataPlane>) -> Answer {
    let operation = Operation::Contains { user: "alice".into() };
    data_plane.ask("r".into(), operation).await
}

#[test]
fn questions_are_answered_in_any_order_and_share_a_ring() {
    play(8, async |data_plane, shards, sender| {
        let asking: Vec<_> = (0..3).map(|_| tokio::spawn(ask(Arc::clone(&data_plane)))).collect();
        yield_now().await;
        yield_now().await;
        assert_eq!(shards.rung.load(Ordering::Relaxed), 1, "one ring for what was ready together");
        assert_eq!(data_plane.load(), (3, 0));
        let tokens: Vec<_> = shards.asked.lock().unwrap().iter().map(token).collect();
        let answer = |index: usize, contains| (tokens[index], Ok(Outcome::Contains(contains)));
        sender.send(vec![answer(2, true), answer(0, false)]).await.unwrap();
        let denied = CommandError::room_denied();
        sender.send(vec![(tokens[1], Err(denied.clone()))]).await.unwrap();
        let mut answers = Vec::new();
        for asked in asking {
            answers.push(asked.await.unwrap());
        }
        assert!(matches!(answers[0], Ok(Outcome::Contains(false))));
        assert_eq!(answers[1].as_ref().unwrap_err(), &denied);
        assert!(matches!(answers[2], Ok(Outcome::Contains(true))));
        assert_eq!(data_plane.load(), (0, 0));
    });
}

#[test]
fn a_full_queue_and_a_shard_that_does_not_answer_are_server_errors() {
    play(1, async |data_plane, shards, sender| {
        let silent = tokio::spawn(ask(Arc::clone(&data_plane)));
        yield_now().await;
        let full = ask(Arc::clone(&data_plane)).await.unwrap_err();
        assert_eq!(
            (full.code, &*full.message),
            (ErrorCode::ServerError, "too many requests wait for a shard")
        );
        assert_eq!(data_plane.load(), (1, 1), "what was not asked holds no place");
        let late = silent.await.unwrap().unwrap_err();
        assert_eq!((late.code, &*late.message), (ErrorCode::ServerError, "a shard does not answer"));
        assert_eq!(data_plane.load(), (1, 1), "it may still be answered");
        let token = token(&shards.asked.lock().unwrap()[0]);
        sender.send(vec![(token, Ok(Outcome::Interested)), (token, Ok(Outcome::Interested))]).await.unwrap();
        sender.send(Vec::new()).await.unwrap();
        yield_now().await;
        assert_eq!(data_plane.load(), (0, 1));
    });
}

#[test]
fn no_more_questions_than_places() {
    let mut waiting = Waiting::default();
    let enter = |waiting: &mut Waiting| waiting.enter(oneshot::channel().0);
    let first = enter(&mut waiting).unwrap();
    for _ in 1..QUESTIONS_MAX {
        enter(&mut waiting).unwrap();
    }
    assert_eq!(enter(&mut waiting), None);
    assert!(waiting.leave(first).is_some() && waiting.leave(first).is_none());
    let second = enter(&mut waiting).unwrap();
    assert!(waiting.leave(first).is_none(), "the place is another's");
    assert!(waiting.leave(second).is_some());
}
