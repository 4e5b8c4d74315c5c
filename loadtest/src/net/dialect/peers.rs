//! NATS and nchan, for comparison: they know no rooms and number no messages, but a subject and a channel come close.

use std::io::Write as _;

use super::Reply;

/// Appends what makes a NATS client of the connection and subscribes it to a subject. The answer to the ping says that
/// all of it was taken.
pub(super) fn write_nats_join(out: &mut Vec<u8>, subject: &str) {
    write!(
        out,
        "CONNECT {{\"verbose\":false,\"pedantic\":false,\"lang\":\"rust\",\"version\":\"1\",\"protocol\":1}}\r\n\
         SUB {subject} 1\r\nPING\r\n"
    )
    .expect("a Vec takes every write");
}

/// Appends a publication with `write_content`'s content; how long that is stands before it.
pub(super) fn write_nats_message(out: &mut Vec<u8>, subject: &str, write_content: impl FnOnce(&mut Vec<u8>)) {
    write!(out, "PUB {subject} ").expect("a Vec takes every write");
    let size_at = out.len();
    write_content(out);
    let size = format!("{}\r\n", out.len() - size_at);
    out.splice(size_at..size_at, size.into_bytes());
    out.extend_from_slice(b"\r\n");
}

/// What a line means to a connection that is not ready yet.
pub(super) fn read_nats_reply(line: &[u8]) -> Reply {
    match line {
        b"PONG" => Reply::Joined(0),
        _ => read_nats_error(line).map_or(Reply::Unrelated, Reply::Refused),
    }
}

/// The text of an error; `None` for any other line.
pub(super) fn read_nats_error(line: &[u8]) -> Option<String> {
    let text = line.strip_prefix(b"-ERR ")?;
    Some(String::from_utf8_lossy(text).trim_matches('\'').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_lines_of_the_protocol() {
        let mut out = Vec::new();
        write_nats_join(&mut out, "bench:3");
        let text = String::from_utf8(out).expect("ASCII");
        assert!(text.starts_with("CONNECT {\"verbose\":false,"), "{text}");
        assert!(text.ends_with("}\r\nSUB bench:3 1\r\nPING\r\n"), "{text}");
        let mut out = b"before".to_vec();
        write_nats_message(&mut out, "bench:3", |out| out.extend_from_slice(b"hello world!"));
        assert_eq!(out, b"beforePUB bench:3 12\r\nhello world!\r\n");
    }

    #[test]
    fn answers_are_told_apart() {
        assert_eq!(read_nats_reply(b"PONG"), Reply::Joined(0));
        assert_eq!(read_nats_reply(b"INFO {}"), Reply::Unrelated);
        let refused = Reply::Refused("Authorization Violation".to_owned());
        assert_eq!(read_nats_reply(b"-ERR 'Authorization Violation'"), refused);
        assert_eq!(read_nats_error(b"hello"), None);
    }
}
