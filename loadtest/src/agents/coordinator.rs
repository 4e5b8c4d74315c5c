//! The coordinator: starts or finds the agents, keeps them in step, and makes one report of theirs.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};
use rand::TryRng as _;
use rand::rngs::SysRng;

use super::message::{self, FromAgent, PROOF_BYTES_MAX, TEXT_BYTES_MAX, ToAgent, VERSION};
use super::{proof, share};
use crate::args::Agents;
use crate::clock;
use crate::measure::RoomDigest;
use crate::progress::{Progress, Snapshot};
use crate::report::{Report, merge};
use crate::run::Interruption;
use crate::settings::Settings;

/// Time that an agent has to answer when it is connected to, and to take what it is told.
const LINE_TIMEOUT: Duration = Duration::from_secs(5);
/// Silence after which an agent counts as gone; it tells every second that it is there.
const SILENCE_MAX: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(100);
/// Messages of agents that may wait; they wait on the line beyond it.
const INBOX_MAX: usize = 1024;

/// Runs what the settings say on all agents, and judges what they found together.
///
/// # Errors
/// Names the agent that cannot be reached, is gone, or says what makes no sense; or the flag that does not go with others.
pub(crate) fn run(settings: &Settings, agents: &Agents, interruption: &Interruption) -> Result<Report> {
    let run = SysRng.try_next_u32().context("choosing a number for the run")?;
    let (inbox_in, inbox) = sync_channel(INBOX_MAX);
    let mut links = Vec::new();
    let secret = match (agents, &settings.args.agents.agents_secret_file) {
        (Agents::Remote(_), Some(file)) => proof::read_secret("--agents-secret-file", file)?,
        _ => Vec::new(),
    };
    match agents {
        Agents::Local(count) => {
            for number in 0..*count {
                links.push(Link::spawn(number, &inbox_in).with_context(|| format!("agent {number}"))?);
            }
        }
        Agents::Remote(addresses) => {
            for (number, address) in addresses.iter().enumerate() {
                let link = Link::connect(number, address, &secret, &inbox_in);
                links.push(link.with_context(|| format!("agent {address}"))?);
            }
        }
    }
    let of = links.len();
    for (number, link) in links.iter_mut().enumerate() {
        let flags = share::flags(&settings.args, settings.mode, number, of);
        link.tell(&ToAgent::Prepare { flags, secret: settings.secret.clone(), number, of, run })?;
    }
    let mut crew = Crew {
        standings: links.iter().map(|_| Standing::new()).collect(),
        links,
        inbox,
        progress: Progress::new(settings.args.quiet),
        has_begun: false,
        has_ended: false,
        is_stopped: false,
    };
    crew.lead(interruption)?;
    crew.progress.finish();
    Ok(crew.report(settings))
}

/// Whether these settings can be shared, before anything is started.
///
/// # Errors
/// Names the flag that does not go with `--agents`.
pub(crate) fn check(settings: &Settings, agents: &Agents) -> Result<()> {
    share::check(settings, agents)?;
    match &settings.args.agents.agents_secret_file {
        Some(file) => proof::read_secret("--agents-secret-file", file).map(|_| ()),
        None => Ok(()),
    }
}

/// One agent, and the line to it.
struct Link {
    name: String,
    writer: Box<dyn Write + Send>,
    child: Option<Child>,
    socket: Option<TcpStream>,
}

/// How far an agent has come.
struct Standing {
    heard: Instant,
    is_connected: bool,
    sent: Option<Vec<u64>>,
    snapshot: Snapshot,
    found: Option<(Report, Vec<RoomDigest>)>,
}

type Heard = (usize, Result<FromAgent, String>);

impl Link {
    /// Another process of this program.
    fn spawn(number: usize, inbox: &SyncSender<Heard>) -> Result<Self> {
        let program = std::env::current_exe().context("finding this program")?;
        let mut command = Command::new(program);
        command.args(["agent", "--stdio"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ROOMCAST_LOADTEST_") {
                command.env_remove(name);
            }
        }
        // A Ctrl-C is the coordinator's: it tells the others.
        let mut child = command.process_group(0).spawn().context("starting it")?;
        let (Some(writer), Some(mut reader)) = (child.stdin.take(), child.stdout.take()) else {
            unreachable!("both were asked for");
        };
        let mut link =
            Self { name: number.to_string(), writer: Box::new(writer), child: Some(child), socket: None };
        link.greet(&mut reader, &[])?;
        listen(number, reader, inbox.clone());
        Ok(link)
    }

