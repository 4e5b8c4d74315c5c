use super::*;

const GOOD: &[&str] = &[
    "Host: a",
    "Upgrade: websocket",
    "Connection: keep-alive, Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

fn head(line: &str, headers: &[&str]) -> Vec<u8> {
    format!("{line}\r\n{}\r\n\r\n", headers.join("\r\n")).into_bytes()
}

fn with(extra: &[&str]) -> Vec<u8> {
    head("GET /ws HTTP/1.1", &[GOOD, extra].concat())
}

fn without(name: &str) -> Vec<u8> {
    let headers: Vec<_> = GOOD.iter().copied().filter(|line| !line.starts_with(name)).collect();
    head("GET /ws HTTP/1.1", &headers)
}

fn upgrade(bytes: &[u8], config: &Config) -> Upgrade {
    match parse(bytes, config).expect("accepted").expect("complete") {
        Request::Upgrade(upgrade) => *upgrade,
        _ => panic!("not an upgrade"),
    }
}

fn status(bytes: &[u8]) -> u16 {
    let config = Config { allowed_origins: Some(vec!["https://a".into()]), ..Config::default() };
    parse(bytes, &config).expect_err("refused").status
}

#[test]
fn the_answer_is_rfc_6455s() {
    let upgrade = upgrade(&with(&[]), &Config::default());
    let response = String::from_utf8(upgrade.response()).unwrap();
    assert!(response.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    assert!(!response.contains("Protocol:"));
}

#[test]
fn what_is_no_proper_upgrade_is_refused() {
    assert_eq!(status(&head("GET /ws HTTP/1.0", GOOD)), 400);
    assert_eq!(status(&head("POST /ws HTTP/1.1", GOOD)), 405);
    assert_eq!(status(&head("GET /ws HTTP/2.0", GOOD)), 505);
    assert_eq!(status(&without("Host")), 400);
    assert_eq!(status(&without("Upgrade")), 426);
    assert_eq!(status(&without("Connection")), 400);
    assert_eq!(status(&without("Sec-WebSocket-Version")), 426);
    assert_eq!(status(&without("Sec-WebSocket-Key")), 400);
    assert_eq!(status(&with(&["Host: b"])), 400);
    assert_eq!(status(&with(&["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="])), 400);
    assert_eq!(status(&with(&["Content-Length: 5"])), 400);
    assert_eq!(status(&with(&["Transfer-Encoding: chunked"])), 400);
    assert_eq!(status(&with(&["X: a", " folded"])), 400);
    assert_eq!(status(&with(&["Origin: https://b"])), 403);
    assert_eq!(status(&with(&["Origin: null"])), 403);
    assert_eq!(status(&with(&["Origin: https://a", "Origin: https://a"])), 400);
    assert_eq!(status(&with(&["Authorization: Basic eA=="])), 401);
    assert_eq!(status(&head("GET /ws?profile=x HTTP/1.1", GOOD)), 400);
    assert_eq!(status(&with(&[&format!("X: {}", "a".repeat(HEAD_BYTES_MAX))])), 431);
    assert_eq!(status(&vec![b'a'; HEAD_BYTES_MAX]), 431);
    assert_eq!(status(b"\x16\x03\x01"), 400);
}

#[test]
fn other_paths_belong_to_the_control_plane() {
    let config = Config::default();
    assert!(matches!(parse(b"GET /healthz HTTP/1.0\r\n\r\n", &config), Ok(Some(Request::Http))));
    assert!(matches!(parse(b"GET /ws HTTP/1.1\r\nHost:", &config), Ok(None)));
    let config = Config { websocket: false, ..config };
    assert!(matches!(parse(&with(&[]), &config), Ok(Some(Request::Http))));
}

#[test]
fn a_token_in_the_header_comes_before_one_in_the_url() {
    let url = head("GET /ws?token=q%2Bq&profile=topic HTTP/1.1", GOOD);
    let found = upgrade(&url, &Config::default());
    assert_eq!(found.token, Some((TokenOrigin::Url, "q+q".into())));
    assert_eq!(found.profile.name, "topic");
    let absolute = head("GET http://a/ws?profile=chat HTTP/1.1", GOOD);
    assert_eq!(upgrade(&absolute, &Config::default()).profile.name, "chat");
    let protocols = "Sec-WebSocket-Protocol: roomcast.bearer.p.p.p, roomcast.topic.v1";
    let both = head("GET /ws?token=q HTTP/1.1", &[GOOD, &[protocols]].concat());
    let found = upgrade(&both, &Config::default());
    assert_eq!(found.token, Some((TokenOrigin::Url, "p.p.p".into())));
    assert_eq!(found.dialect, Some(Dialect::Topic));
    assert!(String::from_utf8(found.response()).unwrap().contains("Protocol: roomcast.topic.v1\r\n"));
    let header = with(&[protocols, "Authorization: bearer h.h.h"]);
    assert_eq!(upgrade(&header, &Config::default()).token, Some((TokenOrigin::Header, "h.h.h".into())));
}
