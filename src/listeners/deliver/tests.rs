//! Deliveries to a receiver that does what it is told, in virtual time.

use std::collections::VecDeque;

use super::super::event::Event;
use super::super::event::tests::event;
use super::super::template::Template;
use super::*;

/// A receiver that answers what it was told to, and delivers what nothing was said of.
#[derive(Debug, Clone, Default)]
pub(in crate::listeners) struct Receiver {
    verdicts: Arc<Mutex<VecDeque<Verdict>>>,
    /// Ids of the events of each attempt.
    attempts: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Receiver {
    pub(in crate::listeners) fn take(&self, entries: &[Entry]) -> Verdict {
        let ids = entries.iter().map(|entry| entry.event.id.to_string()).collect();
        self.attempts.lock().expect("not poisoned").push(ids);
        self.verdicts.lock().expect("not poisoned").pop_front().unwrap_or(Verdict::Delivered)
    }

    fn told(verdicts: impl IntoIterator<Item = Verdict>) -> Self {
        let verdicts = Arc::new(Mutex::new(verdicts.into_iter().collect()));
        Self { verdicts, ..Self::default() }
    }

    fn attempts(&self) -> Vec<Vec<String>> {
        self.attempts.lock().expect("not poisoned").clone()
    }
}

struct Setting {
    deliverer: Arc<Deliverer>,
    outbox: Arc<Outbox>,
    numbers: Arc<Numbers>,
    receiver: Receiver,
}

const LIMITS: LaneLimits =
    LaneLimits { events_max: 100, bytes_max: 1 << 20, batch_max: 4, batch_wait_ms: 10 };

fn setting(verdicts: impl IntoIterator<Item = Verdict>, limits: LaneLimits) -> Setting {
    let receiver = Receiver::told(verdicts);
    let (outbox, _) = Outbox::open(None);
    let (outbox, numbers) = (Arc::new(outbox), Arc::new(Numbers::default()));
    let settings = DeliverySettings {
        key: Some(Template::parse("{data.key}").expect("a template")),
        concurrency: 2,
        time_max_ms: 1_000,
        attempts_max: 3,
        age_max_ms: 60_000,
        pause_ms: (100, 1_000),
    };
    let transport = Transport::Test(receiver.clone());
    let (listener, of_listener) = ("hook".into(), Arc::clone(&outbox));
    let deliverer = Deliverer::new(listener, limits, transport, settings, of_listener, Arc::clone(&numbers));
    Setting { deliverer: Arc::new(deliverer), outbox, numbers, receiver }
}

impl Setting {
    fn queue(&self, id: &str, key: &str) {
        let data = format!(r#"{{"key":"{key}"}}"#);
        let event = Arc::new(Event { id: id.into(), ..event("a", &data) });
        let (entry, _) = self.outbox.put("hook", &event, unix_ms()).expect("room");
        self.deliverer.queue(entry);
    }

    /// Delivers until nothing waits.
    async fn settle(&self) {
        let running = tokio::spawn(Arc::clone(&self.deliverer).run());
        while self.deliverer.load().0 > 0 {
            sleep(Duration::from_millis(10)).await;
        }
        running.abort();
    }

    fn dead(&self) -> Vec<(String, String)> {
        let letters = self.outbox.page(0, 100).0;
        letters.iter().map(|letter| (letter.event.id.to_string(), letter.reason.to_string())).collect()
    }
}

fn failed() -> Verdict {
    Verdict::Failed("500".to_owned())
}

fn refused() -> Verdict {
    Verdict::Refused("400".to_owned())
}

#[tokio::test(start_paused = true)]
async fn what_fails_comes_again_before_what_is_behind_it() {
    let setting = setting([failed(), failed()], LaneLimits { batch_max: 1, ..LIMITS });
    for id in ["1", "2", "3"] {
        setting.queue(id, "a");
    }
    setting.settle().await;
    assert_eq!(setting.receiver.attempts(), [["1"], ["1"], ["1"], ["2"], ["3"]]);
    assert_eq!((setting.numbers.delivered.get(), setting.numbers.retries.get()), (3, 2));
    assert!(setting.dead().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_key_that_fails_does_not_stop_another() {
    let setting = setting([failed()], LaneLimits { batch_max: 1, ..LIMITS });
    setting.queue("1", "a");
    setting.queue("2", "a");
    setting.queue("3", "b");
    setting.settle().await;
    assert_eq!(setting.receiver.attempts(), [["1"], ["3"], ["1"], ["2"]]);
}

#[tokio::test(start_paused = true)]
async fn one_event_that_is_refused_takes_no_others_with_it() {
    let setting = setting([refused(), Verdict::Delivered, refused()], LIMITS);
    for id in ["1", "2", "3"] {
        setting.queue(id, "a");
    }
    setting.settle().await;
    assert_eq!(setting.receiver.attempts(), [vec!["1", "2", "3"], vec!["1"], vec!["2"], vec!["3"]]);
    assert_eq!(setting.dead(), [("2".to_owned(), "400".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn what_never_arrives_is_a_dead_letter() {
    let setting = setting([failed(), failed(), failed()], LIMITS);
    setting.queue("1", "a");
    setting.settle().await;
    assert_eq!(setting.dead(), [("1".to_owned(), "500".to_owned())]);
    let old = self::setting([failed()], LIMITS);
    let event = Arc::new(event("a", "{}"));
    let (entry, _) = old.outbox.put("hook", &event, unix_ms() - 60_001).expect("room");
    old.deliverer.queue(entry);
    old.settle().await;
    assert_eq!(old.receiver.attempts().len(), 1, "it is too old for another attempt");
    assert_eq!(old.dead().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_finds_no_room_is_a_dead_letter() {
    let setting = setting([], LaneLimits { events_max: 2, ..LIMITS });
    for id in ["1", "2", "3"] {
        setting.queue(id, "a");
    }
    setting.settle().await;
    assert_eq!(setting.dead(), [("3".to_owned(), NO_ROOM.to_owned())]);
    assert_eq!((setting.numbers.dropped.get(), setting.numbers.delivered.get()), (1, 2));
}

#[test]
fn pauses_grow_up_to_the_longest() {
    let check = |attempts, longest_ms: u64| {
        let pause = pause(attempts, (100, 1_000));
        let longest = Duration::from_millis(longest_ms);
        assert!(pause <= longest && pause >= longest / 2, "{attempts}: {pause:?}");
    };
    check(1, 100);
    check(2, 200);
    check(5, 1_000);
    check(u32::MAX, 1_000);
}
