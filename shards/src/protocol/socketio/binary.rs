//! Binary attachments: bytes that stand beside an event's JSON on the wire, and inside it in the gateway.
//!
//! A client's placeholders are replaced by `{"_base64":"…"}`, so that an event is JSON like any other from here on:
//! clients of other dialects see that, and so do histories. On its way to a Socket.IO client a message that came with
//! attachments gets them back.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::protocol::json::Value;

/// What stands in front of an attachment's base64, and behind it.
const OPEN: &[u8] = br#"{"_base64":""#;
const CLOSE: &[u8] = br#""}"#;

/// An event whose placeholders and attachments do not fit together; it ends the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// Puts attachments in the places of their placeholders.
///
/// # Errors
/// [`Malformed`] when a placeholder names no attachment, or one that stands elsewhere already: a few bytes would
/// otherwise become as many as one likes.
pub fn inline(text: &[u8], value: Value<'_>, attachments: &[Bytes]) -> Result<Vec<u8>, Malformed> {
    let mut places = Vec::new();
    find(text, value, &mut places)?;
    let mut used = vec![false; attachments.len()];
    let mut out =
        Vec::with_capacity(text.len() + attachments.iter().map(|it| it.len() / 3 * 4 + 24).sum::<usize>());
    let mut at = 0;
    for Place { start, end, number } in places {
        let attachment = attachments.get(number).ok_or(Malformed)?;
        if std::mem::replace(&mut used[number], true) {
            return Err(Malformed);
        }
        out.extend_from_slice(&text[at..start]);
        write(&mut out, attachment);
        at = end;
    }
    out.extend_from_slice(&text[at..]);
    Ok(out)
}

/// Writes an attachment as it stands inside JSON.
pub fn write(out: &mut Vec<u8>, attachment: &[u8]) {
    out.extend_from_slice(OPEN);
    out.extend_from_slice(STANDARD.encode(attachment).as_bytes());
    out.extend_from_slice(CLOSE);
}

/// A placeholder in a text.
struct Place {
    start: usize,
    end: usize,
    number: usize,
}

fn find(text: &[u8], value: Value<'_>, places: &mut Vec<Place>) -> Result<(), Malformed> {
    if value.get("_placeholder").and_then(|it| it.as_bool()) == Some(true) {
        let number = value.get("num").and_then(|it| it.as_u64()).ok_or(Malformed)?;
        let number = usize::try_from(number).map_err(|_| Malformed)?;
        // The value's bytes are a part of the text's.
        let start = value.raw().as_ptr() as usize - text.as_ptr() as usize;
        places.push(Place { start, end: start + value.raw().len(), number });
        return Ok(());
    }
    for (_, member) in value.members() {
        find(text, member, places)?;
    }
    for element in value.elements().into_iter().flatten() {
        find(text, element, places)?;
    }
    Ok(())
}

