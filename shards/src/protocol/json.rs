//! JSON in: one pass of simd-json over a copy, and every value also as the bytes that the client sent.
//!
//! simd-json unescapes in place and keeps no positions, so the parser works on a scratch copy while a cutter
//! walks the original beside the tape. What is opaque to the gateway (`content`, `metadata`) is taken from the
//! original and never re-encoded (protocol §1).
//!
//! simd-json refuses two things that RFC 8259 allows and that may stand in an opaque value: numbers beyond 64
//! bits and lone surrogate escapes. Only then, the copy is blunted (same length, same structure, harmless
//! values) and parsed again; the original stays what it was.

use memchr::memchr2;
use simd_json::{Buffers, ErrorType, Node, StaticNode, Tape};

/// Why a frame is no JSON that the gateway takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not JSON by RFC 8259.
    #[error("not valid JSON")]
    Syntax,
    /// Nested deeper than allowed.
    #[error("nested too deep")]
    Depth,
}

/// The parser of one shard: buffers that are reused from frame to frame.
pub struct Parser {
    buffers: Buffers,
    scratch: Vec<u8>,
    tape: Tape<'static>,
}

impl Parser {
    /// A parser that accepts `depth_max` levels, the outermost value being 1.
    #[must_use]
    pub fn new(depth_max: usize) -> Self {
        Self {
            buffers: Buffers::with_max_depth(1024, depth_max),
            scratch: Vec::with_capacity(1024),
            tape: Tape::null(),
        }
    }

    /// Parses `text` and hands its value to `use_value`; nothing of the value outlives the call.
    ///
    /// # Errors
    /// [`JsonError`] when `text` is not valid JSON or too deep.
    pub fn parse<R>(&mut self, text: &[u8], use_value: impl FnOnce(Value<'_>) -> R) -> Result<R, JsonError> {
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let result = Self::fill(&mut self.scratch, &mut self.buffers, &mut tape, text)
            .map(|()| use_value(Value { nodes: &tape.0, raw: trim(text) }));
        self.tape = tape.reset();
        shrink(&mut self.scratch);
        result
    }

    fn fill<'a>(
        scratch: &'a mut Vec<u8>,
        buffers: &mut Buffers,
        tape: &mut Tape<'a>,
        text: &[u8],
    ) -> Result<(), JsonError> {
        // simd-json lets unescaped control characters through inside strings.
        if has_raw_control(text) {
            return Err(JsonError::Syntax);
        }
        // The borrow checker cannot see that a failed parse leaves nothing borrowed, so the first try borrows
        // its own copy only when it is known to be the last.
        if needs_blunting(text) {
            serde_json::from_slice::<&serde_json::value::RawValue>(text).map_err(|_| JsonError::Syntax)?;
            copy(scratch, text);
            blunt(scratch);
        } else {
            copy(scratch, text);
        }
        simd_json::fill_tape(scratch, buffers, tape).map_err(|error| match error.error() {
            ErrorType::DepthLimitExceeded => JsonError::Depth,
            _ => JsonError::Syntax,
        })
    }
}

fn copy(scratch: &mut Vec<u8>, text: &[u8]) {
    scratch.clear();
    scratch.extend_from_slice(text);
}

/// Bytes of scratch space that a shard keeps between frames.
const SCRATCH_KEPT_MAX: usize = 64 << 10;

fn shrink(scratch: &mut Vec<u8>) {
    if scratch.capacity() > SCRATCH_KEPT_MAX {
        scratch.clear();
        scratch.shrink_to(SCRATCH_KEPT_MAX);
    }
}

