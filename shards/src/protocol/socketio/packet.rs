//! One Socket.IO packet as a client sends it: the header in front of its JSON.
//!
//! Text order: type, number of attachments and `-`, namespace and `,` unless it is `/`, digits of an ack id, JSON.
//! Source: Socket.IO protocol 5, "Packet encoding".

/// Digits of the longest ack id: clients count from 0.
const ID_DIGITS_MAX: usize = 19;

/// What a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Enter a namespace.
    Connect,
    /// Leave it.
    Disconnect,
    /// Something happened.
    Event,
    /// The answer to an event.
    Ack,
}

/// A packet whose JSON is yet to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What it is.
    pub kind: Kind,
    /// Binary frames that follow and belong to it; `None` for a packet of text alone.
    pub attachments: Option<usize>,
    /// The namespace.
    pub namespace: &'a str,
    /// The sender's number for an answer, as digits.
    pub id: Option<&'a str>,
    /// The JSON, perhaps empty.
    pub payload: &'a str,
}

impl<'a> Packet<'a> {
    /// Reads a packet; `None` when it is malformed, which ends the connection.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let kind = match text.as_bytes().first()? {
            b'0' => Kind::Connect,
            b'1' => Kind::Disconnect,
            b'2' | b'5' => Kind::Event,
            b'3' | b'6' => Kind::Ack,
            _ => return None,
        };
        let (attachments, rest) = match &text[1..] {
            rest if matches!(text.as_bytes()[0], b'5' | b'6') => {
                let (count, rest) = rest.split_once('-')?;
                (Some(digits(count, 4).filter(|all| *all == count)?.parse().ok()?), rest)
            }
            rest => (None, rest),
        };
        let (namespace, rest) = match rest {
            named if named.starts_with('/') => named.split_once(',').unwrap_or((named, "")),
            rest => ("/", rest),
        };
        let id = digits(rest, ID_DIGITS_MAX)?;
        let payload = &rest[id.len()..];
        let id = Some(id).filter(|id| !id.is_empty());
        let is_whole = match kind {
            Kind::Connect => id.is_none() && (payload.is_empty() || payload.starts_with('{')),
            Kind::Disconnect => id.is_none() && payload.is_empty(),
            Kind::Event => payload.starts_with('['),
            Kind::Ack => id.is_some() && payload.starts_with('['),
        };
        is_whole.then_some(Self { kind, attachments, namespace, id, payload })
    }
}

/// The digits at the front, perhaps none; `None` when there are too many.
fn digits(text: &str, digits_max: usize) -> Option<&str> {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    (end <= digits_max).then(|| &text[..end])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, kind: Kind, attachments: Option<usize>, rest: (&str, Option<&str>, &str)) {
        let (namespace, id, payload) = rest;
        assert_eq!(Packet::parse(text), Some(Packet { kind, attachments, namespace, id, payload }), "{text}");
    }

    #[test]
    fn headers_are_read() {
        check("0", Kind::Connect, None, ("/", None, ""));
        check(r#"0{"token":"x"}"#, Kind::Connect, None, ("/", None, r#"{"token":"x"}"#));
        check("0/admin,{}", Kind::Connect, None, ("/admin", None, "{}"));
        check("0/admin", Kind::Connect, None, ("/admin", None, ""));
        check("1/admin,", Kind::Disconnect, None, ("/admin", None, ""));
        check(r#"2["a"]"#, Kind::Event, None, ("/", None, r#"["a"]"#));
        check(r#"2/n,12["a"]"#, Kind::Event, None, ("/n", Some("12"), r#"["a"]"#));
        check("312[1]", Kind::Ack, None, ("/", Some("12"), "[1]"));
        check(r#"52-/n,7["a"]"#, Kind::Event, Some(2), ("/n", Some("7"), r#"["a"]"#));
        check("61-0[]", Kind::Ack, Some(1), ("/", Some("0"), "[]"));
    }

    #[test]
    fn what_is_no_packet_is_none() {
        for text in [
            "",
            "7",
            "a",
            "é",
            "4{}",
            "0[]",
            "0\"x\"",
            "05{}",
            "1{}",
            "2",
            "2{}",
            "21{}",
            "3[]",
            "3",
            "5[\"a\"]",
            "5-[\"a\"]",
            "5x-[\"a\"]",
            "51[\"a\"]",
            "5 1-[]",
            "512345-[\"a\"]",
            "212345678901234567890[\"a\"]",
        ] {
            assert_eq!(Packet::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in any::<String>()) {
            let _ = Packet::parse(&text);
        }
    }
}
