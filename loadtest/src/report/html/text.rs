//! Numbers as people read them, and texts as HTML takes them.

const KIB: f64 = 1024.0;

/// A text that is nothing but text wherever it stands in the page.
pub(in crate::report) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // Control characters are in no name that we know, and in no page either.
            c if c.is_control() && c != '\n' => escaped.push('\u{FFFD}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// What a number on an axis, or in a sentence, is a number of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::report) enum Unit {
    Plain,
    PerSecond,
    Milliseconds,
    /// 1 is one core.
    Share,
    Bytes,
}

impl Unit {
    /// A value, with three significant digits or the whole number.
    pub(in crate::report) fn show(self, value: f64) -> String {
        match self {
            Self::Plain => number(value),
            Self::PerSecond => format!("{}/s", number(value)),
            Self::Milliseconds => milliseconds(value),
            Self::Share => format!("{} %", digits(value * 100.0)),
            Self::Bytes => bytes(value),
        }
    }

    /// The value of a tick: short.
    pub(in crate::report) fn tick(self, value: f64) -> String {
        match self {
            Self::Plain | Self::PerSecond => short(value),
            Self::Milliseconds | Self::Share | Self::Bytes => self.show(value),
        }
    }
}

/// A number with its thousands set apart; with digits behind the point only when it is small.
pub(in crate::report) fn number(value: f64) -> String {
    if value.abs() < 1000.0 {
        return digits(value);
    }
    let whole = format!("{:.0}", value.abs());
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push('\u{202F}');
        }
        grouped.push(digit);
    }
    if value < 0.0 { format!("\u{2212}{grouped}") } else { grouped }
}

/// Three significant digits, without zeros at the end.
fn digits(value: f64) -> String {
    let decimals = match value.abs() {
        0.0 => 0,
        ..0.01 => 4,
        ..0.1 => 3,
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

fn short(value: f64) -> String {
    match value.abs() {
        1e9.. => format!("{}G", digits(value / 1e9)),
        1e6.. => format!("{}M", digits(value / 1e6)),
        1e3.. => format!("{}k", digits(value / 1e3)),
        _ => digits(value),
    }
}

fn milliseconds(ms: f64) -> String {
    match ms.abs() {
        0.0 => "0".to_owned(),
        ..0.9995 => format!("{} µs", digits(ms * 1e3)),
        ..999.5 => format!("{} ms", digits(ms)),
        _ => format!("{} s", digits(ms / 1e3)),
    }
}

fn bytes(bytes: f64) -> String {
    let (unit, name) = match bytes.abs() {
        ..1024.0 => (1.0, "B"),
        ..1_048_576.0 => (KIB, "KiB"),
        ..1_073_741_824.0 => (KIB * KIB, "MiB"),
        _ => (KIB * KIB * KIB, "GiB"),
    };
    format!("{} {name}", digits(bytes / unit))
}

/// A time in the run: seconds, or minutes and hours once there are such.
pub(in crate::report) fn clock(seconds: f64) -> String {
    if seconds < 120.0 {
        return format!("{} s", digits(seconds));
    }
    #[expect(clippy::cast_possible_truncation, reason = "a run is shorter than a year")]
    let whole = seconds.round() as i64;
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_become_markup() {
        assert_eq!(escape("<b a='1'>&\"\u{1}"), "&lt;b a=&#39;1&#39;&gt;&amp;&quot;\u{FFFD}");
    }

    #[test]
    fn numbers_have_three_digits_and_their_unit() {
        let shown = [
            (Unit::Plain, 1_234_567.0, "1\u{202F}234\u{202F}567"),
            (Unit::Plain, 12.5, "12.5"),
            (Unit::Plain, 0.0, "0"),
            (Unit::PerSecond, 20_000.4, "20\u{202F}000/s"),
            (Unit::Milliseconds, 0.2504, "250 µs"),
            (Unit::Milliseconds, 12.34, "12.3 ms"),
            (Unit::Milliseconds, 2500.0, "2.5 s"),
            (Unit::Share, 0.4567, "45.7 %"),
            (Unit::Bytes, 3.0 * 1024.0 * 1024.0, "3 MiB"),
        ];
        for (unit, value, text) in shown {
            assert_eq!(unit.show(value), text);
        }
        assert_eq!([Unit::Plain.tick(20_000.0), Unit::Plain.tick(1.5e6)], ["20k", "1.5M"]);
        assert_eq!(
            [clock(0.5), clock(90.0), clock(125.0), clock(3725.0)],
            ["0.5 s", "90 s", "2:05", "1:02:05"]
        );
    }
}
