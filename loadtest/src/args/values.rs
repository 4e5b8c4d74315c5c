//! Values of flags that are neither numbers nor texts.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum as _;
use serde::{Serialize, Serializer};

use super::Dialect;

/// How many source addresses to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SourceIps {
    /// As many as the number of connections demands.
    Auto,
    /// Exactly so many.
    Count(usize),
}

impl FromStr for SourceIps {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        match text.parse() {
            Ok(count) if (1..=254).contains(&count) => Ok(Self::Count(count)),
            _ => Err("expected auto or a number from 1 to 254".to_owned()),
        }
    }
}

/// A time as people write it: `500ms`, `10s`, `5m`, `1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HumanDuration(pub(crate) Duration);

impl HumanDuration {
    /// The same in nanoseconds; some 580 years at most.
    pub(crate) fn as_ns(self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl FromStr for HumanDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let error = || format!("expected a number with ms, s, m or h (such as 500ms, 10s, 5m), got {text:?}");
        let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(error)?;
        let (number, unit) = text.split_at(unit_at);
        let number: u64 = number.parse().map_err(|_| error())?;
        let factor = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(error()),
        };
        // A year is beyond any run, and keeps every sum of these far from overflow.
        match number.checked_mul(factor) {
            Some(ms) if ms <= 365 * 24 * 3_600_000 => Ok(Self(Duration::from_millis(ms))),
            _ => Err(error()),
        }
    }
}

impl fmt::Display for HumanDuration {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        if ms.is_multiple_of(1000) { write!(out, "{}s", ms / 1000) } else { write!(out, "{ms}ms") }
    }
}

impl Serialize for HumanDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A limit that something measured is compared with: no comparison with NaN fails, and nothing is below 0.
pub(super) fn limit(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(limit) if limit.is_finite() && limit >= 0.0 => Ok(limit),
        _ => Err("expected a finite number, 0 or more".to_owned()),
    }
}

/// Dialects and the share of the connections that speaks each; the shares add up to 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shares(pub(crate) Vec<(Dialect, f64)>);

impl FromStr for Shares {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let share = |part: &str| {
            let (name, share) = part.split_once('=')?;
            let share = share.parse::<f64>().ok().filter(|share| share.is_finite() && *share > 0.0)?;
            Some((Dialect::from_str(name, false).ok()?, share))
        };
        let shares: Option<Vec<_>> = text.split(',').map(share).collect();
        let mut shares = shares.ok_or("expected such as event=0.7,topic=0.3")?;
        let sum: f64 = shares.iter().map(|(_, share)| share).sum();
        shares.iter_mut().for_each(|(_, share)| *share /= sum);
        Ok(Self(shares))
    }
}

impl fmt::Display for Shares {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (dialect, share)) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            let name = dialect.to_possible_value().map(|value| value.get_name().to_owned());
            write!(out, "{comma}{}={share}", name.unwrap_or_default())?;
        }
        Ok(())
    }
}

impl Serialize for Shares {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_one() {
        let shares: Shares = "event=3,topic=1".parse().expect("valid");
        assert_eq!(shares.0, [(Dialect::Event, 0.75), (Dialect::Topic, 0.25)]);
        assert_eq!(shares.to_string(), "event=0.75,topic=0.25");
        for text in ["", "event", "event=", "event=0", "event=-1", "event=NaN", "morse=1", "event=1,"] {
            assert!(text.parse::<Shares>().is_err(), "{text}");
        }
    }

    #[test]
    fn limits_are_finite_and_not_negative() {
        assert_eq!([limit("0"), limit("2.5"), limit("1e9")], [Ok(0.0), Ok(2.5), Ok(1e9)]);
        for text in ["", "NaN", "nan", "inf", "-inf", "-1", "1e999", "5ms"] {
            assert!(limit(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        for (text, ms) in [("500ms", 500), ("10s", 10_000), ("5m", 300_000), ("1h", 3_600_000), ("0s", 0)] {
            assert_eq!(text.parse(), Ok(HumanDuration(Duration::from_millis(ms))), "{text}");
        }
        for text in ["", "10", "s", "-1s", "1.5s", "99999999999999999999s", "999999999h"] {
            assert!(text.parse::<HumanDuration>().is_err(), "{text}");
        }
        assert_eq!("1500ms".parse::<HumanDuration>().expect("valid").to_string(), "1500ms");
        assert_eq!("5m".parse::<HumanDuration>().expect("valid").to_string(), "300s");
    }

    #[test]
    fn source_ips_are_auto_or_a_host_number() {
        assert_eq!("auto".parse(), Ok(SourceIps::Auto));
        assert_eq!("3".parse(), Ok(SourceIps::Count(3)));
        for text in ["", "0", "255", "many"] {
            assert!(text.parse::<SourceIps>().is_err(), "{text}");
        }
    }
}
