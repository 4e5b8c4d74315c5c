//! How a Redis is reached: its URL, TLS, credentials, time limits, and the pauses between attempts.
//!
//! Everything that talks to a Redis goes through here, so that a URL means the same everywhere, and no password ever
//! reaches a log.

use std::fmt;
use std::time::Duration;

use rand::RngExt as _;
use redis::aio::{AsyncPushSender, MultiplexedConnection};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo as _, ProtocolVersion, RedisError,
    TlsCertificates,
};

use crate::trust::Authorities;

/// How long a connection may take to come about.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// How long an answer may take before its connection counts as lost.
const RESPONSE_TIME_MAX: Duration = Duration::from_secs(3);
/// The first pause between two attempts, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Where a Redis is and who we are there: `redis://[user][:password@]host[:port][/database]`, `rediss://` with TLS, or
/// `redis+unix:///path`.
#[derive(Clone)]
pub(crate) struct Address {
    client: Client,
}

impl Address {
    /// Reads a URL; nothing is connected yet.
    ///
    /// # Errors
    /// What is wrong with it, without its password.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let expected = "expected redis://[user][:password@]host[:port][/database], rediss://… for TLS, or \
                        redis+unix:///path";
        let info = url.into_connection_info().map_err(|error| match error.detail() {
            Some(detail) => format!("{expected}: {detail}"),
            None => expected.to_owned(),
        })?;
        // Version 3 tells what is published apart from what is answered, on one connection.
        let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let client = Client::open(info.set_redis_settings(redis)).map_err(|error| error.to_string())?;
        Ok(Self { client })
    }

    /// Trusts these authorities, too, if it is reached by TLS.
    ///
    /// # Errors
    /// When they cannot be used.
    pub(crate) fn trust(&mut self, authorities: &Authorities) -> Result<(), String> {
        let info = self.client.get_connection_info().clone();
        if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) {
            let root_cert = Some(authorities.with_host_pem());
            let client = Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert });
            self.client = client.map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Connects for commands.
    ///
    /// # Errors
    /// Whatever stands in the way, within five seconds.
    pub(crate) async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        self.client.get_multiplexed_async_connection_with_config(&config()).await
    }

    /// Connects for subscriptions too: what is published goes to `pushes`, and so does the connection's end.
    ///
    /// # Errors
    /// As [`Address::connect`].
    pub(crate) async fn connect_with(
        &self,
        pushes: impl AsyncPushSender,
    ) -> Result<MultiplexedConnection, RedisError> {
        self.client.get_multiplexed_async_connection_with_config(&config().set_push_sender(pushes)).await
    }
}

fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIME_MAX))
        .set_response_timeout(Some(RESPONSE_TIME_MAX))
}

/// The address, less who we are there.
impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let info = self.client.get_connection_info();
        write!(out, "{}/{}", info.addr(), info.redis_settings().db())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Address({self})")
    }
}

/// Pauses between attempts: twice as long each time up to two seconds, and of random length, so that the nodes which
/// lost a Redis at the same moment do not all come back at the same moment.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// How long to wait after one more failure.
    pub(crate) fn pause(&mut self) -> Duration {
        let longest = PAUSE_MIN.saturating_mul(1 << self.failures.min(16)).min(PAUSE_MAX);
        self.failures += 1;
        longest.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// An attempt has succeeded.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_passwords_not_shown() {
        let address = Address::parse("redis://me:secret@localhost:7000/3").expect("a good one");
        assert_eq!(format!("{address} {address:?}"), "localhost:7000/3 Address(localhost:7000/3)");
        assert!(Address::parse("rediss://:secret@localhost").is_ok());
        for url in ["", "localhost:6379", "http://:secret@localhost", "redis://:secret@localhost/x"] {
            let error = Address::parse(url).expect_err(url);
            assert!(error.starts_with("expected redis://") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn pauses_grow_up_to_a_bound() {
        let mut backoff = Backoff::default();
        let pauses: Vec<Duration> = (0..20).map(|_| backoff.pause()).collect();
        assert!(pauses[0] <= PAUSE_MIN && pauses[0] >= PAUSE_MIN / 2, "{pauses:?}");
        assert!(pauses[19] <= PAUSE_MAX && pauses[19] >= PAUSE_MAX / 2, "{pauses:?}");
        backoff.reset();
        assert!(backoff.pause() <= PAUSE_MIN);
    }
}
