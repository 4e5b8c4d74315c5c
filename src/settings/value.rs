//! Readers of single values. Each says what it expected; `layers` adds which setting, and where it came from.

use std::net::SocketAddr;

use roomcast_shards::config::{Rate, RoomClass, RoomClassRule, parse_duration_ms};
use roomcast_shards::room::pattern::Pattern;

/// Durations beyond this are slips; it also keeps every sum of times far from overflow. Ten years.
const DURATION_MS_MAX: u64 = 87_600 * 3_600_000;

const LATENCY_BUDGET_MS_MAX: u64 = 1000;

const SIZE_UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A duration, 0 included, in milliseconds.
pub(super) fn duration_ms(text: &str) -> Result<u64, String> {
    // Nothing needs no unit.
    let ms =
        if text.trim() == "0" { 0 } else { parse_duration_ms(text).map_err(|error| error.to_string())? };
    if ms > DURATION_MS_MAX {
        return Err(format!("expected at most ten years (87600h), got {text:?}"));
    }
    Ok(ms)
}

/// How long every message may wait, in milliseconds.
pub(super) fn latency_budget_ms(text: &str) -> Result<u64, String> {
    match duration_ms(text)? {
        ms if ms > LATENCY_BUDGET_MS_MAX => {
            Err(format!("expected at most a second: every message may wait as long, got {text:?}"))
        }
        ms => Ok(ms),
    }
}

/// A duration of at least a millisecond, in milliseconds.
pub(super) fn some_duration_ms(text: &str) -> Result<u64, String> {
    match duration_ms(text)? {
        0 => Err("expected more than 0".to_owned()),
        ms => Ok(ms),
    }
}

/// A whole number in that range.
pub(super) fn number(range: std::ops::RangeInclusive<u64>) -> impl Fn(&str) -> Result<u64, String> {
    move |text| {
        let number = text.trim().parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| {
            format!("expected a number from {} to {}, got {text:?}", range.start(), range.end())
        })
    }
}

/// As [`number`], for counts of things in memory.
pub(super) fn count(range: std::ops::RangeInclusive<u64>) -> impl Fn(&str) -> Result<usize, String> {
    let number = number(range);
    move |text| number(text).map(|it| usize::try_from(it).unwrap_or(usize::MAX))
}

/// A number of at least 1, or `off` as `None`.
pub(super) fn number_or_off(text: &str) -> Result<Option<u32>, String> {
    if text == "off" {
        return Ok(None);
    }
    let number = text.trim().parse().ok().filter(|number| *number > 0);
    number.map(Some).ok_or_else(|| format!("expected a number from 1, or off; got {text:?}"))
}

/// `auto` as `None`, or what `read` reads.
pub(super) fn or_auto<T>(
    read: impl Fn(&str) -> Result<T, String>,
) -> impl Fn(&str) -> Result<Option<T>, String> {
    move |text| match text {
        "auto" => Ok(None),
        text => read(text).map(Some).map_err(|error| format!("{error}; auto is possible too")),
    }
}

/// Bytes within that range: a plain number, or one with KiB, MiB or GiB.
pub(super) fn size(range: std::ops::RangeInclusive<u64>) -> impl Fn(&str) -> Result<usize, String> {
    move |text| {
        let digits = text.trim().find(|c: char| !c.is_ascii_digit()).unwrap_or(text.trim().len());
        let (number, unit) = text.trim().split_at(digits);
        let factor = match unit.trim() {
            "" => Some(1),
            unit => SIZE_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor),
        };
        let bytes =
            number.parse::<u64>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
        match bytes.filter(|bytes| range.contains(bytes)).and_then(|bytes| usize::try_from(bytes).ok()) {
            Some(bytes) => Ok(bytes),
            None => Err(format!(
                "expected bytes from {} to {} (such as 65536, 64KiB or 1MiB), got {text:?}",
                format_size(*range.start()),
                format_size(*range.end())
            )),
        }
    }
}

/// Bytes in the largest unit that divides them.
pub(crate) fn format_size(bytes: u64) -> String {
    let (unit, factor) = SIZE_UNITS
        .iter()
        .find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor))
        .unwrap_or(&("B", 1));
    format!("{}{unit}", bytes / factor)
}

/// A rate, or `off` as `None`.
pub(super) fn rate(text: &str) -> Result<Option<Rate>, String> {
    if text == "off" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error: roomcast_shards::config::RateError| error.to_string())
}

/// One of the words, with its meaning.
pub(super) fn word<T: Copy>(words: &[(&str, T)]) -> impl Fn(&str) -> Result<T, String> {
    move |text| match words.iter().find(|(word, _)| *word == text) {
        Some((_, meaning)) => Ok(*meaning),
        None => {
            let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            Err(format!("expected {}, got {text:?}", all.join(" or ")))
        }
    }
}

/// True or false.
pub(super) fn truth(text: &str) -> Result<bool, String> {
    word(&[("true", true), ("false", false), ("1", true), ("0", false)])(text)
}

