//! RFC 6455 on the wire: fragments, control frames, and the close code of each violation.

use std::time::Duration;

use crate::support::raw::{self, BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT};
use crate::support::{RawSocket, Server};

const EVENT_PING: &[u8] = br#"{"event":"ping","requestId":1}"#;

fn server() -> Server {
    Server::builder()
        .shards(1)
        .auth_off()
        .with(&["--echo-path", "/echo", "--max-message-size", "65536"])
        .start()
}

fn echo(server: &Server) -> RawSocket {
    RawSocket::upgrade(server.address, "/echo")
}

/// Sends these bytes on a fresh connection to each endpoint and expects to be closed with `code`.
fn assert_closes(server: &Server, code: u16, bytes: &[u8]) {
    for path in ["/echo", "/ws"] {
        let mut socket = RawSocket::upgrade(server.address, path);
        socket.send_bytes(bytes);
        assert_eq!(socket.expect_close(), code, "{path} after {:02x?}", &bytes[..bytes.len().min(16)]);
    }
}

#[test]
fn the_echo_path_returns_what_it_is_sent() {
    let server = server();
    let mut socket = echo(&server);
    for length in [0, 1, 125, 126, 127, 65535, 65536] {
        let payload = vec![b'x'; length];
        socket.send(FIN | TEXT, &payload);
        assert_eq!(socket.expect(TEXT), payload, "{length} bytes of text");
        let payload = vec![0xff; length];
        socket.send(FIN | BINARY, &payload);
        assert_eq!(socket.expect(BINARY), payload, "{length} binary bytes");
    }
}

#[test]
fn fragments_are_joined_and_control_frames_between_them_answered_at_once() {
    let server = server();
    let mut socket = echo(&server);
    socket.send(TEXT, "grü".as_bytes());
    socket.send(FIN | PING, b"between");
    assert_eq!(socket.expect(PONG), b"between");
    // The two bytes of one character in two fragments.
    socket.send(CONTINUATION, &[0xc3]);
    socket.send(FIN | PONG, b"unasked");
    socket.send(CONTINUATION, &[]);
    socket.send(FIN | CONTINUATION, &[0x9f]);
    assert_eq!(socket.expect(TEXT), "grüß".as_bytes());
}