/// Whether a control character other than JSON's whitespace, or whitespace inside a string, may be present.
fn has_raw_control(text: &[u8]) -> bool {
    // Almost every frame has none at all: one vectorised pass answers for it.
    if text.iter().all(|&byte| byte >= b' ') {
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
fn needs_blunting(text: &[u8]) -> bool {
    has_surrogate_escape(text) || has_large_number(text)
}

fn has_surrogate_escape(text: &[u8]) -> bool {
    memchr::memmem::find_iter(text, b"\\u").any(|at| is_surrogate(&text[at + 2..]))
}

fn is_surrogate(hex: &[u8]) -> bool {
    matches!(hex, [b'd' | b'D', b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F', ..])
}

/// A number with an exponent, or with more digits than surely fit. May be inside a string: then the slow path
/// is taken for nothing, which costs time only.
fn has_large_number(text: &[u8]) -> bool {
    let mut run = 0;
    let mut previous = 0u8;
    for &byte in text {
        match byte {
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
fn blunt(text: &mut [u8]) {
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
        if text.get(at + 1) == Some(&b'u') && is_surrogate(&text[at + 2..]) {
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

/// A parsed value: its tape and the bytes that the client sent for it.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    nodes: &'a [Node<'a>],
    raw: &'a [u8],
}

impl<'a> Value<'a> {
    /// The bytes as sent, without surrounding whitespace.
    #[must_use]
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The text of a string, unescaped.
    #[must_use]
    pub fn as_str(&self) -> Option<&'a str> {
        match self.nodes.first() {
            Some(Node::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The value of a whole number that is not negative and fits; read from the bytes, since the tape may be blunted.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        let digits = Some(self.raw).filter(|raw| self.is_number() && raw.iter().all(u8::is_ascii_digit))?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    /// The value of a boolean.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self.nodes.first() {
            Some(Node::Static(StaticNode::Bool(value))) => Some(*value),
            _ => None,
        }
    }

    /// Whether this is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self.nodes.first(), Some(Node::Static(StaticNode::Null)))
    }

    /// Whether this is a number.
    #[must_use]
    pub fn is_number(&self) -> bool {
        matches!(
            self.nodes.first(),
            Some(Node::Static(StaticNode::U64(_) | StaticNode::I64(_) | StaticNode::F64(_)))
        )
    }

    /// Whether this is an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        matches!(self.nodes.first(), Some(Node::Object { .. }))
    }

    /// The members of an object in the order sent; nothing for other values.
    #[must_use]
    pub fn members(&self) -> Members<'a> {
        let left = match self.nodes.first() {
            Some(Node::Object { len, .. }) => *len,
            _ => 0,
        };
        Members { left, nodes: self.nodes.get(1..).unwrap_or_default(), raw: self.raw, at: 1 }
    }

    /// The member of that name; of duplicates the last.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        self.members().filter(|(key, _)| *key == name).last().map(|(_, value)| value)
    }

    /// The elements of an array, or `None` for other values.
    #[must_use]
    pub fn elements(&self) -> Option<Elements<'a>> {
        match self.nodes.first() {
            Some(Node::Array { len, .. }) => {
                Some(Elements { left: *len, nodes: &self.nodes[1..], raw: self.raw, at: 1 })
            }
            _ => None,
        }
    }
}

/// Number of tape nodes that the value at the front takes.
fn span(nodes: &[Node<'_>]) -> usize {
    match nodes.first() {
        Some(Node::Object { count, .. } | Node::Array { count, .. }) => count + 1,
        _ => 1,
    }
}

/// Walks an object's tape and its bytes side by side.
#[derive(Debug, Clone)]
pub struct Members<'a> {
    left: usize,
    nodes: &'a [Node<'a>],
    raw: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Members<'a> {
    type Item = (&'a str, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let Some(Node::String(key)) = self.nodes.first() else { return None };
        let key_start = skip_separators(self.raw, self.at);
        let start = skip_separators(self.raw, skip_string(self.raw, key_start));
        let end = skip_value(self.raw, start);
        let nodes = &self.nodes[1..=span(&self.nodes[1..])];
        self.nodes = &self.nodes[1 + nodes.len()..];
        self.at = end;
        Some((key, Value { nodes, raw: &self.raw[start..end] }))
    }
}

/// Walks an array's tape and its bytes side by side.
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    left: usize,
    nodes: &'a [Node<'a>],
    raw: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Elements<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        self.left = self.left.checked_sub(1)?;
        let start = skip_separators(self.raw, self.at);
        let end = skip_value(self.raw, start);
        let (nodes, rest) = self.nodes.split_at(span(self.nodes));
        self.nodes = rest;
        self.at = end;
        Some(Value { nodes, raw: &self.raw[start..end] })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Elements<'_> {}

fn trim(text: &[u8]) -> &[u8] {
    text.trim_ascii()
}

/// Skips whitespace, commas and colons: the text is known to be valid.
fn skip_separators(raw: &[u8], mut at: usize) -> usize {
    while at < raw.len() && matches!(raw[at], b' ' | b'\t' | b'\n' | b'\r' | b',' | b':') {
        at += 1;
    }
    at
}

/// The position behind the string that begins at `at`; the end of the text when it is not closed.
fn skip_string(raw: &[u8], at: usize) -> usize {
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
fn skip_value(raw: &[u8], at: usize) -> usize {
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

impl std::fmt::Debug for Parser {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Parser").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
