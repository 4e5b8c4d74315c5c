//! How the process ends: one error type that carries its exit code.

use std::fmt;
use std::process::ExitCode;

/// Exit codes, after `sysexits.h` where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// Anything that has no code of its own.
    Other = 1,
    /// A setting is unknown, unreadable or contradicts another (EX_USAGE).
    Settings = 64,
    /// An address is in use, or the kernel offers no io_uring (EX_UNAVAILABLE).
    Unavailable = 69,
}

/// Why the process ends other than well: an exit code, and what to tell the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    code: Code,
    message: String,
}

impl Failure {
    /// A setting is wrong; `message` names it.
    pub(crate) fn settings(message: impl fmt::Display) -> Self {
        Self { code: Code::Settings, message: message.to_string() }
    }

    /// Something that the gateway needs of the host is not to be had; `message` says which.
    pub(crate) fn unavailable(message: impl fmt::Display) -> Self {
        Self { code: Code::Unavailable, message: message.to_string() }
    }

    /// Any other reason.
    pub(crate) fn other(message: impl fmt::Display) -> Self {
        Self { code: Code::Other, message: message.to_string() }
    }

    /// The code that a script sees.
    pub(crate) fn code(&self) -> Code {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Tells the operator on standard error, and turns the result of a run into the process's exit code.
pub(crate) fn report(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("roomcast: {failure}");
            ExitCode::from(failure.code() as u8)
        }
    }
}
