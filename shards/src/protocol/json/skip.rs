//! Finds where values end, in text that is known to be valid.

use memchr::memchr2;

/// Skips whitespace, commas and colons: the text is known to be valid.
pub(super) fn skip_separators(raw: &[u8], mut at: usize) -> usize {
    while at < raw.len() && matches!(raw[at], b' ' | b'\t' | b'\n' | b'\r' | b',' | b':') {
        at += 1;
    }
    at
}

/// The position behind the string that begins at `at`; the end of the text when it is not closed.
pub(super) fn skip_string(raw: &[u8], at: usize) -> usize {
    let mut at = (at + 1).min(raw.len());
    while let Some(found) = memchr2(b'"', b'\\', &raw[at..]) {
        at += found;
        if raw[at] == b'"' {
            return at + 1;
        }
        at = (at + 2).min(raw.len());
    }
    raw.len()
}

/// The position behind the value that begins at `at`.
pub(super) fn skip_value(raw: &[u8], at: usize) -> usize {
    match raw.get(at) {
        Some(b'"') => skip_string(raw, at),
        Some(b'{' | b'[') => skip_nested(raw, at),
        _ => {
            let ends = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
            at + raw[at..].iter().position(ends).unwrap_or(raw.len() - at)
        }
    }
}

fn skip_nested(raw: &[u8], mut at: usize) -> usize {
    let mut depth = 0usize;
    while at < raw.len() {
        match raw[at] {
            b'"' => {
                at = skip_string(raw, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    raw.len()
}
