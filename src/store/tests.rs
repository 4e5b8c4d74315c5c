use std::path::Path;

use roomcast_shards::durable::{Batch, Record, Space};
use roomcast_shards::id::ShardId;
use roomcast_shards::rim::StoreSink;

use super::*;

/// A directory that is gone with its test.
pub(super) struct Directory {
    pub(super) path: PathBuf,
}

impl Directory {
    pub(super) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("roomcast-store-{:016x}", rand::random::<u64>()));
        std::fs::create_dir(&path).unwrap();
        Self { path }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn settings(dir: &Path, durability: Durability) -> StoreSettings {
    StoreSettings {
        dir: dir.to_owned(),
        durability,
        commit_interval: Duration::from_millis(5),
        bytes_max: 1 << 30,
        queue_bytes_max: 1 << 20,
    }
}

fn open(dir: &Path, durability: Durability) -> Result<(Store, Saved, Secrets), StoreError> {
    Store::open(settings(dir, durability), &HistoryLimits::default())
}

/// As if it had been killed: what the file says is not taken back.
fn kill(dir: &Path, store: Store) {
    let state = std::fs::read(dir.join(state::NAME)).unwrap();
    store.close();
    std::fs::write(dir.join(state::NAME), state).unwrap();
}

fn wait(handle: &Handle, written: Written) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(handle.kept(written));
}

#[test]
fn what_was_put_is_there_after_a_restart() {
    let dir = Directory::new();
    let (store, _, secrets) = open(&dir.path, Durability::Batch).unwrap();
    let handle = store.handle();
    handle.put(Space::Outbox, "a", "1").unwrap();
    handle.put(Space::Outbox, "b", "2").unwrap();
    let last = handle.remove(Space::Outbox, "a");
    wait(&handle, last);
    store.close();
    let (store, _, again) = open(&dir.path, Durability::Batch).unwrap();
    assert_eq!(store.handle().load(Space::Outbox), [("b".into(), "2".into())]);
    assert_eq!(store.handle().get(Space::Outbox, "b"), Some("2".into()));
    assert_eq!(again, secrets);
    store.close();
}

#[test]
fn a_store_is_one_process_s() {
    let dir = Directory::new();
    let (store, ..) = open(&dir.path, Durability::Batch).unwrap();
    let refused = open(&dir.path, Durability::Batch).map(|_| ()).unwrap_err();
    let expected = format!("another process uses this store (process {})", std::process::id());
    assert!(refused.to_string().contains(&expected), "{refused}");
    store.close();
    open(&dir.path, Durability::Batch).unwrap().0.close();
}

#[test]
fn without_a_goodbye_an_async_store_begins_new_epochs() {
    let dir = Directory::new();
    for durability in [Durability::Batch, Durability::Async] {
        let (store, _, secrets) = open(&dir.path, durability).unwrap();
        kill(&dir.path, store);
        let (store, _, again) = open(&dir.path, Durability::Batch).unwrap();
        store.close();
        assert_eq!(again.epoch_seeds == secrets.epoch_seeds, durability == Durability::Batch);
        assert_eq!(again.session_key, secrets.session_key);
    }
}

#[test]
fn a_log_without_its_state_is_left_alone() {
    let dir = Directory::new();
    open(&dir.path, Durability::Batch).unwrap().0.close();
    std::fs::remove_file(dir.path.join(state::NAME)).unwrap();
    assert!(matches!(open(&dir.path, Durability::Batch), Err(StoreError::Foreign { .. })));
}

#[test]
fn damage_is_no_torn_end() {
    let dir = Directory::new();
    let (store, ..) = open(&dir.path, Durability::Batch).unwrap();
    let handle = store.handle();
    for number in 0..3 {
        let written = handle.put(Space::Outbox, format!("key {number}"), "value").unwrap();
        wait(&handle, written);
    }
    kill(&dir.path, store);
    let path = segment::path_of(&dir.path, 1);
    let bytes = std::fs::read(&path).unwrap();
    let mut spoilt = bytes.clone();
    spoilt[20] ^= 1;
    std::fs::write(&path, &spoilt).unwrap();
    assert!(matches!(open(&dir.path, Durability::Batch), Err(StoreError::Damaged { at: 0, .. })));
    std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
    let (store, ..) = open(&dir.path, Durability::Batch).unwrap();
    assert_eq!(store.handle().load(Space::Outbox).len(), 2, "the last was never acknowledged");
    store.close();
}

#[test]
fn empty_segments_of_earlier_versions_are_believed_once() {
    for condition in [Condition::Clean, Condition::Batch, Condition::Lost] {
        let dir = Directory::new();
        let (store, ..) = open(&dir.path, Durability::Batch).unwrap();
        let last = store.handle().put(Space::Outbox, "a", "1").unwrap();
        wait(&store.handle(), last);
        store.close();
        std::fs::write(segment::path_of(&dir.path, 2), "").unwrap();
        std::fs::rename(segment::path_of(&dir.path, 1), segment::path_of(&dir.path, 3)).unwrap();
        std::fs::write(segment::path_of(&dir.path, 4), "").unwrap();
        let state = state::read(&dir.path).unwrap().unwrap();
        state::StateFile::open(&dir.path, state).unwrap().set(1, condition, None).unwrap();
        for _ in 0..2 {
            let (store, ..) = open(&dir.path, Durability::Batch).unwrap();
            assert_eq!(store.handle().load(Space::Outbox), [("a".into(), "1".into())]);
            store.close();
        }
        let sizes = segment::list(&dir.path).unwrap();
        assert!(sizes.iter().rev().skip(1).all(|(_, bytes)| *bytes > 0), "{condition:?}: {sizes:?}");
        std::fs::write(segment::path_of(&dir.path, 2), "").unwrap();
        assert!(
            matches!(open(&dir.path, Durability::Batch), Err(StoreError::Missing { .. })),
            "{condition:?}"
        );
    }
}

#[test]
fn what_waits_is_bounded_and_counted() {
    let dir = Directory::new();
    let (store, ..) = open(&dir.path, Durability::Batch).unwrap();
    let record =
        || Record::Value { space: Space::Outbox, key: "k".into(), value: Some(vec![0; 3 << 20].into()) };
    let sink = store.queue.clone();
    sink.sender.send(Message::Values(Batch::default())).unwrap();
    let batch = Batch { number: 1, bytes: record().cost(), records: vec![record()] };
    assert!(!StoreSink::is_full(&sink));
    sink.waiting.fetch_add(batch.bytes, std::sync::atomic::Ordering::Relaxed);
    assert!(StoreSink::is_full(&sink));
    sink.sender.send(Message::Values(batch)).unwrap();
    store.close();
    assert!(!StoreSink::is_full(&sink));
    let _ = ShardId(0);
}
