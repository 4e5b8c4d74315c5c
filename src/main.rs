//! Roomcast: a sharded WebSocket gateway. This file assembles; what happens is in the modules.
//!
//! Arguments → settings → log → data plane and control plane until a signal → drain → exit code.

mod acceptor;
mod args;
mod backend;
mod check;
mod control;
mod emitter;
mod engine;
mod events;
mod exit;
mod host;
mod listeners;
mod logging;
mod serve;
mod settings;
mod store;
mod token;
mod trust;

use std::io::Write;
use std::process::ExitCode;

use args::Subcommands;
use exit::Failure;
use settings::Settings;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    exit::report(run())
}

fn run() -> Result<(), Failure> {
    let Some(cli) = args::parse()? else {
        return Ok(());
    };
    match cli.command {
        Subcommands::Serve(typed) => start(settings::serve(typed).map_err(Failure::settings)?),
        Subcommands::Dev(typed) => start(settings::dev(typed).map_err(Failure::settings)?),
        Subcommands::Token(args) => token::run(&args),
        Subcommands::Check(typed) => check::run(&settings::check(typed).map_err(Failure::settings)?),
        Subcommands::Config(typed) => print(&settings::config_file(typed).map_err(Failure::settings)?),
        Subcommands::Openapi => print(control::openapi::pretty()),
        Subcommands::Events(args) => print(&events::render(args.form())),
    }
}

fn print(text: &str) -> Result<(), Failure> {
    std::io::stdout().write_all(text.as_bytes()).map_err(Failure::other)
}

fn start(settings: Settings) -> Result<(), Failure> {
    let _written_at_exit = logging::init(&settings.log);
    for warning in &settings.warnings {
        tracing::warn!(event = "settings", "{warning}");
    }
    if let Err(error) = host::raise_descriptor_limit() {
        tracing::warn!(event = "settings", %error, "the descriptor limit cannot be raised");
    }
    serve::run(settings)
}
