//! Reports as files: written by a run, read again to be shown, merged or compared.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::{FORMAT, Report};

/// Longer files are no reports: the longest of ours has a few megabytes.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// What is looked at before anything else.
#[derive(Deserialize)]
struct Version {
    format: Option<u32>,
}

impl Report {
    /// Reads what [`Report::write`] wrote.
    ///
    /// # Errors
    /// Names the file, and what is wrong with it.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let name = || file.display().to_string();
        let length = fs::metadata(file).with_context(name)?.len();
        if length > FILE_BYTES_MAX {
            bail!("{}: {length} bytes are no report", name());
        }
        parse(&fs::read(file).with_context(name)?).with_context(name)
    }

    /// Writes the whole report as JSON.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let mut json = serde_json::to_vec_pretty(self).context("encoding the report")?;
        json.push(b'\n');
        fs::write(file, json).with_context(|| format!("writing {}", file.display()))
    }
}

/// Opens the files that are to be written at the end, so that no run is made in vain. Nothing changes: what they hold
/// stays until then, and one that was not there is gone again, lest a run that fails leave an empty report.
///
/// # Errors
/// Names the flag whose file cannot be written.
pub(crate) fn try_files(json: Option<&Path>, html: Option<&Path>) -> Result<()> {
    for (flag, file) in [("--json", json), ("--html", html)] {
        let Some(file) = file else { continue };
        try_file(file).with_context(|| format!("{flag} {}", file.display()))?;
    }
    Ok(())
}

fn try_file(file: &Path) -> io::Result<()> {
    let kind = fs::metadata(file).map(|metadata| metadata.file_type());
    if kind.as_ref().is_ok_and(|kind| !kind.is_file() && !kind.is_dir()) {
        // Whoever reads a pipe would take our closing it for the report's end.
        return Ok(());
    }
    OpenOptions::new().create(true).append(true).open(file)?;
    match kind {
        Ok(_) => Ok(()),
        // It may be what a link points to.
        Err(_) => fs::remove_file(fs::canonicalize(file)?),
    }
}

fn parse(json: &[u8]) -> Result<Report> {
    let version: Version = serde_json::from_slice(json).context("no report in JSON")?;
    match version.format {
        Some(FORMAT) => serde_json::from_slice(json).context("a damaged report"),
        Some(other) => bail!("a report of format {other}; this version reads format {FORMAT}"),
        None => bail!("JSON, but no report: it has no \"format\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trying_files_changes_none() {
        let file = std::env::temp_dir().join(format!("roomcast-loadtest-try-{}", std::process::id()));
        try_files(Some(&file), None).expect("it can be written");
        assert!(!file.exists());
        fs::write(&file, "kept").expect("it can be written");
        try_files(None, Some(&file)).expect("it still can");
        assert_eq!(fs::read(&file).expect("it is there"), b"kept");
        fs::remove_file(&file).expect("it is ours");
        for (json, html, flag) in [
            (Some("/nonexistent/r.json"), None, "--json /nonexistent/r.json"),
            (None, Some("/proc"), "--html /proc"),
        ] {
            let error = try_files(json.map(Path::new), html.map(Path::new)).expect_err(flag);
            assert!(format!("{error:#}").starts_with(flag), "{error:#}");
        }
        try_files(Some(Path::new("/dev/null")), None).expect("no file, and not tried");
    }

    #[test]
    fn what_is_no_report_is_told_apart() {
        for (json, said) in [
            ("", "no report in JSON"),
            ("[]", "no report in JSON"),
            ("{}", "no \"format\""),
            (r#"{"format":7}"#, "format 7"),
            (r#"{"format":1}"#, "damaged"),
        ] {
            let error = parse(json.as_bytes()).err().map(|error| format!("{error:#}")).unwrap_or_default();
            assert!(error.contains(said), "{json}: {error}");
        }
        let error = Report::read(Path::new("/nonexistent/report.json")).expect_err("there is none");
        assert!(format!("{error:#}").contains("/nonexistent/report.json"));
    }
}
