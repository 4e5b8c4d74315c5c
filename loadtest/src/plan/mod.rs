//! `plan`: runs a short ladder against a server and says in plain sentences what it holds, what ends first, and what
//! would move that.
//!
//! `host` and `listener` read, the runs measure, both become `facts`; `limits` and `statement` are pure.

mod facts;
mod host;
mod limits;
#[cfg(test)]
mod limits_tests;
mod listener;
mod page;
mod statement;

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Parser as _;
use serde::Serialize;

pub(crate) use facts::{Ladder, Rung};
pub(crate) use host::{available_bytes, descriptors, listen_overflows};

use self::facts::Facts;
use self::statement::Statement;
use crate::args::{Cli, PlanArgs};
use crate::capacity::RampReport;
use crate::progress;
use crate::run::{self, Interruption};
use crate::settings::Settings;

/// Rooms of the first search.
const ROOMS: usize = 20;
/// Time to find out whether there is a server at all.
const REACH_TIMEOUT: Duration = Duration::from_secs(5);
/// Deliveries a second that the searches begin with.
const DELIVERIES_FROM: u64 = 10_000;

/// A plan whose settings are fine.
pub(crate) struct Plan {
    args: PlanArgs,
    idle: Settings,
    rooms: Settings,
    broadcast: Settings,
    server_pid: Option<u32>,
    server_found: String,
}

/// What `--json` holds.
#[derive(Serialize)]
struct Output<'a> {
    facts: &'a Facts,
    statement: &'a Statement,
}

impl Plan {
    /// Judges the flags, and looks for the server's process.
    ///
    /// # Errors
    /// Names the flag that is wrong, and why.
    pub(crate) fn from_args(args: PlanArgs) -> Result<Self> {
        let targets = settings(&args, None, &["--idle".to_owned()])?.targets;
        ensure!(targets.len() == 1, "--url {}: a plan is of one server", args.url);
        let target = targets[0].address;
        let (server_pid, server_found) = match args.server_pid {
            Some(pid) => (Some(pid), "--server-pid names it".to_owned()),
            None => match listener::find(target) {
                Ok(pid) => (Some(pid), format!("it listens at {target}")),
                Err(reason) => (None, reason),
            },
        };
        let count = |flag: &str, number: usize| [flag.to_owned(), number.to_string()];
        let idle = args.idle_connections;
        let shape =
            |connections, rooms| [count("--connections", connections), count("--rooms", rooms)].concat();
        let search = |connections: usize, rooms: usize, members: usize| {
            let members = members.max(1) as u64;
            let to = (args.deliveries_max / members).max(1);
            let from = (DELIVERIES_FROM / members).clamp(1, to);
            let ramp = [
                "--ramp-what=rate".to_owned(),
                format!("--max-p99={}", args.max_p99),
                format!("--ramp-from={from}"),
                format!("--ramp-to={to}"),
                format!("--ramp-window={}", args.window),
                "--ramp-settle=300ms".to_owned(),
                "--ramp-resolution=0.1".to_owned(),
                format!("--repeats={}", args.repeats),
            ];
            settings(&args, server_pid, &[shape(connections, rooms), ramp.to_vec()].concat())
        };
        Ok(Self {
            idle: settings(
                &args,
                server_pid,
                &[shape(idle, idle.div_ceil(10)), vec!["--idle".to_owned()]].concat(),
            )
            .context("--idle-connections")?,
            rooms: search(args.room_size.saturating_mul(ROOMS), ROOMS, args.room_size)
                .context("--room-size")?,
            broadcast: search(args.broadcast_size, 1, args.broadcast_size).context("--broadcast-size")?,
            server_pid,
            server_found,
            args,
        })
    }

    /// Runs the ladder and prints the statement. Whether the server held anything at all.
    ///
    /// # Errors
    /// When nothing listens, signals or the epoll set fail, or a file cannot be written.
    pub(crate) fn run(&self) -> Result<bool> {
        let interruption = Interruption::on_signals()?;
        let target = self.idle.targets[0].address;
        TcpStream::connect_timeout(&target, REACH_TIMEOUT).with_context(|| format!("reaching {target}"))?;
        let mut facts = Facts {
            machine: host::machine(),
            kernel: host::kernel(),
            server: self.server_pid.map(host::server),
            server_found: self.server_found.clone(),
            room_size: self.args.room_size,
            broadcast_size: self.args.broadcast_size,
            ..Facts::default()
        };
        self.say(&format!("idle connections, up to {}", self.args.idle_connections));
        facts.ladder = run::idle_ladder(&self.idle, &interruption)?;
        facts.rooms = self.search("rooms", &self.rooms, &mut facts, &interruption)?;
        facts.broadcast = self.search("one room", &self.broadcast, &mut facts, &interruption)?;
        let statement = Statement::new(&facts);
        if let Some(file) = &self.args.json {
            let output = Output { facts: &facts, statement: &statement };
            let mut json = serde_json::to_vec_pretty(&output).context("encoding the plan")?;
            json.push(b'\n');
            fs::write(file, json).with_context(|| format!("--json {}", file.display()))?;
        }
        if let Some(file) = &self.args.html {
            fs::write(file, page::render(&facts, &statement))
                .with_context(|| format!("--html {}", file.display()))?;
        }
        // The files come first: who reads the statement may be gone.
        std::io::stdout().write_all(statement.text().as_bytes()).context("writing the statement")?;
        let is_whole = !interruption.is_wanted();
        if !is_whole {
            progress::say("plan: interrupted before its end");
        }
        let holds = |ramp: &Option<RampReport>| ramp.as_ref().is_some_and(|ramp| ramp.answer.is_some());
        Ok(is_whole && facts.ladder.connections() > 0 && holds(&facts.rooms) && holds(&facts.broadcast))
    }

    /// One search; none when nobody can connect, or the user wants no more.
    fn search(
        &self,
        name: &str,
        settings: &Settings,
        facts: &mut Facts,
        interruption: &Interruption,
    ) -> Result<Option<RampReport>> {
        if facts.ladder.connections() == 0 || interruption.is_wanted() {
            return Ok(None);
        }
        let connections = settings.args.connections;
        self.say(&format!("deliveries to {connections} connections in {name}"));
        run::prepare(settings)?;
        let report = run::run(settings, interruption)?;
        for (code, count) in &report.errors {
            *facts.errors.entry(code.clone()).or_default() += count;
        }
        Ok(report.ramp)
    }

    fn say(&self, line: &str) {
        if !self.args.quiet {
            progress::say(&format!("plan: {line}"));
        }
    }
}

/// The settings of one part, from the flags that one would have typed for it.
fn settings(args: &PlanArgs, server_pid: Option<u32>, flags: &[String]) -> Result<Settings> {
    let mut words = vec!["roomcast-loadtest".to_owned(), format!("--url={}", args.url)];
    words.extend(server_pid.map(|pid| format!("--server-pid={pid}")));
    words.extend(args.secret_file.as_ref().map(|file| format!("--secret-file={}", file.display())));
    words.extend(args.cpu.map(|cpu| format!("--cpu={cpu}")));
    words.extend(args.quiet.then(|| "--quiet".to_owned()));
    words.push("--grace=2s".to_owned());
    words.extend(flags.iter().cloned());
    Settings::from_args(Cli::try_parse_from(words)?.run)
}
