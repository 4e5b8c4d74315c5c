//! Publications as the reference's emitter writes them, and others.

use proptest::prelude::*;

use super::*;

fn decoder() -> Decoder {
    let mut namespaces = Namespaces::default();
    namespaces.define("/chat").expect("a name");
    Decoder::new("socket.io", namespaces)
}

fn packed(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    rmpv::encode::write_value(&mut out, value).expect("a vector takes every write");
    out
}

fn map(members: Vec<(&str, Value)>) -> Value {
    Value::Map(members.into_iter().map(|(name, value)| (name.into(), value)).collect())
}

fn publication(data: Vec<Value>, rooms: Vec<Value>) -> Vec<u8> {
    let packet = map(vec![("type", 2.into()), ("data", Value::Array(data)), ("nsp", "/".into())]);
    let flags = map(vec![("volatile", true.into())]);
    let options = map(vec![
        ("rooms", Value::Array(rooms)),
        ("flags", flags),
        ("except", Value::Array(vec!["b".into()])),
    ]);
    packed(&Value::Array(vec!["emitter".into(), packet, options]))
}

fn names(rooms: &[Arc<str>]) -> Vec<&str> {
    rooms.iter().map(|room| &**room).collect()
}

#[test]
fn an_event_has_its_arguments_rooms_and_flags() {
    let data = vec![
        "hello".into(),
        1.into(),
        map(vec![("bytes", Value::Binary(vec![1, 2])), ("none", Value::Nil)]),
        Value::Ext(-1, 1_700_000_000_u32.to_be_bytes().to_vec()),
        Value::Ext(0, vec![0]),
    ];
    let payload = publication(data, vec!["a".into(), 7.into()]);
    let emission = decoder().read(b"socket.io#/chat#", &payload).expect("good").expect("a namespace of ours");
    assert_eq!(names(&emission.rooms), ["/chat a", "/chat 7"]);
    assert_eq!(names(&emission.except), ["/chat b"]);
    let Action::Tell { event, volatile: true } = emission.action else { panic!("{emission:?}") };
    assert_eq!(
        (&*event.name, std::str::from_utf8(&event.arguments).expect("text"), event.binary),
        ("hello", r#"1,{"bytes":{"_base64":"AQI="},"none":null},"2023-11-14T22:13:20.000Z",null"#, true)
    );
    assert!(event.data.starts_with(b"{\"args\":[1,"));
}

#[test]
fn one_object_is_the_data_of_other_clients() {
    let payload = publication(vec!["a".into(), map(vec![("n", 1.into())])], Vec::new());
    let emission = decoder().read(b"socket.io#/#", &payload).expect("good").expect("the root");
    let Action::Tell { event, .. } = emission.action else { panic!("{emission:?}") };
    assert_eq!((&event.data[..], &event.arguments[..]), (&b"{\"n\":1}"[..], &b"{\"n\":1}"[..]));
    let payload = publication(vec!["a".into()], Vec::new());
    let emission = decoder().read(b"socket.io#/#", &payload).expect("good").expect("the root");
    let Action::Tell { event, .. } = emission.action else { panic!("{emission:?}") };
    assert_eq!((&event.data[..], &event.arguments[..]), (&b"{\"args\":[]}"[..], &b""[..]));
}

#[test]
fn requests_join_leave_and_disconnect() {
    let read = |text: &str| decoder().read(b"socket.io-request#/#", text.as_bytes()).expect("good");
    let join = read(r#"{"type":2,"opts":{"rooms":["a"],"except":[]},"rooms":["x","y"]}"#).expect("a join");
    assert!(matches!(&join.action, Action::Join(rooms) if names(rooms) == ["x", "y"]));
    assert_eq!(names(&join.rooms), ["a"]);
    let leave = read(r#"{"type":3,"opts":{},"rooms":["x"]}"#).expect("a leave");
    assert!(matches!(&leave.action, Action::Leave(rooms) if names(rooms) == ["x"]));
    let away = read(r#"{"type":4,"opts":{"rooms":["a"]},"close":true}"#).expect("a disconnect");
    assert!(matches!(away.action, Action::Disconnect { close: true }));
    assert!(read(r#"{"type":6,"uid":"emitter","data":["ping"]}"#).is_none(), "between servers");
}

#[test]
fn what_is_not_for_us_or_no_event_is_not_taken() {
    let payload = publication(vec!["a".into()], Vec::new());
    assert!(decoder().read(b"socket.io#/other#", &payload).expect("good").is_none());
    let bad = |channel: &[u8], payload: &[u8]| decoder().read(channel, payload).expect_err("bad");
    bad(b"other#/#", &payload);
    bad(b"socket.io#/#", b"\xc1");
    bad(b"socket.io#/#", &packed(&Value::Array(vec![1.into()])));
    bad(b"socket.io#/#", &publication(Vec::new(), Vec::new()));
    bad(b"socket.io#/#", &publication(vec!["a\"b".into()], Vec::new()));
    bad(b"socket.io#/#", &publication(vec!["a".into()], vec!["a b".into()]));
    bad(b"socket.io-request#/#", b"{");
    let deep = [vec![0x91; 1000], vec![0xc0]].concat();
    bad(b"socket.io#/#", &deep);
}

proptest! {
    #[test]
    fn no_bytes_panic(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
        for channel in [&b"socket.io#/#"[..], b"socket.io-request#/chat#", b"socket.io#/#a#"] {
            let _ = decoder().read(channel, &payload);
        }
    }
}
