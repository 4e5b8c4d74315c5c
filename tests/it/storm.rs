//! A reconnect storm: everybody's sockets are cut at once and everybody comes back at once, as when a load balancer
//! restarts (protocol §4, §5). Nobody may be seen to have gone, and nobody may miss anything or get it twice.
//!
//! `ROOMCAST_STORM_USERS` says how many users there are, with three devices each; without it there are few, so that the
//! suite stays quick. The time and the CPU that a return takes are printed; `-- --nocapture` shows them.

mod devices;
mod grid;
mod watchers;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde_json::json;

use devices::{Absent, Device, Returned, assert_recovered};
use grid::{ACCOUNT_USERS, all_rooms, in_parallel};
use watchers::{Speaker, Watcher};

use crate::support::{Client, QUIET, Server, eventually, raise_descriptor_limit};

const USERS_DEFAULT: usize = 100;
const DEVICES: usize = 3;
/// Messages that come into each room while everybody comes back.
const INTERJECTIONS_MAX: usize = 10;
/// What tells of somebody who comes or goes.
const EDGES: [&str; 5] =
    ["presence:changed", "user:online", "user:offline", "room:member-joined", "room:member-left"];

/// The server and those who stay.
struct Stage {
    server: Server,
    shards: usize,
    users: usize,
    watchers: Vec<Watcher>,
    speaker: Speaker,
}

impl Stage {
    fn new(shards: usize, users: usize) -> Self {
        let rooms_max = all_rooms(users).count().to_string();
        let server = Server::builder()
            .shards(shards)
            .with(&["--presence-grace", "30s", "--max-rooms", &rooms_max])
            // Nobody is too late because this machine is busy, and no ping comes but those that ask for progress.
            .with(&["--handshake-timeout", "5m", "--auth-timeout", "5m"])
            .with(&["--ping-interval", "10m", "--ping-timeout", "20m"])
            .start();
        let speaker = Speaker::new(&server, users);
        let watchers = vec![
            Watcher::of_room(&server, users, 0, 0),
            Watcher::of_room(&server, users, users - 1, 1),
            Watcher::of_account(&server, users, users / 4),
            Watcher::of_everybody(&server, users, users / 2),
            Watcher::of_users(&server, users, users * 3 / 4),
        ];
        let mut stage = Self { server, shards, users, watchers, speaker };
        for _ in 0..2 {
            stage.speaker.client.expect_event("room:member-joined");
        }
        stage
    }

    /// Everybody comes for the first time, the devices of a user on different threads.
    fn admit(&mut self) -> Vec<Device> {
        let everybody: Vec<usize> = (0..DEVICES).flat_map(|_| 0..self.users).collect();
        let devices = in_parallel(everybody, |users| {
            let mut devices: Vec<Device> =
                users.into_iter().map(|user| Device::connect(&self.server, user)).collect();
            let requests: Vec<_> =
                devices.iter_mut().map(|device| device.request_session(self.users)).collect();
            devices.into_iter().zip(requests).map(|(device, requests)| device.enter(&requests)).collect()
        });
        for watcher in &mut self.watchers {
            watcher.expect_everybody();
        }
        for _ in 0..2 * self.users {
            self.speaker.client.expect_event("room:member-joined");
        }
        devices
    }

    /// Everybody is cut off and comes back; `talking` goes on meanwhile or not.
    #[expect(clippy::print_stdout, reason = "the figures are for whoever asks to see a test's output")]
    fn storm(&mut self, devices: Vec<Device>, talking: bool) -> Vec<Device> {
        let Self { server, shards, users, watchers, speaker } = self;
        let (users, count) = (*users, devices.len());
        let first = speaker.said + 1;
        let (absent, sockets): (Vec<Absent>, Vec<Client>) = devices
            .into_iter()
            .map(|Device { user, session, client }| (Absent::new(server, user, session), client))
            .unzip();
        drop(sockets);
        // One message before the gateway can have noticed everybody's end, and one behind that.
        speaker.speak();
        eventually("all sessions are put aside", || {
            let stats = speaker.client.call("connection:stats", json!({}));
            (stats["parked"] == count).then_some(())
        });
        for watcher in watchers.iter_mut() {
            watcher.assert_all_within_grace();
        }
        // Long enough for the gateway to tell that somebody has gone, if it were to.
        watchers[0].client.stays_open_for(QUIET);
        speaker.speak();
        let missed = usize::try_from(speaker.said + 1 - first).expect("few");

        let (began, cpu_before) = (Instant::now(), server.cpu_time());
        let is_over = AtomicBool::new(!talking);
        let back = std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..INTERJECTIONS_MAX {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    speaker.speak();
                }
            });
            let back = in_parallel(absent, Absent::come_back);
            is_over.store(true, Ordering::Relaxed);
            back
        });
        let (took, cpu) = (began.elapsed(), server.cpu_time() - cpu_before);
        let refused = back.iter().filter(|returned| returned.refused).count();
        println!(
            "{shards} shards, {users} users{}: {count} devices were back in {took:.2?} ({refused} at the second try), \
             with {cpu:.0?} of the server's CPU, {:.0?} each",
            if talking { " while there was talk" } else { "" },
            cpu / u32::try_from(count).expect("few"),
        );

        speaker.speak();
        let said = speaker.said;
        in_parallel(back, |back| {
            let check = |Returned { mut device, first: recovered, .. }| {
                assert_recovered(&recovered, device.user, users, missed, talking);
                device.expect_all(Some(&recovered), users, first, said);
                device
            };
            let mut devices: Vec<Device> = back.into_iter().map(check).collect();
            Device::settle(&mut devices);
            devices
        })
    }

    /// Nobody who stays hears of anybody who comes or goes.
    fn assert_silence(&mut self) {
        let watchers = self.watchers.iter_mut().map(|watcher| &mut watcher.client);
        for client in watchers.chain([&mut self.speaker.client]) {
            client.ping();
            client.arrived("message:received");
            for edge in EDGES {
                let heard = client.arrived(edge);
                assert!(heard.is_empty(), "{} times {edge}, such as {}", heard.len(), heard[0].raw);
            }
        }
    }
}

#[test]
fn everybody_is_cut_off_and_comes_back_at_once_unseen_and_with_all_that_was_missed() {
    raise_descriptor_limit();
    let users = std::env::var("ROOMCAST_STORM_USERS")
        .map_or(USERS_DEFAULT, |users| users.parse().expect("ROOMCAST_STORM_USERS is a number"));
    assert!(users >= 4 * ACCOUNT_USERS, "the watchers' accounts would not be different ones");
    for shards in [1, 2] {
        let mut stage = Stage::new(shards, users);
        let devices = stage.admit();
        stage.speaker.speak();
        let mut devices = in_parallel(devices, |mut devices| {
            devices.iter_mut().for_each(|device| device.expect_all(None, users, 1, 1));
            Device::settle(&mut devices);
            devices
        });
        stage.assert_silence();
        for talking in [false, true] {
            devices = stage.storm(devices, talking);
            stage.assert_silence();
        }
    }
}
