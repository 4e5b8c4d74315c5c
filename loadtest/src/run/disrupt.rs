//! Storms, churn, drains and kills: takes connections away, or lets the server do it, and brings every one back, to
//! another server where its own is gone; `command` is what rolls the server.

mod command;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use self::command::ShellCommand;
use super::count;
use super::traffic::{Ended, Traffic};
use crate::args::Kind;
use crate::measure::Latency;
use crate::net::{End, Fleet, Stage};
use crate::report::{DisruptionReport, MeasuredLatency};
use crate::settings::Settings;

/// From a failed attempt, or a close without a hint, to the next attempt; doubled with each one that fails.
const RETRY_NS: u64 = 50_000_000;
/// The longest such time.
const RETRY_MAX_NS: u64 = 1_000_000_000;
/// How often the command that rolls the server is looked at.
const COMMAND_NS: u64 = 50_000_000;

/// What happens, and who is to come back.
pub(super) struct Disruption {
    what: What,
    /// When something is done next; `u64::MAX` for never.
    strike_ns: u64,
    end_ns: u64,
    /// Connections that must have gone before it has happened: with a drain all, with a kill those of that server.
    to_go: u64,
    /// Who is to connect again, and when, the earliest first.
    reopen: BinaryHeap<Reverse<(u64, usize)>>,
    clients: Vec<Client>,
    away: u64,
    first_gone_ns: u64,
    all_back_ns: u64,
    away_time: Latency,
    command: Option<ShellCommand>,
    /// When to look at the command again.
    command_ns: u64,
    found: DisruptionReport,
}

enum What {
    Storm(f64),
    /// The interval between two that go, and who is next.
    Churn(u64, usize),
    /// The command, else the process.
    Drain(Option<String>, Option<u32>),
    /// The process, and at which of the addresses it is, if that is known.
    Kill(u32, Option<u8>),
}

#[derive(Clone, Copy, Default)]
struct Client {
    is_away: bool,
    gone_ns: u64,
    /// The server that it was at.
    lost: u8,
    failed_attempts: u32,
}

impl Disruption {
    /// What the flags ask for in a window; `None` when they ask for no disruption.
    pub(super) fn new(settings: &Settings, from_ns: u64, end_ns: u64) -> Option<Self> {
        let args = &settings.args;
        let disrupt = &args.disrupt;
        let pids = args.server_pid.as_ref().map(|pids| pids.0.as_slice()).unwrap_or_default();
        #[expect(clippy::cast_possible_truncation, reason = "the rate is above 0, and a float saturates")]
        let what = match args.kind {
            Kind::Storm => What::Storm(disrupt.storm_fraction),
            Kind::Churn => What::Churn((1e9 / disrupt.churn_rate) as u64, 0),
            Kind::Drain => What::Drain(disrupt.drain_command.clone(), pids.first().copied()),
            Kind::Kill => {
                let pid = disrupt.kill_pid?;
                let address = pids.iter().position(|watched| *watched == pid);
                What::Kill(pid, address.and_then(|address| u8::try_from(address).ok()))
            }
            _ => return None,
        };
        let after_ns = disrupt.disrupt_after.map_or(args.duration.as_ns() / 4, |after| after.as_ns());
        Some(Self {
            what,
            strike_ns: from_ns + after_ns,
            end_ns,
            to_go: if args.kind == Kind::Drain { args.connections as u64 } else { 0 },
            reopen: BinaryHeap::new(),
            clients: vec![Client::default(); args.connections],
            away: 0,
            first_gone_ns: 0,
            all_back_ns: 0,
            away_time: Latency::new(),
            command: None,
            command_ns: 0,
            found: DisruptionReport::default(),
        })
    }

    /// When [`Disruption::act`] has something to do next; `u64::MAX` for not before something happens.
    pub(super) fn due_ns(&self, fleet: &Fleet<'_>) -> u64 {
        let reopen_ns = self.reopen.peek().map_or(u64::MAX, |Reverse((due_ns, _))| *due_ns);
        self.strike_ns.min(if fleet.may_open() { reopen_ns } else { u64::MAX })
    }

    /// Does what is due, and looks after who went and who came back.
    ///
    /// # Errors
    /// When the server cannot be told to drain, or the command that should fails before anybody is away.
    pub(super) fn act(&mut self, now_ns: u64, fleet: &mut Fleet<'_>, traffic: &mut Traffic) -> Result<()> {
        // Before anybody else goes: who has just come back must be known to be there.
        for index in traffic.take_returned() {
            self.on_back(index, now_ns);
        }
        for ended in traffic.take_ended() {
            self.on_ended(&ended, now_ns, traffic);
        }
        if now_ns >= self.strike_ns {
            self.strike(now_ns, fleet, traffic)?;
        }
        if now_ns >= self.command_ns && self.found.gone == 0 {
            self.command_ns = now_ns + COMMAND_NS;
            if let Some(failure) = self.command.as_mut().and_then(ShellCommand::failure) {
                bail!("--drain-command failed: {failure}");
            }
        }
        while fleet.may_open()
            && let Some(Reverse((due_ns, index))) = self.reopen.peek().copied()
            && due_ns <= now_ns
        {
            self.reopen.pop();
            fleet.open(index, traffic.nodes.at(index), false, traffic);
        }
        Ok(())
    }

