//! How events get to where they must arrive: posted to a web server, or added to streams of a Redis.

use std::time::Duration;

use hyper::StatusCode;
use redis::aio::MultiplexedConnection;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::event::SharedEvent;
use super::lanes::Entry;
use super::settings::StreamSettings;
use super::template::fits_anywhere;
use crate::backend::http_client::Endpoint;

/// What became of an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All of it arrived.
    Delivered,
    /// It is not wanted, now or later.
    Refused(String),
    /// It may arrive another time.
    Failed(String),
}

/// Where to.
#[derive(Debug)]
pub(super) enum Transport {
    Webhook(Box<Endpoint>),
    Stream(Box<StreamSink>),
    /// Does what a test says.
    #[cfg(test)]
    Test(super::deliver::tests::Receiver),
}

/// Streams of a Redis, and the connection to it while there is one.
#[derive(Debug)]
pub(super) struct StreamSink {
    settings: StreamSettings,
    connection: Mutex<Option<MultiplexedConnection>>,
}

impl Transport {
    pub(super) fn stream(settings: StreamSettings) -> Self {
        Self::Stream(Box::new(StreamSink { settings, connection: Mutex::default() }))
    }

    /// Whether an event has what is needed to send it.
    pub(super) fn fits(&self, event: &SharedEvent) -> bool {
        match self {
            Self::Stream(sink) => sink.settings.stream.text(event, fits_anywhere).is_ok(),
            _ => true,
        }
    }

    /// Sends some events, in their order.
    pub(super) async fn send(
        &self,
        listener: &str,
        entries: &[Entry],
        attempt: u32,
        time_max: Duration,
    ) -> Verdict {
        match self {
            Self::Webhook(endpoint) => post(endpoint, listener, entries, attempt, time_max).await,
            Self::Stream(sink) => match timeout(time_max, sink.add(entries)).await {
                Ok(verdict) => verdict,
                Err(_) => Verdict::Failed("timeout".to_owned()),
            },
            #[cfg(test)]
            Self::Test(receiver) => receiver.take(entries),
        }
    }
}

async fn post(
    endpoint: &Endpoint,
    listener: &str,
    entries: &[Entry],
    attempt: u32,
    time_max: Duration,
) -> Verdict {
    match endpoint.post(body(listener, entries, attempt).into(), time_max).await {
        Ok(answer) => judge(answer.status),
        Err(error) => Verdict::Failed(error.to_string()),
    }
}

/// What a web server is sent.
fn body(listener: &str, entries: &[Entry], attempt: u32) -> String {
    let events: Vec<String> = entries.iter().map(|entry| entry.event.to_json()).collect();
    let listener = Value::from(listener);
    format!(r#"{{"listener":{listener},"attempt":{attempt},"events":[{}]}}"#, events.join(","))
}

/// What a status says: what the server cannot do now it may do later; what it does not want it never will.
fn judge(status: StatusCode) -> Verdict {
    const LATER: [StatusCode; 3] =
        [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    if status.is_success() {
        Verdict::Delivered
    } else if status.is_server_error() || LATER.contains(&status) {
        Verdict::Failed(status.to_string())
    } else {
        Verdict::Refused(status.to_string())
    }
}

impl StreamSink {
    async fn add(&self, entries: &[Entry]) -> Verdict {
        let mut pipe = redis::pipe();
        for entry in entries {
            let Ok(stream) = self.settings.stream.text(&entry.event, fits_anywhere) else { continue };
            let command = pipe.cmd("XADD").arg(stream);
            if let Some(length) = self.settings.length_max {
                command.arg("MAXLEN").arg("~").arg(length);
            }
            let (id, name) = (&*entry.event.id, &*entry.event.name);
            let (data, timestamp) = (entry.event.data.get(), entry.event.timestamp());
            command.arg("*").arg(&[("id", id), ("name", name)]);
            command.arg(&[("timestamp", timestamp.trim_matches('"')), ("data", data)]).ignore();
        }
        let mut connection = self.connection.lock().await;
        match self.run(&mut connection, &pipe).await {
            Ok(()) => Verdict::Delivered,
            Err(error) => {
                // Whatever it was, the next attempt begins with a connection that is known to be good.
                *connection = None;
                Verdict::Failed(error.to_string())
            }
        }
    }

    async fn run(
        &self,
        connection: &mut Option<MultiplexedConnection>,
        pipe: &redis::Pipeline,
    ) -> Result<(), redis::RedisError> {
        let connection = match connection {
            Some(connection) => connection,
            None => connection.insert(self.settings.address.connect().await?),
        };
        pipe.query_async(connection).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::event::tests::event;
    use super::*;

    #[test]
    fn a_server_is_sent_events_with_what_it_knows_them_by() {
        let entry = Entry { number: 1, event: Arc::new(event("a.b", r#"{"n":1}"#)), taken_unix_ms: 0 };
        assert_eq!(
            body("Web \"hook\"", &[entry.clone(), entry], 2),
            r#"{"listener":"Web \"hook\"","attempt":2,"events":[{"id":"e-1","name":"a.b","timestamp":"1970-01-01T00:00:00.000Z","data":{"n":1}},{"id":"e-1","name":"a.b","timestamp":"1970-01-01T00:00:00.000Z","data":{"n":1}}]}"#
        );
    }

    #[test]
    fn what_a_server_cannot_do_now_it_may_do_later() {
        for status in [200, 202, 204] {
            assert_eq!(judge(StatusCode::from_u16(status).expect("a status")), Verdict::Delivered);
        }
        for status in [408, 425, 429, 500, 502, 503] {
            let verdict = judge(StatusCode::from_u16(status).expect("a status"));
            assert!(matches!(verdict, Verdict::Failed(_)), "{status}");
        }
        for status in [301, 400, 401, 404, 410, 422] {
            let verdict = judge(StatusCode::from_u16(status).expect("a status"));
            assert!(matches!(verdict, Verdict::Refused(_)), "{status}");
        }
    }
}
