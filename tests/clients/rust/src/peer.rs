//! One Socket.IO client of the scenario: `rust_socketio` with its callbacks turned into a queue.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use bytes::Bytes;
use rust_socketio::client::Client;
use rust_socketio::{ClientBuilder, Event, Payload, TransportType};
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(20);

/// What the library says before the payload of a CONNECT_ERROR.
const REFUSED: &str = "Received an ConnectError frame: ";

/// What the library told, by its callbacks.
#[derive(Debug)]
pub enum Happening {
    Connected,
    Closed,
    Refused(Value),
    /// An event's name and its arguments.
    Event(String, Vec<Value>),
    /// Bytes that came with an event; the library gives no more of the event than its text, cut in an odd way.
    Bytes(Bytes),
}

/// A client that connects again by itself.
pub struct Peer {
    client: Client,
    happenings: Receiver<Happening>,
    kept: Vec<Happening>,
}

impl Peer {
    /// Connects and waits until the namespace is connected.
    pub fn connect(url: &str, token: &str, transport: TransportType, namespace: &str) -> Self {
        let mut peer = Self::start(url, token, transport, namespace);
        peer.connected();
        peer
    }

    /// Connects and gives the payload of the CONNECT_ERROR.
    pub fn refusal(url: &str, token: &str, transport: TransportType, namespace: &str) -> Value {
        let mut peer = Self::start(url, token, transport, namespace);
        peer.expect(|happening| match happening {
            Happening::Refused(error) => Some(error.clone()),
            _ => None,
        })
    }

    fn start(url: &str, token: &str, transport: TransportType, namespace: &str) -> Self {
        let (sender, happenings) = channel();
        let builder = ClientBuilder::new(url)
            .namespace(namespace)
            .transport_type(transport)
            .auth(json!({"token": token}))
            .reconnect_delay(100, 100);
        let client = with_callbacks(builder, &sender).connect().expect("the transport opens");
        Self { client, happenings, kept: Vec::new() }
    }

    /// Emits and gives what the acknowledgement says.
    pub fn call(&self, event: &str, data: Value) -> Value {
        let (sender, answers) = channel();
        let acknowledge = move |payload, _| {
            let Payload::Text(mut values) = payload else { panic!("acknowledged with {payload:?}") };
            // Its one text is the whole array of arguments.
            let _ = sender.send(values[0][0].take());
        };
        self.client.emit_with_ack(event, data, DEADLINE, acknowledge).expect("connected");
        answers.recv_timeout(DEADLINE).expect("an acknowledgement")
    }

    /// Emits bytes, which this library can send as an event's only argument and in no other place.
    pub fn emit_bytes(&self, event: &str, bytes: &'static [u8]) {
        self.client.emit(event, bytes).expect("connected");
    }

    pub fn disconnect(&self) {
        self.client.disconnect().expect("connected");
    }

    pub fn connected(&mut self) {
        self.expect(|happening| matches!(happening, Happening::Connected).then_some(()));
    }

    pub fn closed(&mut self) {
        self.expect(|happening| matches!(happening, Happening::Closed).then_some(()));
    }

    /// The data of the next event of that name, which came with the opaque offset.
    pub fn event(&mut self, name: &str) -> Value {
        let arguments = self.expect(|happening| match happening {
            Happening::Event(event, arguments) if event == name => Some(arguments.clone()),
            _ => None,
        });
        assert!(matches!(&arguments[..], [Value::Object(_), Value::String(_)]), "{name}: {arguments:?}");
        arguments[0].clone()
    }

    pub fn bytes(&mut self) -> Bytes {
        self.expect(|happening| match happening {
            Happening::Bytes(bytes) => Some(bytes.clone()),
            _ => None,
        })
    }

    /// Waits for the message with that content, and passes over what came before.
    pub fn received(&mut self, content: &str) -> Value {
        loop {
            let message = self.event("message:received");
            if message["content"] == content {
                return message;
            }
        }
    }

    /// The oldest happening that `find` gives something for, and that was not asked for yet.
    fn expect<T>(&mut self, find: impl Fn(&Happening) -> Option<T>) -> T {
        if let Some((at, found)) = self.kept.iter().enumerate().find_map(|(at, kept)| Some((at, find(kept)?)))
        {
            self.kept.remove(at);
            return found;
        }
        loop {
            let Ok(happening) = self.happenings.recv_timeout(DEADLINE) else {
                panic!("not within {DEADLINE:?}; what came: {:?}", self.kept);
            };
            match find(&happening) {
                Some(found) => return found,
                None => self.kept.push(happening),
            }
        }
    }
}

fn with_callbacks(builder: ClientBuilder, sender: &Sender<Happening>) -> ClientBuilder {
    let (connected, closed) = (sender.clone(), sender.clone());
    let (failed, received) = (sender.clone(), sender.clone());
    builder
        .on(Event::Connect, move |_, _| tell(&connected, Happening::Connected))
        .on(Event::Close, move |_, _| tell(&closed, Happening::Closed))
        .on(Event::Error, move |payload, _| tell(&failed, failure(payload)))
        .on_any(move |event, payload, _| tell(&received, event_of(String::from(event), payload)))
}

/// Nobody listens any more when the story is over.
fn tell(sender: &Sender<Happening>, happening: Happening) {
    let _ = sender.send(happening);
}

/// The library has one callback for its own errors, refusals and the server's events named `error`.
fn failure(payload: Payload) -> Happening {
    match payload {
        Payload::Text(values) => {
            match values.first().and_then(Value::as_str).map(|text| text.strip_prefix(REFUSED)) {
                Some(Some(error)) => {
                    Happening::Refused(serde_json::from_str(error).expect("its payload is JSON"))
                }
                _ => Happening::Event("error".to_owned(), values),
            }
        }
        payload => event_of("error".to_owned(), payload),
    }
}

fn event_of(name: String, payload: Payload) -> Happening {
    match payload {
        Payload::Binary(bytes) => Happening::Bytes(bytes),
        Payload::Text(values) => Happening::Event(name, values),
        payload => panic!("{name} with {payload:?}"),
    }
}
