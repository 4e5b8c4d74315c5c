//! Sends a message with bytes inside by `rust_engineio`, for `rust_socketio` cannot: it is no more than three packets.

use rust_engineio::client::{Client, ClientBuilder};
use rust_engineio::{Packet, PacketId};
use rust_socketio::TransportType;
use serde_json::{Value, json};

/// Joins the room and sends, by the event's first attachment, `bytes` within `content`.
pub fn send(url: &str, token: &str, transport: &TransportType, room: &str, bytes: &'static [u8]) {
    let builder = ClientBuilder::new(format!("{url}/socket.io/").parse().expect("a URL"));
    let client = match transport {
        TransportType::Websocket => builder.build_websocket(),
        TransportType::Polling => builder.build_polling(),
        TransportType::WebsocketUpgrade => builder.build_websocket_with_upgrade(),
        TransportType::Any => builder.build_with_fallback(),
    }
    .expect("the transport opens");
    client.connect().expect("the transport is open");
    emit(&client, &format!("0{}", json!({"token": token})));
    assert!(answer(&client).starts_with("0{"), "no CONNECT");
    emit(&client, &format!("20{}", json!(["room:join", {"roomId": room}])));
    assert!(answer(&client).starts_with("30[{"), "no acknowledgement");
    let content = json!([{"_placeholder": true, "num": 0}]);
    emit(&client, &format!("51-1{}", json!(["message:send", {"roomId": room, "content": content}])));
    client.emit(Packet::new(PacketId::MessageBinary, bytes)).expect("open");
    let sent = loop {
        let answer = answer(&client);
        if let Some(arguments) = answer.strip_prefix("31") {
            break serde_json::from_str::<Value>(arguments).expect("an array");
        }
    };
    assert!(sent[0]["id"].is_string(), "{sent}");
    client.disconnect().expect("open");
}

fn emit(client: &Client, packet: &str) {
    client.emit(Packet::new(PacketId::Message, packet.to_owned())).expect("open");
}

/// The next message packet's text.
fn answer(client: &Client) -> String {
    loop {
        let packet = client.poll().expect("open").expect("open");
        if packet.packet_id == PacketId::Message {
            return String::from_utf8_lossy(&packet.data).into_owned();
        }
    }
}
