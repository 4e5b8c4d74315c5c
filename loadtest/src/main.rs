//! `roomcast-loadtest`: an open-loop load generator that checks every delivery it causes.
//!
//! One thread, one epoll loop. Messages leave at evenly spaced intended times whether or not the server keeps up,
//! and latency counts from the intended time, so a stalled server cannot hide its stall (no coordinated omission).
//!
//! `args` (what was typed) → `settings` (what it means) → `run` (phases; who sends when: `scenario`) → `report`.
//! Below them `net` moves frames and `measure` judges them; neither knows the other.

mod args;
mod capacity;
mod clock;
mod measure;
mod net;
mod progress;
mod report;
mod run;
mod scenario;
mod settings;
mod token;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Args, Cli};
use crate::settings::Settings;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code of wrong settings: `EX_USAGE` of sysexits.
const EXIT_USAGE: u8 = 64;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing sensible is left to do when the terminal is gone.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match cli.command {
        Some(command) => match command {},
        None => load(cli.run),
    }
}

/// One run, as its exit code.
fn load(args: Args) -> ExitCode {
    let prepared = Settings::from_args(args).and_then(|settings| run::prepare(&settings).map(|()| settings));
    let settings = match prepared {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("roomcast-loadtest: {error:#}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match run::run(&settings).and_then(|report| report.publish(&settings).map(|()| report.passed())) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("roomcast-loadtest: {error:#}");
            ExitCode::FAILURE
        }
    }
}
