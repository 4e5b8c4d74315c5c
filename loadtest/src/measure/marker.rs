//! The mark in every message's content by which its deliveries are known again, without parsing JSON.
//!
//! `~rc` run(8) sender(8) sequence(8) time(16), the numbers in lower-case hexadecimal: fixed width, no escapes, and
//! searched for by its beginning, which is unique to the run.

use memchr::memmem::Finder;

const MAGIC: [u8; 3] = *b"~rc";
/// Length of what is searched for: the magic and the run.
pub(super) const PREFIX_LEN: usize = MAGIC.len() + 8;
/// Bytes of a whole mark.
pub(crate) const LEN: usize = PREFIX_LEN + 8 + 8 + 16;

/// Which message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Index of the connection that sent it.
    pub(crate) sender: u32,
    /// Its number among that connection's messages, from 1.
    pub(crate) sequence: u32,
    /// When it was to be sent, in microseconds of the run's clock.
    pub(crate) intended_us: u64,
}

/// What a delivery says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// One of this run's messages, at this offset of its room.
    Delivery(Mark, u64),
    /// One of this run's messages, where messages bear no offsets.
    Unnumbered(Mark),
    /// Not one of ours; it may yet have taken an offset.
    Other(Option<u64>),
    /// It bears our mark, but the rest of the mark, or the offset, is missing or wrong.
    Malformed,
}

/// Writes marks, and finds them.
pub(crate) struct Marker {
    prefix: [u8; PREFIX_LEN],
    find_prefix: Finder<'static>,
    find_offset: Finder<'static>,
    has_offsets: bool,
    /// Where the mark and the offset were found last. Frames of one run look alike, so mostly they are there again.
    last: (usize, usize),
}

impl Marker {
    /// Marks of the run with this number.
    pub(crate) fn new(run: u32) -> Self {
        let prefix = prefix(MAGIC, run);
        Self {
            find_prefix: Finder::new(&prefix).into_owned(),
            find_offset: Finder::new(OFFSET_KEY).into_owned(),
            has_offsets: true,
            prefix,
            last: (0, 0),
        }
    }

    /// Marks of the run with this number, in messages that bear no offsets.
    pub(crate) fn without_offsets(run: u32) -> Self {
        Self { has_offsets: false, ..Self::new(run) }
    }

    /// Appends a message's content of `bytes` bytes, which begins with its mark.
    pub(crate) fn write(&self, out: &mut Vec<u8>, mark: Mark, bytes: usize) {
        let end = out.len() + bytes.max(LEN);
        write_mark(out, &self.prefix, mark);
        out.resize(end, b'.');
    }

    /// Reads a text message.
    #[inline]
    pub(crate) fn read(&mut self, text: &[u8]) -> Reading {
        let (mark_guess, offset_guess) = self.last;
        if !self.has_offsets {
            return self.read_unnumbered(text, mark_guess);
        }
        let offset_at = find_again(text, OFFSET_KEY, &self.find_offset, offset_guess);
        let offset = offset_at.and_then(|at| parse_number(&text[at + OFFSET_KEY.len()..]));
        let Some(mark_at) = find_again(text, &self.prefix, &self.find_prefix, mark_guess) else {
            return Reading::Other(offset);
        };
        let digits = text.get(mark_at + PREFIX_LEN..mark_at + LEN);
        match (digits.and_then(parse_mark), offset_at, offset) {
            (Some(mark), Some(offset_at), Some(offset)) => {
                self.last = (mark_at, offset_at);
                Reading::Delivery(mark, offset)
            }
            _ => Reading::Malformed,
        }
    }
}

impl Marker {
    #[inline]
    fn read_unnumbered(&mut self, text: &[u8], mark_guess: usize) -> Reading {
        let Some(mark_at) = find_again(text, &self.prefix, &self.find_prefix, mark_guess) else {
            return Reading::Other(None);
        };
        self.last.0 = mark_at;
        let digits = text.get(mark_at + PREFIX_LEN..mark_at + LEN);
        digits.and_then(parse_mark).map_or(Reading::Malformed, Reading::Unnumbered)
    }
}

const OFFSET_KEY: &[u8] = br#""offset":"#;

/// What the marks of a run begin with.
pub(super) fn prefix(magic: [u8; 3], run: u32) -> [u8; PREFIX_LEN] {
    let mut prefix = [0; PREFIX_LEN];
    prefix[..magic.len()].copy_from_slice(&magic);
    prefix[magic.len()..].copy_from_slice(&to_hex(run));
    prefix
}

/// Appends a mark, [`LEN`] bytes.
pub(super) fn write_mark(out: &mut Vec<u8>, prefix: &[u8; PREFIX_LEN], mark: Mark) {
    out.extend_from_slice(prefix);
    out.extend_from_slice(&to_hex(mark.sender));
    out.extend_from_slice(&to_hex(mark.sequence));
    let [high, low] = halves(mark.intended_us);
    out.extend_from_slice(&to_hex(high));
    out.extend_from_slice(&to_hex(low));
}

#[inline]
fn find_again(text: &[u8], needle: &[u8], finder: &Finder<'_>, guess: usize) -> Option<usize> {
    match text.get(guess..guess + needle.len()) {
        Some(found) if found == needle => Some(guess),
        _ => finder.find(text),
    }
}

