//! Patterns of event names: `*` is one whole segment, `**` one or more, everything else is itself.

use super::event::check_name;

/// A pattern of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamePattern {
    /// Each with the separator in front of it.
    segments: Vec<(Option<char>, Segment)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    One,
    Many,
    Text(Box<str>),
}

impl NamePattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// The text for the operator.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let segments = split(text).into_iter().map(|(separator, text)| {
            let segment = match text {
                "*" => Segment::One,
                "**" => Segment::Many,
                text => {
                    check_name(text).map_err(|_| {
                        format!(
                            "pattern {text:?}: expected an event's name in which a whole segment may be * (one \
                             segment) or ** (one or more)"
                        )
                    })?;
                    Segment::Text(text.into())
                }
            };
            Ok((separator, segment))
        });
        Ok(Self { segments: segments.collect::<Result<_, String>>()? })
    }

    /// Whether it stands for a name.
    pub(crate) fn matches(&self, name: &str) -> bool {
        matches(&self.segments, &split(name))
    }
}

fn matches(pattern: &[(Option<char>, Segment)], name: &[(Option<char>, &str)]) -> bool {
    let Some(((wanted, segment), rest)) = pattern.split_first() else { return name.is_empty() };
    let Some(((separator, text), behind)) = name.split_first() else { return false };
    if wanted != separator {
        return false;
    }
    match segment {
        Segment::Text(wanted) => **wanted == **text && matches(rest, behind),
        Segment::One => matches(rest, behind),
        Segment::Many => (0..=behind.len()).any(|taken| matches(rest, &behind[taken..])),
    }
}

fn split(name: &str) -> Vec<(Option<char>, &str)> {
    let mut out = Vec::new();
    let (mut separator, mut rest) = (None, name);
    while let Some(at) = rest.find(['.', ':']) {
        out.push((separator, &rest[..at]));
        separator = rest[at..].chars().next();
        rest = &rest[at + 1..];
    }
    out.push((separator, rest));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_segments() {
        let check = |pattern: &str, matching: &[&str], others: &[&str]| {
            let parsed = NamePattern::parse(pattern).expect(pattern);
            for name in matching {
                assert!(parsed.matches(name), "{pattern} matches {name}");
            }
            for name in others {
                assert!(!parsed.matches(name), "{pattern} does not match {name}");
            }
        };
        check("message.created", &["message.created"], &["message", "message.created.x", "message:created"]);
        check("message.*", &["message.created"], &["message", "message.a.b", "message:created"]);
        check("message.**", &["message.created", "message.a.b", "message.a:b"], &["message", "messages.a"]);
        check("**", &["a", "a.b", "a:b.c"], &[]);
        check("*", &["a"], &["a.b"]);
        check("**.deleted", &["a.deleted", "a:b.deleted"], &["deleted", "a:deleted"]);
        check("a.**.z", &["a.b.z", "a.b.c.z"], &["a.z"]);
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in ["", "a..b", "a*", "***", "a b", "é"] {
            assert!(NamePattern::parse(text).is_err(), "{text}");
        }
    }
}