/// An address with port.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.trim()
        .parse()
        .map_err(|_| format!("expected ADDRESS:PORT such as 0.0.0.0:3000 or [::]:3000, got {text:?}"))
}

/// An origin as browsers write it: `scheme://host` with a port if it is not the scheme's own, or `null`.
pub(super) fn origin(text: &str) -> Result<String, String> {
    let text = text.trim();
    let host = text.split_once("://").map(|(scheme, host)| !scheme.is_empty() && !host.is_empty());
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase());
    let path = text.split_once("://").is_some_and(|(_, host)| host.contains('/'));
    if text == "null" || text == "*" || (host == Some(true) && plain && !path) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "expected * or an origin in small letters without path, such as https://example.com, got {text:?}"
    ))
}

/// A path that may serve the echo.
pub(super) fn echo_path(text: &str) -> Result<String, String> {
    const TAKEN: [&str; 8] = ["/", "/ws", "/socket.io", "/healthz", "/readyz", "/metrics", "/admin", "/v1"];
    let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#'));
    let first = text.get(1..).and_then(|rest| rest.split('/').next()).map(|segment| format!("/{segment}"));
    let taken = first.is_none_or(|first| TAKEN.contains(&first.as_str()));
    if text.starts_with('/') && plain && !taken {
        return Ok(text.to_owned());
    }
    Err(format!("expected a path such as /echo that nothing else is served at, got {text:?}"))
}

/// `0,2-3` as `[0, 2, 3]`.
pub(super) fn cpus(text: &str) -> Result<Vec<usize>, String> {
    let error = || format!("expected auto, none or a list such as 0,2-3, got {text:?}");
    let mut cpus = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let read = |text: &str| text.trim().parse::<usize>().ok().filter(|cpu| *cpu < 4096);
        let (first, last) = read(first).zip(read(last)).ok_or_else(error)?;
        if first > last {
            return Err(error());
        }
        cpus.extend(first..=last);
    }
    Ok(cpus)
}

/// `PATTERN=CLASS`.
pub(super) fn room_class(text: &str) -> Result<RoomClassRule, String> {
    let (pattern, class) = text
        .rsplit_once('=')
        .ok_or_else(|| format!("expected PATTERN=ephemeral, =reliable or =queued, got {text:?}"))?;
    Pattern::parse(pattern).map_err(|error| format!("pattern {pattern:?}: {error}"))?;
    let class = word(&[
        ("ephemeral", RoomClass::Ephemeral),
        ("reliable", RoomClass::Reliable),
        ("queued", RoomClass::Queued),
    ])(class)?;
    Ok(RoomClassRule { pattern: pattern.to_owned(), class })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units() {
        let size = size(0..=1 << 40);
        for (text, bytes) in
            [("0", 0), ("1000", 1000), ("64KiB", 65_536), ("1 MiB", 1 << 20), ("2GiB", 2 << 30)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "MiB", "1MB", "-1", "1.5MiB", "99999999999999999999", "18446744073709551615KiB", "é"]
        {
            assert!(size(text).is_err(), "{text}");
        }
        assert_eq!(format_size(4 << 20), "4MiB");
        assert_eq!(format_size(1500), "1500B");
        assert_eq!(size(&format_size(1500)), Ok(1500));
    }

    #[test]
    fn lists_of_cores_have_ranges() {
        assert_eq!(cpus("0,2-3"), Ok(vec![0, 2, 3]));
        for text in ["", ",", "3-2", "a", "1-", "0-99999999999"] {
            assert!(cpus(text).is_err(), "{text}");
        }
    }

    #[test]
    fn origins_are_what_a_browser_sends() {
        for text in ["*", "null", "https://a.example", "http://localhost:3000"] {
            assert!(origin(text).is_ok(), "{text}");
        }
        for text in ["", "a.example", "https://", "https://a.example/", "https://A.example", "https://a b"] {
            assert!(origin(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_echo_takes_no_path_of_others() {
        assert!(echo_path("/echo").is_ok() && echo_path("/test/echo").is_ok());
        for text in ["", "echo", "/", "/ws", "/v1/echo", "/socket.io/", "/a b", "/a?b"] {
            assert!(echo_path(text).is_err(), "{text}");
        }
    }

    #[test]
    fn room_classes_are_checked() {
        let rule = room_class("cursor:*=ephemeral").expect("a rule");
        assert_eq!((rule.pattern.as_str(), rule.class), ("cursor:*", RoomClass::Ephemeral));
        assert!(room_class("a=b=queued").is_ok());
        for text in ["", "a", "a=lossy", "a*b=queued", "=queued"] {
            assert!(room_class(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_bounded() {
        assert_eq!(duration_ms("0"), Ok(0));
        assert!(some_duration_ms("0s").is_err());
        assert!(duration_ms("9999999h").is_err());
        assert!(duration_ms("10").is_err());
    }
}