    /// A process that waits at `address`.
    fn connect(number: usize, address: &str, secret: &[u8], inbox: &SyncSender<Heard>) -> Result<Self> {
        let resolved =
            address.to_socket_addrs().context("resolving it")?.next().context("it has no address")?;
        let socket = TcpStream::connect_timeout(&resolved, LINE_TIMEOUT).context("connecting to it")?;
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(LINE_TIMEOUT))?;
        socket.set_read_timeout(Some(LINE_TIMEOUT))?;
        let mut reader = socket.try_clone()?;
        let writer = Box::new(socket.try_clone()?);
        let mut link = Self { name: address.to_owned(), writer, child: None, socket: Some(socket) };
        link.greet(&mut reader, secret)?;
        reader.set_read_timeout(None)?;
        listen(number, reader, inbox.clone());
        Ok(link)
    }

    /// Hears the agent's first word, and proves what it wants proved.
    fn greet(&mut self, reader: &mut impl Read, secret: &[u8]) -> Result<()> {
        let challenge = message::read(reader, PROOF_BYTES_MAX).context("waiting for its first word")?;
        let FromAgent::Challenge { version, nonce } = challenge else { bail!("it is no agent") };
        if version != VERSION {
            bail!("it is of version {version}, this is {VERSION}");
        }
        let Some(nonce) = nonce else { return Ok(()) };
        self.tell(&ToAgent::Prove { proof: proof::prove(secret, &nonce)? })?;
        match message::read(reader, PROOF_BYTES_MAX).context("waiting for its welcome")? {
            FromAgent::Welcome => Ok(()),
            FromAgent::Failed { text } => bail!(text),
            _ => bail!("it said something out of place"),
        }
    }

    fn tell(&mut self, message: &ToAgent) -> Result<()> {
        message::write(&mut self.writer, message)
            .with_context(|| format!("agent {}: telling it something", self.name))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        if let Some(socket) = &self.socket {
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// Hands over what an agent says, until it is gone.
fn listen(number: usize, mut reader: impl Read + Send + 'static, inbox: SyncSender<Heard>) {
    thread::spawn(move || {
        loop {
            let heard = message::read(&mut reader, TEXT_BYTES_MAX).map_err(|error| error.to_string());
            let is_last = heard.is_err();
            if inbox.send((number, heard)).is_err() || is_last {
                return;
            }
        }
    });
}

impl Standing {
    fn new() -> Self {
        let snapshot = Snapshot { connections: 0, sent: 0, deliveries: 0, p99_ms: None };
        Self { heard: Instant::now(), is_connected: false, sent: None, snapshot, found: None }
    }
}

struct Crew {
    links: Vec<Link>,
    standings: Vec<Standing>,
    inbox: Receiver<Heard>,
    progress: Progress,
    has_begun: bool,
    has_ended: bool,
    is_stopped: bool,
}

impl Crew {
    /// Keeps all in step until all have told what they found.
    fn lead(&mut self, interruption: &Interruption) -> Result<()> {
        while self.standings.iter().any(|standing| standing.found.is_none()) {
            if interruption.is_wanted() && !self.is_stopped {
                self.is_stopped = true;
                self.tell_all(&ToAgent::Stop);
            }
            match self.inbox.recv_timeout(POLL) {
                Ok((number, heard)) => self.on_heard(number, heard)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!("all agents are gone"),
            }
            self.check_silence()?;
            if !self.has_begun && self.standings.iter().all(|standing| standing.is_connected) {
                self.has_begun = true;
                self.tell_all(&ToAgent::Go);
            }
            if !self.has_ended && self.standings.iter().all(|standing| standing.sent.is_some()) {
                self.has_ended = true;
                let rooms = self.all_sent()?;
                self.tell_all(&ToAgent::AllSent { rooms });
            }
            let standings = &self.standings;
            self.progress.show(clock::now_ns(), || together(standings));
        }
        Ok(())
    }

    fn on_heard(&mut self, number: usize, heard: Result<FromAgent, String>) -> Result<()> {
        let (standing, name) = (&mut self.standings[number], &self.links[number].name);
        standing.heard = Instant::now();
        match heard {
            Ok(FromAgent::Alive) => {}
            Ok(FromAgent::Connected) => standing.is_connected = true,
            Ok(FromAgent::Progress { connections, sent, deliveries, p99_ms }) => {
                standing.snapshot = Snapshot { connections, sent, deliveries, p99_ms };
            }
            Ok(FromAgent::Sent { rooms }) => standing.sent = Some(rooms),
            Ok(FromAgent::Done { report, digests }) => standing.found = Some((*report, digests)),
            Ok(FromAgent::Failed { text }) => bail!("agent {name}: {text}"),
            Ok(FromAgent::Challenge { .. } | FromAgent::Welcome) => {
                bail!("agent {name}: it said something out of place")
            }
            // After its last word it may go.
            Err(_) if standing.found.is_some() => {}
            Err(text) => bail!("agent {name} is gone: {text}"),
        }
        Ok(())
    }

    fn check_silence(&self) -> Result<()> {
        for (link, standing) in self.links.iter().zip(&self.standings) {
            if standing.found.is_none() && standing.heard.elapsed() > SILENCE_MAX {
                bail!("agent {}: silent for {} s", link.name, SILENCE_MAX.as_secs());
            }
        }
        Ok(())
    }

    fn tell_all(&mut self, message: &ToAgent) {
        let present =
            self.links.iter_mut().zip(&self.standings).filter(|(_, standing)| standing.found.is_none());
        for (link, _) in present {
            // Whoever is gone is heard of by whoever listens to it: it may have said its last word.
            let _ = link.tell(message);
        }
    }

    fn all_sent(&self) -> Result<Vec<u64>> {
        let mut rooms = Vec::new();
        for (number, standing) in self.standings.iter().enumerate() {
            let sent = standing.sent.as_deref().unwrap_or_default();
            if number == 0 {
                rooms = sent.to_vec();
            } else if sent.len() != rooms.len() {
                return Err(anyhow!(
                    "agent {}: it has {} rooms, not {}",
                    self.links[number].name,
                    sent.len(),
                    rooms.len()
                ));
            } else {
                rooms.iter_mut().zip(sent).for_each(|(sum, sent)| *sum = sum.saturating_add(*sent));
            }
        }
        Ok(rooms)
    }

    fn report(self, settings: &Settings) -> Report {
        let (mut reports, digests): (Vec<_>, Vec<_>) =
            self.standings.into_iter().filter_map(|standing| standing.found).unzip();
        // What nobody has seen is known to each of them.
        for report in reports.iter_mut().skip(1) {
            if let Some(traffic) = &mut report.traffic {
                traffic.messages_unseen = 0;
            }
        }
        let mut report = merge(reports);
        if let Some(traffic) = &mut report.traffic {
            traffic.faults.order += disagreements(&digests);
        }
        report.describe(settings);
        report.judge(&settings.args);
        report
    }
}

fn together(standings: &[Standing]) -> Snapshot {
    let sum = |of: fn(&Snapshot) -> u64| standings.iter().map(|standing| of(&standing.snapshot)).sum();
    Snapshot {
        connections: sum(|snapshot| snapshot.connections),
        sent: sum(|snapshot| snapshot.sent),
        deliveries: sum(|snapshot| snapshot.deliveries),
        p99_ms: standings.iter().filter_map(|standing| standing.snapshot.p99_ms).reduce(f64::max),
    }
}

/// Rooms in which agents saw the same number of messages, but not the same ones at the same places. Where the numbers
/// differ something was lost, which is counted already.
fn disagreements(digests: &[Vec<RoomDigest>]) -> u64 {
    let rooms = digests.iter().map(Vec::len).max().unwrap_or(0);
    let disagree = |room: &usize| {
        let of_room: Vec<_> = digests.iter().filter_map(|digests| digests.get(*room)).collect();
        let counts: BTreeSet<_> = of_room.iter().map(|digest| digest.messages).collect();
        let orders: BTreeSet<_> = of_room.iter().map(|digest| digest.order).collect();
        counts.len() == 1 && orders.len() > 1
    };
    (0..rooms).filter(disagree).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_that_saw_other_orders_disagree() {
        let of = |rooms: &[(u64, u64)]| -> Vec<RoomDigest> {
            rooms.iter().map(|(messages, order)| RoomDigest { messages: *messages, order: *order }).collect()
        };
        let first = of(&[(5, 77), (6, 88), (0, 0)]);
        assert_eq!(disagreements(&[first.clone(), of(&[(5, 77), (6, 88), (0, 0)])]), 0);
        assert_eq!(disagreements(&[first.clone(), of(&[(5, 78), (6, 88), (0, 0)]), first.clone()]), 1);
        assert_eq!(disagreements(&[first, of(&[(4, 78), (6, 89), (0, 0)])]), 1, "four of five is a loss");
        assert_eq!(disagreements(&[Vec::new(), Vec::new()]), 0);
    }
}
