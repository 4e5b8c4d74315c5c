//! What a delivery costs in system calls, counted by strace: most of a gateway's work is the kernel's (architecture §2).
//!
//! Bounds are of counts, which do not depend on how fast the machine is: a slow one takes longer for the same calls.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::support::raw::{FIN, RawSocket, TEXT, masked};
use crate::support::{DEADLINE, Server, TemporaryFile, eventually};

/// How long a member waits for a frame.
const PATIENCE: Duration = DEADLINE.saturating_mul(4);
const ROOMS: usize = 10;
const MEMBERS: usize = 10;
/// Messages a second of each room: 2,000 over all.
const RATE: u32 = 200;
/// Calls a second that come with time and not with messages: the shard's ticks and sleeps, the acceptor's look at its
/// queue. Where they count beside messages they are left out, since a busy machine takes longer for these.
const IDLE_CALLS: f64 = 250.0;
const IDLE_RECEIVES: f64 = 50.0;
const CALLS_OF_READING: [&str; 2] = ["recvfrom", "read"];
const CALLS_OF_SENDING: [&str; 4] = ["sendto", "sendmsg", "write", "writev"];

/// A gateway of one shard under strace.
struct Traced {
    server: Server,
    log: TemporaryFile,
}

/// System calls of a stretch of time, by name.
struct Calls {
    by_name: BTreeMap<String, u64>,
    lasted: Duration,
}

impl Traced {
    fn start(name: &str) -> Self {
        let log = TemporaryFile::with(&format!("strace-{name}"), "");
        let found = Command::new("strace").arg("--version").output();
        assert!(found.is_ok_and(|it| it.status.success()), "strace is needed; scripts/setup installs it");
        let mut command = Command::new("strace");
        // With -D the gateway, not strace, is our child.
        command.args(["-D", "-f", "-qq", "-ttt", "-s", "0", "-e", "signal=none", "-o", log.path()]);
        command.arg(env!("CARGO_BIN_EXE_roomcast"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--shards", "1"]);
        command.args(["--auth", "off", "--limits", "off"]);
        // A slow machine must not get pings counted, or read in place of messages.
        command.args(["--ping-interval", "10m", "--ping-timeout", "20m"]);
        Self { server: Server::spawn(command), log }
    }

    /// What the whole process calls while something is done.
    fn calls_during(&self, act: impl FnOnce()) -> Calls {
        let began = unix_time();
        act();
        let ended = unix_time();
        let text = eventually("the trace reaches beyond the end", || {
            let text = std::fs::read_to_string(self.log.path()).ok()?;
            let (complete, _) = text.rsplit_once('\n')?;
            let last = complete.rsplit('\n').find_map(call)?.0;
            (last > ended).then(|| complete.to_owned())
        });
        let mut by_name = BTreeMap::new();
        for (_, name) in text.lines().filter_map(call).filter(|(at, _)| (began..ended).contains(at)) {
            *by_name.entry(name.to_owned()).or_default() += 1;
        }
        Calls { by_name, lasted: ended - began }
    }

    fn room(&self, name: &str) -> Vec<RawSocket> {
        let join = json!({"event": "room:join", "data": {"roomId": name}, "requestId": 1}).to_string();
        let mut members: Vec<RawSocket> =
            (0..MEMBERS).map(|_| RawSocket::upgrade(self.server.address, "/ws")).collect();
        for member in &mut members {
            // Under strace, a machine with much else to do is slower by far.
            member.stream.set_read_timeout(Some(PATIENCE)).expect("settable");
            member.send(FIN | TEXT, join.as_bytes());
            expect(member, "room:joined");
        }
        members
    }
}

impl Calls {
    fn of(&self, names: &[&str]) -> f64 {
        names.iter().filter_map(|name| self.by_name.get(*name)).sum::<u64>() as f64
    }

    fn all(&self) -> f64 {
        self.by_name.values().sum::<u64>() as f64
    }

    /// Receives that did not come with time.
    fn receives(&self) -> f64 {
        self.of(&CALLS_OF_READING) - IDLE_RECEIVES * self.lasted.as_secs_f64()
    }

    /// Calls beside those, and which did not come with time either.
    fn others(&self) -> f64 {
        let others = self.all() - self.of(&CALLS_OF_READING) - self.of(&CALLS_OF_SENDING);
        others - IDLE_CALLS * self.lasted.as_secs_f64()
    }

    /// Fails when there were more of something than the bound allows; says all that there was.
    fn check(&self, what: &str, found: f64, most: f64) {
        eprintln!("{what}: {found:.3}, at most {most}");
        let Self { by_name, lasted } = self;
        assert!(found <= most, "{what}: {found:.3}, more than {most}; all calls in {lasted:?}: {by_name:?}");
    }
}

/// The moment and the name of a call that begins in this line of the trace.
fn call(line: &str) -> Option<(Duration, &str)> {
    let mut words = line.split_whitespace().skip(1);
    let (seconds, micros) = words.next()?.split_once('.')?;
    let at = Duration::from_secs(seconds.parse().ok()?) + Duration::from_micros(micros.parse().ok()?);
    let (name, _) = words.next()?.split_once('(')?;
    Some((at, name))
}

fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970")
}

fn expect(member: &mut RawSocket, event: &str) {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if String::from_utf8_lossy(&member.expect(TEXT)).contains(&format!("\"event\":\"{event}\"")) {
            return;
        }
    }
    panic!("no {event}");
}

