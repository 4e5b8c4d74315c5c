//! Histograms at rest: what a report keeps of one, so that reports can be added up without a loss.

use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};
use serde::{Deserialize, Serialize};

use super::{Latency, Percentiles};

/// Beyond any histogram that is written here; a longer text is no histogram of ours.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// A histogram of microseconds in HdrHistogram's own interchange form: V2, deflated, base64. Always one that can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Packed(String);

/// A histogram at rest, and what is asked of it most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Distribution {
    /// How many times it is of.
    pub(crate) count: u64,
    /// In milliseconds.
    #[serde(flatten)]
    pub(crate) ms: Percentiles,
    pub(crate) histogram: Packed,
}

impl Packed {
    /// The histogram to the digits that it has.
    pub(crate) fn of(latency: &Latency) -> Self {
        let mut bytes = Vec::new();
        V2DeflateSerializer::new()
            .serialize(latency.histogram(), &mut bytes)
            .expect("writing to memory succeeds, and a report's counts are below 2^63");
        Self(STANDARD.encode(bytes))
    }

    /// The histogram, to three digits.
    pub(crate) fn unpack(&self) -> Latency {
        let mut latency = Latency::new();
        let histogram = read(&self.0).expect("whoever made this has read it");
        latency.add_histogram(&histogram);
        latency
    }
}

impl Default for Packed {
    fn default() -> Self {
        Self::of(&Latency::coarse())
    }
}

impl TryFrom<String> for Packed {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        read(&text).map(|_| Self(text))
    }
}

fn read(text: &str) -> Result<Histogram<u64>, String> {
    if text.len() > TEXT_BYTES_MAX {
        return Err("a histogram is longer than 1 MiB".to_owned());
    }
    let bytes = STANDARD.decode(text).map_err(|error| format!("a histogram is no base64: {error}"))?;
    let histogram = Deserializer::new().deserialize(&mut Cursor::new(bytes));
    histogram.map_err(|error| format!("a histogram cannot be read: {error}"))
}

impl Distribution {
    /// What `latency` holds, its histogram to two digits; `None` when it holds nothing.
    pub(crate) fn coarse(latency: &Latency) -> Option<Self> {
        if latency.count() == 0 {
            return None;
        }
        let mut coarse = Latency::coarse();
        coarse.add(latency);
        Some(Self { count: latency.count(), ms: latency.percentiles(), histogram: Packed::of(&coarse) })
    }

    /// Both together.
    pub(crate) fn merged(a: Option<&Self>, b: Option<&Self>) -> Option<Self> {
        match (a, b) {
            (Some(a), Some(b)) => {
                let mut sum = a.histogram.unpack();
                sum.add(&b.histogram.unpack());
                // The exact maximum is known; the histograms have it to two digits.
                let mut merged = Self::coarse(&sum)?;
                merged.ms.max = a.ms.max.max(b.ms.max);
                Some(merged)
            }
            (one, other) => one.or(other).cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latency(us: impl IntoIterator<Item = u64>) -> Latency {
        let mut latency = Latency::new();
        us.into_iter().for_each(|us| latency.record(us));
        latency
    }

    #[test]
    fn what_is_packed_comes_back() {
        let latency = latency((0..5000).map(|n| n * n));
        assert_eq!(Packed::of(&latency).unpack(), latency);
        assert_eq!(Packed::default().unpack().count(), 0);
    }

    #[test]
    fn packed_histograms_are_short_and_of_the_known_form() {
        let packed = Packed::of(&latency(100..3_000));
        // 0x1C849304 is the cookie of V2 with deflate.
        assert!(packed.0.starts_with("HISTF"), "{}", packed.0);
        assert!(Distribution::coarse(&latency(100..3_000)).expect("not empty").histogram.0.len() < 600);
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "!", "AAAA", "HISTFAAAAB942pNpmSzMwMDAxAABzFCaEUoz", &"A".repeat(TEXT_BYTES_MAX + 4)]
        {
            assert!(Packed::try_from(text.to_owned()).is_err(), "{text:.40}");
        }
    }

    #[test]
    fn distributions_merge_into_what_one_would_have_been() {
        let all = Distribution::coarse(&latency(1..2000)).expect("not empty");
        let halves = [1..1000, 1000..2000].map(|us| Distribution::coarse(&latency(us)));
        let merged = Distribution::merged(halves[0].as_ref(), halves[1].as_ref()).expect("not empty");
        assert_eq!((merged.count, merged.ms.max), (all.count, all.ms.max));
        assert!((merged.ms.p99 / all.ms.p99 - 1.0).abs() < 0.02, "{merged:?} {all:?}");
        assert_eq!(Distribution::merged(None, Some(&all)), Some(all));
        assert_eq!(Distribution::coarse(&Latency::new()), None);
    }
}