/// Reads the digits behind a mark's prefix.
#[inline]
pub(super) fn parse_mark(digits: &[u8]) -> Option<Mark> {
    let (digits, _) = digits.as_chunks::<8>();
    let [sender, sequence, high, low] = digits else {
        return None;
    };
    let intended_us = u64::from(from_hex(*high)?) << 32 | u64::from(from_hex(*low)?);
    Some(Mark { sender: from_hex(*sender)?, sequence: from_hex(*sequence)?, intended_us })
}

/// A decimal number, after optional spaces; `None` without digits, or when it exceeds 18 of them.
#[inline]
fn parse_number(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii_start();
    let mut number = 0;
    for (count, byte) in text.iter().enumerate() {
        match byte {
            b'0'..=b'9' if count < 18 => number = number * 10 + u64::from(byte - b'0'),
            b'0'..=b'9' => return None,
            _ => return (count > 0).then_some(number),
        }
    }
    (!text.is_empty()).then_some(number)
}

fn halves(number: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
    [u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])]
}

fn to_hex(number: u32) -> [u8; 8] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    std::array::from_fn(|place| DIGITS[(number >> (28 - 4 * place) & 0xF) as usize])
}

/// Eight hexadecimal digits at once, each in its byte of a word; `None` when one is no lower-case digit.
#[inline]
fn from_hex(digits: [u8; 8]) -> Option<u32> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let word = u64::from_be_bytes(digits);
    // Bit 6 tells a letter, whose low four bits count from 1 for 'a', from a digit.
    let letters = word >> 6 & ONES;
    let values = (word & (0x0F * ONES)) + letters * 9;
    // Values up to 15, letters exactly from 10 on, and the same digits when written again.
    let is_hex = values & (0xF0 * ONES) == 0
        && (values + 6 * ONES) >> 4 & ONES == letters
        && values + 0x30 * ONES + letters * 0x27 == word;
    if !is_hex {
        return None;
    }
    let pairs = (values | values >> 4) & 0x00FF_00FF_00FF_00FF;
    let quads = (pairs | pairs >> 8) & 0x0000_FFFF_0000_FFFF;
    u32::try_from((quads | quads >> 16) & 0xFFFF_FFFF).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARK: Mark = Mark { sender: 0xDEAD_BEEF, sequence: 7, intended_us: 0x0123_4567_89AB_CDEF };

    fn content(run: u32, bytes: usize) -> String {
        let mut out = Vec::new();
        Marker::new(run).write(&mut out, MARK, bytes);
        assert_eq!(out.len(), bytes.max(LEN));
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn hexadecimal_reads_what_it_writes_and_nothing_else() {
        for number in [0, 9, 10, 15, 16, 0x1234_5678, 0x9abc_def0, u32::MAX] {
            assert_eq!(from_hex(to_hex(number)), Some(number));
        }
        for wrong in 0..=u8::MAX {
            let valid = matches!(wrong, b'0'..=b'9' | b'a'..=b'f');
            for place in 0..8 {
                let mut digits = *b"00ff00ff";
                digits[place] = wrong;
                assert_eq!(from_hex(digits).is_some(), valid, "{wrong:#x} at {place}");
            }
        }
    }

    #[test]
    fn deliveries_are_found_in_any_key_order() {
        let mut marker = Marker::new(1);
        let content = content(1, 100);
        for text in [
            format!(r#"{{"event":"message:received","data":{{"offset":12,"content":"{content}"}}}}"#),
            format!(r#"{{"data":{{"content":"{content}","offset": 12}},"event":"message:received"}}"#),
            format!(r#"{{"type":"message","data":{{"content":"{content}"}},"metadata":{{"offset":12}}}}"#),
        ] {
            assert_eq!(marker.read(text.as_bytes()), Reading::Delivery(MARK, 12), "{text}");
            assert_eq!(marker.read(text.as_bytes()), Reading::Delivery(MARK, 12), "again: {text}");
        }
    }

    #[test]
    fn where_there_are_no_offsets_none_is_missed() {
        let mut marker = Marker::without_offsets(1);
        let ours = content(1, 50);
        for text in [ours.clone(), format!(r#"{{"offset":7,"content":"{ours}"}}"#)] {
            assert_eq!(marker.read(text.as_bytes()), Reading::Unnumbered(MARK), "{text}");
        }
        assert_eq!(marker.read(content(2, 50).as_bytes()), Reading::Other(None));
        assert_eq!(marker.read(&ours.as_bytes()[..LEN - 1]), Reading::Malformed);
    }

    #[test]
    fn other_texts_are_told_apart() {
        let mut marker = Marker::new(1);
        assert_eq!(marker.read(b"{}"), Reading::Other(None));
        let foreign = format!(r#"{{"offset":9,"content":"{}"}}"#, content(2, 50));
        assert_eq!(marker.read(foreign.as_bytes()), Reading::Other(Some(9)));
        let ours = content(1, 50);
        assert_eq!(marker.read(ours.as_bytes()), Reading::Malformed);
        assert_eq!(
            marker.read(format!(r#"{{"offset":x,"content":"{ours}"}}"#).as_bytes()),
            Reading::Malformed
        );
        for cut in PREFIX_LEN..LEN {
            let text = format!(r#"{{"offset":1,"content":"{}"#, &ours[..cut]);
            assert_eq!(marker.read(text.as_bytes()), Reading::Malformed, "cut at {cut}");
        }
        assert_eq!(parse_number(b"1234567890123456789"), None);
    }
}
