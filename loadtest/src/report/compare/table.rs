//! A comparison as people read it.

use super::{Change, Comparison, Verdict};

const HEADS: [&str; 6] = ["", "base", "new", "ratio", "95 % interval", ""];

/// The sides, a line for each figure, and what to bear in mind.
pub(super) fn render(comparison: &Comparison) -> String {
    let Comparison { base, new, changes, warnings } = comparison;
    let mut text = format!("base  {}\nnew   {}\n\n", base.join(", "), new.join(", "));
    let rows: Vec<[String; 6]> =
        std::iter::once(HEADS.map(str::to_owned)).chain(changes.iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..HEADS.len()).map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            0 | 5 => format!("{cell:width$}"),
            _ => format!("{cell:>width$}"),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    if changes.is_empty() {
        text.push_str("nothing that both sides have\n");
    }
    for warning in warnings {
        text.push_str(&format!("WARNING  {warning}\n"));
    }
    text
}

fn row(change: &Change) -> [String; 6] {
    let verdict = match change.verdict {
        Verdict::Better => "better",
        Verdict::Worse => "worse",
        Verdict::WithinNoise => "within noise",
        Verdict::TooFewSamples => "too few samples to tell",
    };
    [
        change.name.to_owned(),
        change.shown.0.clone(),
        change.shown.1.clone(),
        change.ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.3}")),
        change.interval.map_or_else(|| "–".to_owned(), |(low, high)| format!("{low:.3} – {high:.3}")),
        verdict.to_owned(),
    ]
}
