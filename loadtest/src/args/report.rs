//! What was typed after `report`: reports of the past, to be shown again or as one.

use std::path::PathBuf;

use clap::Args;

/// Shows reports that runs wrote with --json; several are taken for findings of one run by several generators.
#[derive(Debug, Clone, Args)]
pub(crate) struct ReportArgs {
    /// Reports in JSON.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// File to write the report of them all to, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,

    /// File to write it to as one self-contained page with charts.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}
