//! The client against servers that say exactly what a test wants.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

use super::*;
use crate::backend::signature::Secrets;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

/// A server that gives each connection to `serve`, and its address.
fn serve(serve: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(serve));
    format!("http://{address}/hook?a=b")
}

/// One request, as far as its body of two bytes.
fn read(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n{}") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        text.push(byte[0]);
    }
    String::from_utf8(text).ok()
}

fn settings(url: &str) -> EndpointSettings {
    EndpointSettings {
        url: parse_url(url).unwrap(),
        headers: HeaderMap::from_iter([(hyper::header::AUTHORIZATION, HeaderValue::from_static("Bearer x"))]),
        signer: Arc::new(Signer::new(Secrets::read(b"hush").unwrap())),
        answer_bytes_max: 1024,
        idle_connections_max: 2,
    }
}

fn block_on<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
}

fn post(url: &str, time_max: Duration) -> Result<Answer, CallError> {
    let endpoint = HttpClient::default().endpoint(settings(url)).unwrap();
    block_on(endpoint.post(Bytes::from_static(b"{}"), time_max))
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_request_is_signed_and_connections_are_kept() {
    let (sender, requests) = std::sync::mpsc::channel();
    let url = serve(move |mut stream| {
        for number in 0.. {
            let Some(request) = read(&mut stream) else { return };
            sender.send((number, request)).unwrap();
            stream.write_all(OK).unwrap();
        }
    });
    let endpoint = HttpClient::default().endpoint(settings(&url)).unwrap();
    block_on(async {
        for number in 0..3 {
            let answer = endpoint.post(Bytes::from_static(b"{}"), SECOND).await.unwrap();
            assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, &b"{}"[..]));
            let (nth, request) = requests.recv().unwrap();
            assert_eq!(nth, number, "one connection serves all");
            let header = |name: &str| {
                let line = request.lines().find_map(|line| line.strip_prefix(name));
                line.unwrap_or_else(|| panic!("no {name} in {request}")).to_owned()
            };
            assert!(request.starts_with("POST /hook?a=b HTTP/1.1\r\n"), "{request}");
            assert_eq!(header("content-type: "), "application/json");
            assert_eq!(header("authorization: "), "Bearer x");
            let timestamp = header("x-roomcast-timestamp: ").parse().unwrap();
            assert_eq!(Some(header("x-roomcast-signature: ")), settings(&url).signer.sign(timestamp, b"{}"));
        }
    });
}

#[test]
fn each_way_to_fail_has_its_name() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let answering = |answer: &'static [u8]| {
        serve(move |mut stream| {
            read(&mut stream);
            let _ = stream.write_all(answer);
        })
    };
    let cases = [
        (closed, CallError::Connect),
        (answering(b""), CallError::Broken),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), CallError::Broken),
        (answering(b"no HTTP at all\r\n\r\n"), CallError::Broken),
        (serve(|stream| thread::sleep(SECOND * 9 * u32::from(stream.ttl().is_ok()))), CallError::Timeout),
    ];
    for (url, expected) in cases {
        let began = Instant::now();
        assert_eq!(post(&url, SECOND / 4).unwrap_err(), expected, "{url}");
        assert!(began.elapsed() < SECOND, "{expected:?} took {:?}", began.elapsed());
    }
}

#[test]
fn a_body_is_not_read_beyond_its_bound_and_redirects_are_not_followed() {
    let url = serve(|mut stream| {
        read(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let chunk = format!("100\r\n{}\r\n", "x".repeat(0x100));
        while stream.write_all(chunk.as_bytes()).is_ok() {}
    });
    assert_eq!(post(&url, SECOND * 5).unwrap_err(), CallError::TooLarge);
    let url = serve(|mut stream| {
        read(&mut stream);
        let moved = b"HTTP/1.1 307 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
        let _ = stream.write_all(moved);
    });
    assert_eq!(post(&url, SECOND).unwrap().status.as_u16(), 307);
}

#[test]
fn a_kept_connection_that_the_server_has_closed_is_not_used() {
    let url = serve(|mut stream| {
        read(&mut stream);
        let _ = stream.write_all(OK);
    });
    let endpoint = HttpClient::default().endpoint(settings(&url)).unwrap();
    block_on(async {
        for _ in 0..5 {
            assert!(endpoint.post(Bytes::from_static(b"{}"), SECOND).await.is_ok());
            // The server's close is noticed by the task of the connection.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
}

#[test]
fn urls_are_those_of_http() {
    for good in ["http://a", "https://a.example:8443/x?y=z", "http://[::1]:80/"] {
        assert!(parse_url(good).is_ok(), "{good}");
    }
    for bad in ["", "a", "/x", "ftp://a/", "http://", "http://u:p@a/", "http://a/#b", "ws://a"] {
        assert!(parse_url(bad).unwrap_err().starts_with("expected a URL"), "{bad}");
    }
}
