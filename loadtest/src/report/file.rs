//! Reports as files: written by a run, read again to be shown, merged or compared.

use std::fs;
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