/// Sends messages in batches of one write each, at the rate, and reads every delivery before the next.
fn talk(room: &str, members: &mut [RawSocket], batches: u32, batch: usize) {
    let message = json!({"event": "message:send", "data": {"roomId": room, "content": "x".repeat(128)}});
    let written = masked(FIN | TEXT, message.to_string().as_bytes()).repeat(batch);
    let began = Instant::now();
    for number in 0..batches {
        let due = began + Duration::from_secs(1) * number / RATE;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        members[number as usize % MEMBERS].send_bytes(&written);
        for member in &mut *members {
            (0..batch).for_each(|_| expect(member, "message:received"));
        }
    }
}

/// All rooms talk at once.
fn talk_everywhere(gateway: &Traced, batches: u32, batch: usize) -> Calls {
    let names: Vec<String> = (0..ROOMS).map(|number| format!("room-{number}")).collect();
    let mut rooms: Vec<_> = names.iter().map(|name| gateway.room(name)).collect();
    gateway.calls_during(|| {
        std::thread::scope(|scope| {
            for (name, members) in names.iter().zip(&mut rooms) {
                scope.spawn(move || talk(name, members, batches, batch));
            }
        });
    })
}

#[test]
fn a_delivery_is_one_send_and_little_beside() {
    let gateway = Traced::start("single");
    let batches = 2 * RATE;
    let calls = talk_everywhere(&gateway, batches, 1);
    let messages = f64::from(batches) * ROOMS as f64;
    let deliveries = messages * MEMBERS as f64;
    calls.check("sends a delivery", calls.of(&CALLS_OF_SENDING) / deliveries, 1.0 + 0.01);
    calls.check("receives a message", calls.receives() / messages, 1.1);
    calls.check("other calls a message", calls.others() / messages, 1.2);
}

#[test]
fn frames_that_come_up_together_leave_in_one_send() {
    const BATCH: usize = 10;
    let gateway = Traced::start("batch");
    let batches = RATE / 2;
    let calls = talk_everywhere(&gateway, batches, BATCH);
    let messages = f64::from(batches) * (ROOMS * BATCH) as f64;
    let deliveries = messages * MEMBERS as f64;
    calls.check("sends a delivery", calls.of(&CALLS_OF_SENDING) / deliveries, 0.15);
    calls.check("receives a message", calls.receives() / messages, 0.15);
    calls.check("other calls a message", calls.others() / messages, 0.2);
}

#[test]
fn a_gateway_with_idle_members_sleeps() {
    let gateway = Traced::start("idle");
    let _members = gateway.room("quiet");
    let calls = gateway.calls_during(|| std::thread::sleep(Duration::from_secs(3)));
    calls.check("calls a second", calls.all() / calls.lasted.as_secs_f64(), IDLE_CALLS);
}