    fn strike(&mut self, now_ns: u64, fleet: &mut Fleet<'_>, traffic: &mut Traffic) -> Result<()> {
        if let What::Churn(interval_ns, next) = self.what {
            self.churn(now_ns, (interval_ns, next), fleet, traffic);
            return Ok(());
        }
        self.strike_ns = u64::MAX;
        match &self.what {
            What::Storm(fraction) => {
                let picked = traffic.clients.layout().picked(*fraction);
                for index in (0..picked.len()).filter(|index| picked[*index]) {
                    if fleet.stage(index) == Stage::Ready {
                        traffic.on_cut(index);
                        fleet.cut(index);
                        self.leave(index, traffic.nodes.at(index), now_ns);
                        self.reopen.push(Reverse((now_ns, index)));
                    }
                }
            }
            What::Churn(..) => {}
            What::Drain(Some(command), _) => self.command = Some(ShellCommand::start(command)?),
            What::Drain(None, pid) => {
                signal(pid.context("--server-pid is missing")?, Signal::TERM).context("--server-pid")?;
            }
            What::Kill(pid, address) => {
                // Even if it is unknown who is to go, somebody is.
                self.to_go = address.map_or(1, |address| traffic.nodes.open_at(usize::from(address)));
                signal(*pid, Signal::KILL).context("--kill-pid")?;
            }
        }
        Ok(())
    }

    /// All goodbyes that are due, each at its own time however late we are; one that finds nobody there to say it is not
    /// made up for.
    fn churn(
        &mut self,
        now_ns: u64,
        (interval_ns, mut next): (u64, usize),
        fleet: &mut Fleet<'_>,
        traffic: &mut Traffic,
    ) {
        let count = self.clients.len();
        let mut is_anybody_there = true;
        while self.strike_ns <= now_ns {
            let ready = (0..if is_anybody_there { count } else { 0 })
                .map(|step| (next + step) % count)
                .find(|index| fleet.stage(*index) == Stage::Ready);
            self.found.goodbyes_due += 1;
            if let Some(index) = ready {
                next = index + 1;
                traffic.on_goodbye(index);
                fleet.close(index);
                self.leave(index, traffic.nodes.at(index), now_ns);
            } else {
                is_anybody_there = false;
                self.found.goodbyes_unsaid += 1;
            }
            let due_ns = self.strike_ns.saturating_add(interval_ns);
            self.strike_ns = if due_ns < self.end_ns { due_ns } else { u64::MAX };
        }
        self.what = What::Churn(interval_ns, next);
    }

    fn leave(&mut self, index: usize, lost: u8, now_ns: u64) {
        if self.away == 0 && self.found.gone == 0 {
            self.first_gone_ns = now_ns;
        }
        self.clients[index] = Client { is_away: true, gone_ns: now_ns, lost, failed_attempts: 0 };
        self.found.gone += 1;
        self.away += 1;
    }

    fn on_back(&mut self, index: usize, now_ns: u64) {
        let client = &mut self.clients[index];
        if std::mem::take(&mut client.is_away) {
            self.away_time.record((now_ns - client.gone_ns) / 1000);
            self.found.back += 1;
            self.away -= 1;
            self.all_back_ns = now_ns;
        }
    }

    fn on_ended(&mut self, Ended { index, stage, end }: &Ended, now_ns: u64, traffic: &mut Traffic) {
        match stage {
            // The answer to a goodbye.
            Stage::Closing => {}
            Stage::Ready => {
                let lost = traffic.nodes.at(*index);
                self.leave(*index, lost, now_ns);
                let counts =
                    if self.ends(lost) { &mut self.found.closes } else { &mut traffic.counted.closes };
                count(counts, end.to_string());
            }
            _ => {
                count(&mut self.found.failed_attempts, end.to_string());
                self.clients[*index].failed_attempts += 1;
            }
        }
        let Client { lost, failed_attempts: failed, .. } = self.clients[*index];
        if *stage != Stage::Closing {
            traffic.nodes.move_on(*index, lost, failed);
        }
        let delay_ns = match end {
            End::Reconnect(_, ms) => u64::from(*ms) * 1_000_000,
            _ if *stage == Stage::Closing => 0,
            _ => (RETRY_NS << failed.min(10)).min(RETRY_MAX_NS),
        };
        self.reopen.push(Reverse((now_ns + delay_ns, *index)));
    }

    /// Whether connections to a server are ended by what happens, and not for a reason of their own.
    fn ends(&self, server: u8) -> bool {
        match self.what {
            What::Storm(_) | What::Churn(..) => false,
            What::Drain(..) => true,
            What::Kill(_, address) => {
                self.strike_ns == u64::MAX && address.is_none_or(|address| address == server)
            }
        }
    }

    /// Whether everything has happened and all are back. A drain has happened when everybody was away once, a kill when
    /// everybody was that had been there.
    pub(super) fn is_over(&self) -> bool {
        self.strike_ns == u64::MAX && self.found.gone >= self.to_go && self.away == 0
    }

    /// What was found.
    pub(super) fn report(&mut self, traffic: &Traffic) -> DisruptionReport {
        let mut found = self.found.clone();
        found.kind = match self.what {
            What::Storm(_) => "storm",
            What::Churn(..) => "churn",
            What::Drain(..) => "drain",
            What::Kill(..) => "kill",
        }
        .to_owned();
        found.never_back = self.away;
        found.never_gone = self.to_go.saturating_sub(found.gone);
        let is_timed = !matches!(self.what, What::Churn(..)) && found.gone > 0 && self.away == 0;
        found.seconds_until_all_back = is_timed.then(|| super::seconds(self.first_gone_ns, self.all_back_ns));
        found.away = MeasuredLatency::of(&self.away_time);
        found.absences = traffic.checker.absences();
        found.messages_cut_off = traffic.checker.cut_off();
        found.command_failed = self.command.as_mut().and_then(ShellCommand::failure);
        found
    }
}

fn signal(pid: u32, signal: Signal) -> Result<()> {
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw).context("no process has this id")?;
    kill_process(process, signal).with_context(|| format!("sending {signal:?} to {pid}"))
}
