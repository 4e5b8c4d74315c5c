//! Makes the strings of a value harmless in HTML, for applications that show them unescaped (`--sanitize escape`).

use bytes::Bytes;

use super::skip::skip_string;

/// Replaces `&`, `<`, `>`, `"` and `'` in every string of a valid JSON text by HTML entities, however they were written.
/// Names of members and everything that is no string stay byte for byte.
#[must_use]
pub fn escape_strings(text: Bytes) -> Bytes {
    if !text.iter().any(|byte| matches!(byte, b'&' | b'<' | b'>' | b'\'' | b'\\')) {
        return text;
    }
    let mut out = Vec::with_capacity(text.len() + text.len() / 8);
    let mut at = 0;
    while at < text.len() {
        if text[at] != b'"' {
            out.push(text[at]);
            at += 1;
            continue;
        }
        let end = skip_string(&text, at);
        if is_name(&text[end..]) {
            out.extend_from_slice(&text[at..end]);
        } else {
            out.push(b'"');
            escape_string(&mut out, &text[at + 1..end - 1]);
            out.push(b'"');
        }
        at = end;
    }
    out.into()
}

/// Whether what stands before is the name of a member.
fn is_name(behind: &[u8]) -> bool {
    behind.trim_ascii_start().first() == Some(&b':')
}

fn escape_string(out: &mut Vec<u8>, text: &[u8]) {
    let mut at = 0;
    while at < text.len() {
        let (byte, len) = match &text[at..] {
            [b'\\', b'u', hex @ ..] => (escaped_byte(hex), 6),
            [b'\\', b'"', ..] => (Some(b'"'), 2),
            [b'\\', _, ..] => (None, 2),
            [byte, ..] => (Some(*byte), 1),
            [] => return,
        };
        let len = len.min(text.len() - at);
        match byte.and_then(entity) {
            Some(entity) => out.extend_from_slice(entity),
            None => out.extend_from_slice(&text[at..at + len]),
        }
        at += len;
    }
}

/// The character of an escape that stands for one of ASCII.
fn escaped_byte(hex: &[u8]) -> Option<u8> {
    let hex = std::str::from_utf8(hex.get(..4)?).ok()?;
    u8::try_from(u16::from_str_radix(hex, 16).ok()?).ok()
}

fn entity(byte: u8) -> Option<&'static [u8]> {
    Some(match byte {
        b'&' => b"&amp;",
        b'<' => b"&lt;",
        b'>' => b"&gt;",
        b'"' => b"&quot;",
        b'\'' => b"&#39;",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escaped(text: &str) -> String {
        String::from_utf8(escape_strings(Bytes::copy_from_slice(text.as_bytes())).to_vec()).expect("UTF-8")
    }

    #[test]
    fn markup_is_escaped_however_it_is_written() {
        assert_eq!(
            escaped(r#""<b>&'\"\u003c\u003E\u0026\u0027\u0022""#),
            r#""&lt;b&gt;&amp;&#39;&quot;&lt;&gt;&amp;&#39;&quot;""#
        );
        assert_eq!(
            escaped(r#"{"<k>" : ["<v>", 1e999, {"a":"\\<"}]}"#),
            r#"{"<k>" : ["&lt;v&gt;", 1e999, {"a":"\\&lt;"}]}"#
        );
        for same in ["\"plain\"", "12.50", "null", r#""\u00e9\n\t\ud83d\ude00""#, "\"\""] {
            assert_eq!(escaped(same), same);
        }
    }

    proptest! {
        #[test]
        fn what_comes_out_is_the_same_text_as_html(text in any::<String>()) {
            let json = serde_json::to_string(&text).expect("a string");
            let out: String = serde_json::from_str(&escaped(&json)).expect("still JSON");
            prop_assert!(!out.contains(['<', '>', '"', '\'']));
            let back = out.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'");
            prop_assert_eq!(back.replace("&amp;", "&"), text);
        }
    }
}
