//! Answers to requests that never become a WebSocket.

use std::fmt::Write;

/// What the acceptor decided of a connection that it does not admit: it is answered so once its request is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TurnAway {
    /// 429 for a limit of the address, 503 for one of the process.
    pub status: u16,
    /// Seconds after which to try again.
    pub retry_after_s: u64,
}

/// An HTTP refusal: sent with `Content-Length`, then the connection is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status code.
    pub status: u16,
    /// One sentence for a developer.
    pub message: &'static str,
    /// Further headers, complete lines without their end.
    pub headers: Vec<String>,
}

impl Refusal {
    /// A refusal without further headers.
    #[must_use]
    pub fn new(status: u16, message: &'static str) -> Self {
        Self { status, message, headers: Vec::new() }
    }

    /// The same refusal with one more header line.
    #[must_use]
    pub fn header(mut self, line: impl Into<String>) -> Self {
        self.headers.push(line.into());
        self
    }

    /// The same refusal telling when to come back.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        self.header(format!("Retry-After: {}", seconds.max(1)))
    }

    /// The response as it goes out.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let body =
            format!("{{\"status\":\"error\",\"code\":{},\"message\":\"{}\"}}", self.status, self.message);
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for line in &self.headers {
            head.push_str(line);
            head.push_str("\r\n");
        }
        let _ = write!(
            head,
            "Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        head.into_bytes()
    }
}

/// The words that go with a status.
pub(super) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        411 => "Length Required",
        413 => "Content Too Large",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_how_long_it_is() {
        let text = String::from_utf8(Refusal::new(429, "slow down").retry_after(3).to_bytes()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3\r\n"));
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
    }
}
