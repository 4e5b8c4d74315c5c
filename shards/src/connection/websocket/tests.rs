use proptest::prelude::*;
use tungstenite::protocol::frame::coding::Control;

use super::*;

const MAX: usize = 1 << 20;

/// A client's frame, masked.
fn frame(opcode: OpCode, fin: bool, payload: &[u8]) -> Vec<u8> {
    let header = FrameHeader { opcode, is_final: fin, mask: Some([1, 2, 3, 4]), ..FrameHeader::default() };
    let mut out = Vec::new();
    header.format(payload.len() as u64, &mut out).unwrap();
    out.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ [1, 2, 3, 4][at % 4]));
    out
}

fn text(payload: &str) -> Vec<u8> {
    frame(OpCode::Data(Data::Text), true, payload.as_bytes())
}

/// Reads pieces one after the other; the texts, then the replies, then the failure.
fn read(
    socket: &mut WebSocket,
    pool: &mut Pool,
    pieces: &[&[u8]],
) -> (Vec<String>, Vec<u8>, Option<Failure>) {
    let (mut texts, mut replies) = (Vec::new(), Vec::new());
    for piece in pieces {
        let piece = socket.receive(piece);
        let mut reading = socket.read(pool, piece, MAX);
        loop {
            match reading.next_message() {
                Ok(Some(Incoming::Text(text))) => texts.push(text.to_string()),
                Ok(Some(Incoming::Binary(data))) => texts.push(format!("{data:?}")),
                Ok(Some(Incoming::Pong(payload))) => texts.push(format!("pong {payload:?}")),
                Ok(Some(Incoming::Close)) => {
                    texts.push("close".into());
                    replies.extend(reading.take_replies());
                    return (texts, replies, None);
                }
                Ok(None) => break,
                Err(failure) => return (texts, replies, Some(failure)),
            }
        }
        replies.extend(reading.take_replies());
    }
    (texts, replies, None)
}

#[test]
fn an_idle_connection_holds_no_parser() {
    let (mut socket, mut pool) = (WebSocket::default(), Pool::default());
    let whole = text("hello");
    read(&mut socket, &mut pool, &[&whole]);
    assert!(socket.parser.is_none());
    assert_eq!(pool.0.len(), 1);
    read(&mut socket, &mut pool, &[&whole[..3]]);
    assert!(socket.parser.is_some());
    let (texts, _, _) = read(&mut socket, &mut pool, &[&whole[3..]]);
    assert_eq!(texts, ["hello"]);
    assert!(socket.parser.is_none());
    assert!(size_of::<WebSocket>() <= 64);
}

#[test]
fn a_parser_with_a_large_arena_is_not_kept() {
    let (mut socket, mut pool) = (WebSocket::default(), Pool::default());
    let (texts, _, _) = read(&mut socket, &mut pool, &[&text(&"x".repeat(100_000))]);
    assert_eq!(texts[0].len(), 100_000);
    assert!(socket.parser.is_none() && pool.0.is_empty());
}

#[test]
fn a_fragmented_message_keeps_its_parser_until_it_ends() {
    let (mut socket, mut pool) = (WebSocket::default(), Pool::default());
    let first = frame(OpCode::Data(Data::Text), false, b"he");
    let ping = frame(OpCode::Control(Control::Ping), true, b"p");
    let last = frame(OpCode::Data(Data::Continue), true, b"llo");
    let (texts, replies, _) = read(&mut socket, &mut pool, &[&first, &ping]);
    assert!(texts.is_empty() && socket.parser.is_some());
    assert_eq!(replies, [0x8a, 1, b'p']);
    let (texts, _, _) = read(&mut socket, &mut pool, &[&last]);
    assert_eq!(texts, ["hello"]);
    assert!(socket.parser.is_none());
}

#[test]
fn a_close_is_answered_with_its_code() {
    let (mut socket, mut pool) = (WebSocket::default(), Pool::default());
    let close = frame(OpCode::Control(Control::Close), true, &1000u16.to_be_bytes());
    let (texts, replies, _) = read(&mut socket, &mut pool, &[&close]);
    assert_eq!(texts, ["close"]);
    assert_eq!(replies, [0x88, 2, 0x03, 0xe8]);
}

#[test]
fn broken_frames_name_their_close_code() {
    let unmasked = vec![0x81, 1, b'a'];
    let reserved = vec![0xc1, 0x80, 0, 0, 0, 0];
    let large = vec![0x81, 0xff, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
    let utf8 = frame(OpCode::Data(Data::Text), true, &[0xff]);
    let overlong = [&[0x81, 0xfe, 0, 1, 0, 0, 0, 0][..], b"a"].concat();
    let cases: [(&[u8], CloseCode); 5] = [
        (&overlong, CloseCode::Protocol),
        (&unmasked, CloseCode::Protocol),
        (&reserved, CloseCode::Protocol),
        (&large, CloseCode::TooLarge),
        (&utf8, CloseCode::InvalidData),
    ];
    for (bytes, code) in cases {
        let (_, _, failure) = read(&mut WebSocket::default(), &mut Pool::default(), &[bytes]);
        assert_eq!(failure.map(|failure| failure.code), Some(code), "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn how_the_bytes_are_cut_changes_nothing(
        messages in proptest::collection::vec(("[a-z]{0,300}", 1usize..4), 1..6),
        cuts in proptest::collection::vec(1usize..40, 1..80),
    ) {
        let mut wire = Vec::new();
        for (message, parts) in &messages {
            let size = message.len().div_ceil(*parts).max(1);
            let pieces: Vec<_> = if message.is_empty() { vec![&b""[..]] } else { message.as_bytes().chunks(size).collect() };
            for (index, piece) in pieces.iter().enumerate() {
                let opcode = OpCode::Data(if index == 0 { Data::Text } else { Data::Continue });
                wire.extend(frame(opcode, index + 1 == pieces.len(), piece));
            }
        }
        let (mut pieces, mut rest) = (Vec::new(), &wire[..]);
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break; }
            let (piece, tail) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = tail;
        }
        let mut socket = WebSocket::default();
        let (texts, _, failure) = read(&mut socket, &mut Pool::default(), &pieces);
        prop_assert_eq!(failure, None);
        prop_assert_eq!(texts, messages.into_iter().map(|(message, _)| message).collect::<Vec<_>>());
        prop_assert!(socket.parser.is_none());
    }
}
