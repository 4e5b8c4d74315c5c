//! `roomcast-loadtest`: an open-loop load generator that checks every delivery it causes.
//!
//! One thread, one epoll loop. Messages leave at evenly spaced intended times whether or not the server keeps up,
//! and latency counts from the intended time, so a stalled server cannot hide its stall (no coordinated omission).
//!
//! `args` (what was typed, or stands in a scenario's file) → `settings` (what it means) → `run` (phases; who sends when: `scenario`) → `report`.
//! Around them `capacity` judges searches, `plan` says what a machine holds, and `agents` makes several generators one.
//! Below them `net` moves frames and `measure` judges them; neither knows the other.

mod agents;
mod args;
mod capacity;
mod clock;
mod measure;
mod net;
mod plan;
mod progress;
mod report;
mod run;
mod scenario;
mod settings;
mod token;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::agents::Agent;
use crate::args::{AgentArgs, Args, Command, CompareArgs, PlanArgs, Refusal, ReportArgs};
use crate::plan::Plan;
use crate::report::{Report, Side};
use crate::run::Interruption;
use crate::settings::Settings;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code of wrong settings: `EX_USAGE` of sysexits.
const EXIT_USAGE: u8 = 64;

fn main() -> ExitCode {
    let cli = match args::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(Refusal::Words(error)) => {
            // Nothing sensible is left to do when the terminal is gone.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS };
        }
        Err(Refusal::Scenario(text)) => {
            progress::say(&format!("roomcast-loadtest: {text}"));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match cli.command {
        Some(Command::Report(args)) => show(&args),
        Some(Command::Compare(args)) => compare(&args),
        Some(Command::Scenarios { name }) => scenarios(name.as_deref()),
        Some(Command::Plan(args)) => plan(args),
        Some(Command::Agent(args)) => agent(&args),
        None => load(cli.run),
    }
}

/// Reports of the past, as their exit code.
fn show(args: &ReportArgs) -> ExitCode {
    let reports: anyhow::Result<Vec<_>> = args.files.iter().map(|file| Report::read(file)).collect();
    let reports = match reports {
        Ok(reports) => reports,
        Err(error) => return usage(&error),
    };
    finish(report::merge(reports).publish(args.json.as_deref(), args.html.as_deref()).map(|()| true))
}

/// What changed from one side to the others, as an exit code.
fn compare(args: &CompareArgs) -> ExitCode {
    let side = |files: &[PathBuf]| {
        let reports = files.iter().map(|file| Report::read(file)).collect::<anyhow::Result<Vec<_>>>()?;
        anyhow::Ok(Side::new(files.iter().map(|file| file.display().to_string()).collect(), reports))
    };
    let (base, news) = match args.files.split_first() {
        Some((first, [])) => {
            return usage(&anyhow::anyhow!("{}: nothing to compare it with", first.display()));
        }
        Some((first, others)) => (std::slice::from_ref(first), others.chunks(1).collect()),
        None => (args.base.as_slice(), vec![args.new.as_slice()]),
    };
    let sides = side(base)
        .and_then(|base| Ok((base, news.into_iter().map(side).collect::<anyhow::Result<Vec<_>>>()?)));
    let (base, news) = match sides {
        Ok(sides) => sides,
        Err(error) => return usage(&error),
    };
    let comparisons: Vec<_> = news.iter().map(|new| report::compare(&base, new)).collect();
    let text = if args.json {
        serde_json::to_string_pretty(&comparisons).expect("comparisons are plain values") + "\n"
    } else {
        comparisons.iter().map(report::Comparison::table).collect::<Vec<_>>().join("\n")
    };
    // A reader that wants no more is no failure.
    let _ = std::io::stdout().write_all(text.as_bytes());
    let failed =
        args.fail_on.is_some_and(|fail_on| comparisons.iter().any(|change| change.is_worse(fail_on.by)));
    finish(Ok(!failed))
}

/// The list of shipped scenarios, or the file of one.
fn scenarios(name: Option<&str>) -> ExitCode {
    let text = match name {
        None => args::list_shipped(),
        Some(name) => match args::shipped().find(|(shipped, _)| *shipped == name) {
            Some((_, text)) => text.to_owned(),
            None => {
                let there_are = args::list_shipped();
                progress::say(&format!(
                    "roomcast-loadtest: no scenario {name:?} is shipped; there are\n{there_are}"
                ));
                return ExitCode::from(EXIT_USAGE);
            }
        },
    };
    // A reader that wants no more is no failure.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// A part of somebody else's run, as its exit code.
fn agent(args: &AgentArgs) -> ExitCode {
    match Agent::from_args(args) {
        Ok(agent) => finish(agent.serve().map(|()| true)),
        Err(error) => usage(&error),
    }
}

/// A statement of what the server holds, as its exit code.
fn plan(args: PlanArgs) -> ExitCode {
    let files = (args.json.clone(), args.html.clone());
    let plan = Plan::from_args(args).and_then(|plan| {
        report::try_files(files.0.as_deref(), files.1.as_deref())?;
        Ok(plan)
    });
    match plan {
        Ok(plan) => finish(plan.run()),
        Err(error) => usage(&error),
    }
}

/// One run, as its exit code.
fn load(args: Args) -> ExitCode {
    let agents = args.agents.agents.clone();
    let prepare = |settings: &Settings| match &agents {
        Some(agents) => agents::check(settings, agents),
        None => run::prepare(settings),
    };
    let settings = match Settings::from_args(args).and_then(|settings| prepare(&settings).map(|()| settings))
    {
        Ok(settings) => settings,
        Err(error) => return usage(&error),
    };
    let (json, html) = (settings.args.json.as_deref(), settings.args.html.as_deref());
    if let Err(error) = report::try_files(json, html) {
        return usage(&error);
    }
    let report = Interruption::on_signals().and_then(|interruption| match &agents {
        Some(agents) => agents::run(&settings, agents, &interruption),
        None => run::run(&settings, &interruption),
    });
    finish(report.and_then(|report| report.publish(json, html).map(|()| report.passed())))
}

/// Says that what was typed makes no sense.
fn usage(error: &anyhow::Error) -> ExitCode {
    progress::say(&format!("roomcast-loadtest: {error:#}"));
    ExitCode::from(EXIT_USAGE)
}

/// The exit code of what passed, failed, or could not be done.
fn finish(passed: anyhow::Result<bool>) -> ExitCode {
    match passed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            progress::say(&format!("roomcast-loadtest: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