#[test]
fn an_event_in_fragments_is_one_event() {
    let server = server();
    let mut socket = RawSocket::upgrade(server.address, "/ws");
    let (head, tail) = EVENT_PING.split_at(9);
    socket.send(TEXT, head);
    socket.send(FIN | PING, &[]);
    socket.send(FIN | CONTINUATION, tail);
    assert_eq!(socket.expect(PONG), b"");
    let reply = String::from_utf8(socket.expect(TEXT)).expect("text");
    assert!(reply.contains(r#""requestId":1"#), "{reply}");
}

#[test]
fn frames_byte_by_byte_are_understood() {
    let server = server();
    let mut socket = RawSocket::upgrade(server.address, "/ws");
    for byte in raw::masked(FIN | TEXT, EVENT_PING) {
        socket.send_bytes(&[byte]);
    }
    assert!(String::from_utf8(socket.expect(TEXT)).expect("text").contains("pong"));
}

#[test]
fn many_frames_in_one_segment_are_all_answered_in_order() {
    let server = server();
    let mut socket = echo(&server);
    let frames: Vec<u8> = (0..100).flat_map(|n| raw::masked(FIN | TEXT, format!("{n}").as_bytes())).collect();
    socket.send_bytes(&frames);
    for n in 0..100 {
        assert_eq!(socket.expect(TEXT), format!("{n}").as_bytes());
    }
}

#[test]
fn a_ping_is_answered_with_its_payload() {
    let server = server();
    for path in ["/echo", "/ws"] {
        let mut socket = RawSocket::upgrade(server.address, path);
        for payload in [&b""[..], b"x", &[0xff; 125]] {
            socket.send(FIN | PING, payload);
            assert_eq!(socket.expect(PONG), payload, "{path}");
        }
    }
}

#[test]
fn a_close_is_echoed_and_ends_the_connection() {
    let server = server();
    for path in ["/echo", "/ws"] {
        for code in [1000_u16, 1001, 3000, 4999] {
            let mut socket = RawSocket::upgrade(server.address, path);
            socket.send(FIN | CLOSE, &code.to_be_bytes());
            assert_eq!(socket.expect(CLOSE)[..2], code.to_be_bytes(), "{path}");
            assert!(socket.read().is_none(), "nothing follows a close frame");
        }
        let mut socket = RawSocket::upgrade(server.address, path);
        socket.send(FIN | CLOSE, b"");
        let payload = socket.expect(CLOSE);
        assert!(payload.is_empty() || payload[..2] == 1000_u16.to_be_bytes(), "{payload:?}");
        assert!(socket.read().is_none(), "nothing follows a close frame");
    }
}

#[test]
fn nothing_is_answered_behind_a_close() {
    let server = server();
    let mut socket = echo(&server);
    let mut bytes = raw::masked(FIN | TEXT, b"before");
    bytes.extend(raw::masked(FIN | CLOSE, &1000_u16.to_be_bytes()));
    bytes.extend(raw::masked(FIN | TEXT, b"after"));
    socket.send_bytes(&bytes);
    assert_eq!(socket.expect(TEXT), b"before");
    assert_eq!(socket.expect(CLOSE)[..2], 1000_u16.to_be_bytes());
    assert!(socket.read().is_none(), "nothing follows a close frame");
}

#[test]
fn violations_of_the_framing_close_with_1002() {
    let server = server();
    // Not masked.
    assert_closes(&server, 1002, &[FIN | TEXT, 2, b'h', b'i']);
    for reserved_bit in [0x40, 0x20, 0x10] {
        assert_closes(&server, 1002, &raw::masked(FIN | reserved_bit | TEXT, b"hi"));
    }
    for opcode in [0x3, 0x7, 0xB, 0xF] {
        assert_closes(&server, 1002, &raw::masked(FIN | opcode, b""));
    }
    // Control frames must be short and whole.
    assert_closes(&server, 1002, &raw::masked(FIN | PING, &[0; 126]));
    assert_closes(&server, 1002, &raw::masked(PING, b""));
    assert_closes(&server, 1002, &raw::masked(CLOSE, b""));
    // A continuation of nothing, and a message within a message.
    assert_closes(&server, 1002, &raw::masked(FIN | CONTINUATION, b"hi"));
    let nested = [raw::masked(TEXT, b"one"), raw::masked(FIN | TEXT, b"two")].concat();
    assert_closes(&server, 1002, &nested);
}

#[test]
fn malformed_close_frames_close_with_1002() {
    let server = server();
    assert_closes(&server, 1002, &raw::masked(FIN | CLOSE, &[3]));
    for code in [0_u16, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
        assert_closes(&server, 1002, &raw::masked(FIN | CLOSE, &code.to_be_bytes()));
    }
    let mut not_utf8 = 1000_u16.to_be_bytes().to_vec();
    not_utf8.extend([0xff, 0xfe]);
    let mut socket = echo(&server);
    socket.send(FIN | CLOSE, &not_utf8);
    assert!(matches!(socket.expect_close(), 1002 | 1007), "RFC 6455 §5.5.1 and §8.1 both apply");
}

#[test]
fn text_that_is_not_utf8_closes_with_1007() {
    let server = server();
    for text in [&[0xff][..], &[0xc3], &[0xed, 0xa0, 0x80], &[0xf4, 0x90, 0x80, 0x80], &[0xc0, 0xaf]] {
        assert_closes(&server, 1007, &raw::masked(FIN | TEXT, text));
    }
    let fragments = [raw::masked(TEXT, &[0xc3]), raw::masked(FIN | CONTINUATION, b"(")].concat();
    assert_closes(&server, 1007, &fragments);
}

#[test]
fn a_message_above_the_limit_closes_with_1009() {
    let server = server();
    assert_closes(&server, 1009, &raw::masked(FIN | TEXT, &[b' '; 65537]));
    let half = [b' '; 40_000];
    let fragments = [raw::masked(TEXT, &half), raw::masked(FIN | CONTINUATION, &half)].concat();
    assert_closes(&server, 1009, &fragments);
    // The length alone is enough; nobody waits for 2^62 bytes.
    let mut header = vec![FIN | TEXT, 0x80 | 127];
    header.extend((1_u64 << 62).to_be_bytes());
    header.extend([0; 4]);
    assert_closes(&server, 1009, &header);
}

#[test]
fn a_binary_frame_on_ws_closes_with_1003() {
    let server = server();
    let mut socket = RawSocket::upgrade(server.address, "/ws");
    socket.send(FIN | BINARY, EVENT_PING);
    assert_eq!(socket.expect_close(), 1003);
}

#[test]
fn silent_connections_are_pinged_and_those_that_do_not_answer_are_closed() {
    let settings = ["--ping-interval", "200ms", "--ping-timeout", "1s"];
    let server = Server::builder().shards(1).auth_off().with(&settings).start();
    let mut answering = server.connect().open();
    let mut mute = RawSocket::upgrade(server.address, "/ws");
    std::thread::scope(|scope| {
        scope.spawn(|| answering.stays_open_for(Duration::from_millis(2500)));
        mute.expect(PING);
        while let Some((first, _)) = mute.read() {
            assert!(first == FIN | PING || first == FIN | CLOSE, "unexpected frame {first:02x}");
        }
    });
}
