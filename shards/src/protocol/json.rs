//! JSON in: one pass of simd-json over a copy, and every value also as the bytes that the client sent.
//!
//! simd-json unescapes in place and keeps no positions, so the parser works on a scratch copy while a cutter
//! walks the original beside the tape. What is opaque to the gateway (`content`, `metadata`) is taken from the
//! original and never re-encoded (protocol §1).
//!
//! simd-json refuses two things that RFC 8259 allows and that may stand in an opaque value: numbers beyond 64
//! bits and lone surrogate escapes. Only then, the copy is blunted (same length, same structure, harmless
//! values) and parsed again; the original stays what it was.

mod blunt;
mod escape;
mod skip;

use simd_json::{Buffers, ErrorType, Node, StaticNode, Tape};

use blunt::{blunt, has_raw_control, needs_blunting};
pub use escape::escape_strings;
use skip::{skip_separators, skip_string, skip_value};

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

    /// The value of a whole number that is not negative, written as digits and fits; read from the bytes, since the
    /// tape may be blunted.
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
        // Most of what is asked for is not there, and the tape alone tells that.
        if !self.has(name) {
            return None;
        }
        self.members().filter(|(key, _)| *key == name).last().map(|(_, value)| value)
    }

    /// Whether there is a member of that name.
    fn has(&self, name: &str) -> bool {
        let Some(Node::Object { len, .. }) = self.nodes.first() else { return false };
        let mut at = 1;
        for _ in 0..*len {
            match self.nodes.get(at) {
                Some(Node::String(key)) if *key == name => return true,
                _ => at += 1 + span(self.nodes.get(at + 1..).unwrap_or_default()),
            }
        }
        false
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

impl std::fmt::Debug for Parser {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Parser").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
