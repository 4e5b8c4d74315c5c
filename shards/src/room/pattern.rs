//! Names of rooms, and the patterns that stand for many of them (protocol §4).
//!
//! Pure and without state of the gateway: permissions, room classes and pattern subscriptions all ask here.
//! A name and a pattern are read as the same thing, a list of *steps*: a step is a segment together with the
//! separator before it (the first has none), so that `user:7.x` is `user`, `:7`, `.x`. That makes "separators must
//! be equal" a comparison of steps, and lets [`PatternTrie`] look a step up without building a key.
//!
//! An empty segment (as in `a::b`) is a segment like any other: `*` stands for it too.

mod trie;

pub use self::trie::PatternTrie;

/// Bytes of the longest name or pattern.
pub const NAME_BYTES_MAX: usize = 128;

/// Why a text is no room name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is not a name.
    #[error("a name may not be empty")]
    Empty,
    /// Longer than [`NAME_BYTES_MAX`].
    #[error("a name may have {NAME_BYTES_MAX} bytes, not {0}")]
    TooLong(usize),
    /// The byte at this index is not allowed.
    #[error("only printable ASCII without space, * \" and \\ is allowed; byte {0} is not")]
    Byte(usize),
}

/// Why a text is no room pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It would not be a name either, its `*` aside.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A segment has `*` beside other characters, or more than two of them.
    #[error("* and ** stand for whole segments only")]
    PartialWildcard,
}

/// Checks that `name` may name a room: 1–128 bytes of printable ASCII without space, `*`, `"` and `\`.
///
/// # Errors
/// [`NameError`] with the first thing that is wrong.
pub fn validate_name(name: &str) -> Result<(), NameError> {
    validate_bytes(name, |_| false)
}

fn validate_bytes(text: &str, also_allowed: impl Fn(u8) -> bool) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong(text.len()));
    }
    let allowed = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'*' | b'"' | b'\\');
    match text.bytes().position(|byte| !allowed(byte) && !also_allowed(byte)) {
        Some(index) => Err(NameError::Byte(index)),
        None => Ok(()),
    }
}

/// The steps of a name or pattern: segments, each with the separator before it.
#[derive(Clone)]
struct Steps<'a> {
    rest: &'a str,
    /// The first step has no separator, and exists even when its segment is empty.
    first: bool,
}

impl<'a> Steps<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text, first: true }
    }
}

impl<'a> Iterator for Steps<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let separator_bytes = usize::from(!std::mem::take(&mut self.first));
        let segment = self.rest.as_bytes().get(separator_bytes..)?;
        let end = memchr::memchr2(b'.', b':', segment).unwrap_or(segment.len());
        let (step, rest) = self.rest.split_at(separator_bytes + end);
        self.rest = rest;
        Some(step)
    }
}

/// What a step of a pattern stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Literal,
    /// `*`: one segment.
    One,
    /// `**`: one segment, and then any number of steps.
    Many,
}

fn kind(step: &str) -> Kind {
    match step {
        "*" | ".*" | ":*" => Kind::One,
        "**" | ".**" | ":**" => Kind::Many,
        _ => Kind::Literal,
    }
}

fn separator(step: &str) -> Option<u8> {
    step.bytes().next().filter(|byte| matches!(byte, b'.' | b':'))
}

/// A valid room pattern: a name in which `*` is one whole segment and `**` one or more.
///
/// Separators must be equal in pattern and name, those within the span of a `**` excepted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// Reads a pattern; a plain name is one too, and matches only itself.
    ///
    /// # Errors
    /// [`PatternError`] when it is no name but for its `*`, or when a `*` is not a whole segment.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        validate_bytes(text, |byte| byte == b'*')?;
        if Steps::new(text).any(|step| kind(step) == Kind::Literal && step.contains('*')) {
            return Err(PatternError::PartialWildcard);
        }
        Ok(Self(text.into()))
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the pattern stands for `name`. Takes at most (segments of the pattern × segments of the name) steps.
    ///
    /// A mismatch goes back to the last `**` only: whatever an earlier one could take in addition, this one can
    /// take as well.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let mut pattern = Steps::new(&self.0);
        let mut name = Steps::new(name);
        let mut last_many: Option<(Steps<'_>, Steps<'_>)> = None;
        loop {
            let (mut after_pattern, mut after_name) = (pattern.clone(), name.clone());
            match (after_pattern.next(), after_name.next()) {
                (None, None) => return true,
                (Some(wanted), Some(step)) if step_matches(wanted, step) => {
                    if kind(wanted) == Kind::Many {
                        last_many = Some((after_pattern.clone(), after_name.clone()));
                    }
                    (pattern, name) = (after_pattern, after_name);
                }
                _ => {
                    let Some((many_pattern, many_name)) = &mut last_many else {
                        return false;
                    };
                    if many_name.next().is_none() {
                        return false;
                    }
                    (pattern, name) = (many_pattern.clone(), many_name.clone());
                }
            }
        }
    }
}