/// Takes attachments out of JSON again: the text with placeholders, and the attachments in their order, at most so many.
#[must_use]
pub fn extract(text: &[u8], attachments_max: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (mut out, mut attachments) = (Vec::with_capacity(text.len()), Vec::new());
    let mut rest = text;
    // In valid JSON these bytes stand nowhere within a string: its quotation marks would be escaped.
    while let Some(at) = memchr::memmem::find(rest, OPEN).filter(|_| attachments.len() < attachments_max) {
        let behind = &rest[at + OPEN.len()..];
        let end = memchr::memchr(b'"', behind).unwrap_or(behind.len());
        match STANDARD.decode(&behind[..end]) {
            Ok(attachment) if behind[end..].starts_with(CLOSE) => {
                out.extend_from_slice(&rest[..at]);
                out.extend_from_slice(
                    format!(r#"{{"_placeholder":true,"num":{}}}"#, attachments.len()).as_bytes(),
                );
                attachments.push(attachment);
                rest = &behind[end + CLOSE.len()..];
            }
            // The application's own; it stays.
            _ => {
                let kept = at + OPEN.len();
                out.extend_from_slice(&rest[..kept]);
                rest = &rest[kept..];
            }
        }
    }
    out.extend_from_slice(rest);
    (out, attachments)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::json::Parser;

    fn inlined(text: &str, attachments: &[&'static [u8]]) -> Result<String, Malformed> {
        let attachments: Vec<Bytes> = attachments.iter().map(|it| Bytes::from_static(it)).collect();
        let parsed =
            Parser::new(32).parse(text.as_bytes(), |value| inline(text.as_bytes(), value, &attachments));
        parsed.expect("JSON").map(|bytes| String::from_utf8(bytes).expect("UTF-8"))
    }

    #[test]
    fn attachments_stand_where_their_placeholders_were() {
        let text =
            r#"["a", {"x":{"_placeholder":true,"num":1},"y":[ {"num":0 , "_placeholder":true}]}, "{"]"#;
        let out = inlined(text, &[&[1, 2, 3], b"hi"]).expect("they fit");
        assert_eq!(out, r#"["a", {"x":{"_base64":"aGk="},"y":[ {"_base64":"AQID"}]}, "{"]"#);
        let (back, attachments) = extract(out.as_bytes(), 10);
        assert_eq!(
            String::from_utf8(back).expect("UTF-8"),
            r#"["a", {"x":{"_placeholder":true,"num":0},"y":[ {"_placeholder":true,"num":1}]}, "{"]"#
        );
        assert_eq!(attachments, [b"hi".to_vec(), vec![1, 2, 3]]);
    }

    #[test]
    fn placeholders_that_name_nothing_are_malformed() {
        for number in ["1", "-1", "0.5", "\"0\"", "null", "99999999999999999999"] {
            let text = format!(r#"["a",{{"_placeholder":true,"num":{number}}}]"#);
            assert_eq!(inlined(&text, &[b"x"]), Err(Malformed), "{text}");
        }
        assert_eq!(inlined(r#"["a",{"_placeholder":true}]"#, &[b"x"]), Err(Malformed));
        let twice = r#"[{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]"#;
        assert_eq!(inlined(twice, &[b"x"]), Err(Malformed));
        let other = r#"["a",{"_placeholder":false,"num":7},{"_placeholder":1}]"#;
        assert_eq!(inlined(other, &[]).as_deref(), Ok(other));
    }

    #[test]
    fn what_is_no_attachment_stays() {
        for text in [
            r#"{"_base64":"!"}"#,
            r#"{"_base64":"AQID","x":1}"#,
            r#"{"_base64":"#,
            "\"{\\\"_base64\\\":\\\"\"",
        ] {
            assert_eq!(extract(text.as_bytes(), 9), (text.as_bytes().to_vec(), vec![]), "{text}");
        }
        let (text, attachments) = extract(br#"[{"_base64":"AQID"},{"_base64":"AQID"}]"#, 1);
        assert_eq!(attachments.len(), 1);
        assert!(text.ends_with(br#"{"_base64":"AQID"}]"#));
    }

    proptest! {
        #[test]
        fn bytes_survive(attachments in proptest::collection::vec(any::<Vec<u8>>(), 0..9)) {
            let holders: Vec<String> =
                (0..attachments.len()).map(|number| format!(r#"{{"_placeholder":true,"num":{number}}}"#)).collect();
            let text = format!(r#"["e",{}]"#, if holders.is_empty() { "0".into() } else { holders.join(",") });
            let bytes: Vec<Bytes> = attachments.iter().cloned().map(Bytes::from).collect();
            let inside = Parser::new(32)
                .parse(text.as_bytes(), |value| inline(text.as_bytes(), value, &bytes))
                .expect("JSON")
                .expect("they fit");
            prop_assert_eq!(extract(&inside, 9), (text.into_bytes(), attachments));
        }
    }
}
