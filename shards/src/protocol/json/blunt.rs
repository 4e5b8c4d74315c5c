//! What simd-json takes for JSON and RFC 8259 does not, and the other way round.

use super::skip::skip_string;

/// Whether a control character other than JSON's whitespace, or whitespace inside a string, may be present.
pub(super) fn has_raw_control(text: &[u8]) -> bool {
    // Almost every frame has none at all: one pass answers for it, vectorised since it never stops early.
    if text.iter().fold(u8::MAX, |least, &byte| least.min(byte)) >= b' ' {
        return false;
    }
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'"' => {
                let end = skip_string(text, at);
                if text[at..end].iter().any(|&byte| byte < b' ') {
                    return true;
                }
                at = end;
            }
            b'\t' | b'\n' | b'\r' => at += 1,
            byte if byte < b' ' => return true,
            _ => at += 1,
        }
    }
    false
}

/// Longest run of digits that certainly fits 64 bits.
const DIGITS_SAFE: usize = 15;

/// Whether `text` holds an escape of the surrogate range, or what may be a number beyond 64 bits.
pub(super) fn needs_blunting(text: &[u8]) -> bool {
    has_surrogate_escape(text) || has_large_number(text)
}

fn has_surrogate_escape(text: &[u8]) -> bool {
    memchr::memchr_iter(b'\\', text).any(|at| is_surrogate(&text[at + 1..]))
}

fn is_surrogate(escape: &[u8]) -> bool {
    matches!(escape, [b'u', b'd' | b'D', b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F', ..])
}

/// A number with an exponent, or with more digits than surely fit. Strings are skipped, in which ids may be long.
fn has_large_number(text: &[u8]) -> bool {
    let mut run = 0;
    let mut previous = 0u8;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        match byte {
            b'"' => {
                at = skip_string(text, at - 1);
                run = 0;
            }
            b'0'..=b'9' => {
                run += 1;
                if run > DIGITS_SAFE {
                    return true;
                }
            }
            b'e' | b'E' if previous.is_ascii_digit() => return true,
            b'.' if run > 0 => {}
            _ => run = 0,
        }
        previous = byte;
    }
    false
}

/// Replaces surrogate escapes and large numbers by harmless values of the same length.
pub(super) fn blunt(text: &mut [u8]) {
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'"' => {
                let end = skip_string(text, at);
                blunt_string(&mut text[at..end]);
                at = end;
            }
            b'-' | b'0'..=b'9' => {
                let end = at + text[at..].iter().take_while(|byte| is_number_byte(**byte)).count();
                if needs_blunting(&text[at..end]) {
                    // Whitespace may follow any value.
                    text[at] = b'0';
                    text[at + 1..end].fill(b' ');
                }
                at = end;
            }
            _ => at += 1,
        }
    }
}

fn is_number_byte(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
}

fn blunt_string(text: &mut [u8]) {
    let mut at = 0;
    while at < text.len() {
        if text[at] != b'\\' {
            at += 1;
            continue;
        }
        if is_surrogate_pair(&text[at..]) {
            at += 12;
            continue;
        }
        if is_surrogate(&text[at + 1..]) {
            text[at + 2..at + 6].copy_from_slice(b"fffd");
        }
        at += 2;
    }
}

/// Whether `text` begins with the two escapes of one character, which stays what it is.
fn is_surrogate_pair(text: &[u8]) -> bool {
    let [b'\\', b'u', first @ .., _, _, _, _, _, _] = text.get(..12).unwrap_or_default() else {
        return false;
    };
    let second = &text[6..];
    let is_high = matches!(first, [b'd' | b'D', b'8' | b'9' | b'a' | b'b' | b'A' | b'B', ..]);
    is_high && matches!(second, [b'\\', b'u', b'd' | b'D', b'c'..=b'f' | b'C'..=b'F', ..])
}