fn step_matches(wanted: &str, step: &str) -> bool {
    match kind(wanted) {
        Kind::Literal => wanted == step,
        Kind::One | Kind::Many => separator(wanted) == separator(step),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).expect(text)
    }

    #[test]
    fn names_are_printable_ascii_of_bounded_length() {
        for name in ["a", "user:auth0|7", "user:a@b.c", "::", ".", "{}~!#", &"x".repeat(128)] {
            assert_eq!(validate_name(name), Ok(()), "{name}");
        }
        assert_eq!(validate_name(""), Err(NameError::Empty));
        assert_eq!(validate_name(&"x".repeat(129)), Err(NameError::TooLong(129)));
        for name in ["ab c", "ab*", "ab\"", "ab\\", "ab\n", "ab\x7f", "abé"] {
            assert_eq!(validate_name(name), Err(NameError::Byte(2)), "{name}");
        }
    }

    #[test]
    fn wildcards_are_whole_segments() {
        for text in ["*", "**", "a", "a.*:**", "*.*", "**:**", ":*", "*:"] {
            assert_eq!(pattern(text).as_str(), text);
        }
        for text in ["a*", "*a", "***", "a.b*:c", "x:****", "**a"] {
            assert_eq!(Pattern::parse(text), Err(PatternError::PartialWildcard), "{text}");
        }
        assert_eq!(Pattern::parse("a b"), Err(PatternError::Name(NameError::Byte(1))));
        assert_eq!(Pattern::parse(""), Err(PatternError::Name(NameError::Empty)));
    }
    #[test]
    fn patterns_match_by_segment_and_separator() {
        let check = |text: &str, name: &str, expected: bool| {
            assert_eq!(pattern(text).matches(name), expected, "{text} against {name}");
            let mut trie = PatternTrie::new();
            *trie.entry(&pattern(text)) = true;
            let mut found = false;
            trie.for_each_match(name, |value| found |= value);
            assert_eq!(found, expected, "{text} in a trie against {name}");
        };
        check("user:7", "user:7", true);
        check("user:7", "user.7", false);
        check("*", "user", true);
        check("*", "user:7", false);
        check("user:*", "user:7", true);
        check("user:*", "user.7", false);
        check("user:*", "user:7:x", false);
        check("user:*", "user:", true);
        check("user:*", "user", false);
        check("*.*", ".", true);
        check("**", "a", true);
        check("**", "a.b:c", true);
        check("a:**", "a", false);
        check("a:**", "a:b", true);
        check("a:**", "a:b.c:d", true);
        check("a:**", "a.b:c", false);
        check("**:z", "z", false);
        check("**:z", "a.b:z", true);
        check("**:z", "a:b.z", false);
        check("a.**.z", "a.z", false);
        check("a.**.z", "a.b:z.z", true);
        check("a.**.z", "a.z.z.y", false);
        check("**.**", "a.b", true);
        check("**.**", "a:b", false);
        check("**.**", "a:b.c", true);
        check("**.b.**.b", "b.b.b", false);
        check("**.b.**.b", "b.b.b.b", true);
        check("**:*.x", "a:b:c.x", true);
    }

    proptest! {
        #[test]
        fn any_text_is_judged_without_a_panic(text in "\\PC{0,140}", name in "\\PC{0,140}") {
            let _ = validate_name(&text);
            if let Ok(pattern) = Pattern::parse(&text) {
                let _ = pattern.matches(&name);
            }
        }
    }
}
