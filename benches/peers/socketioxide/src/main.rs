//! socketioxide on axum and one tokio thread: its own rooms, and a message goes to a room by `io.to(room).emit`.
//! WebSocket only, as the load is; offsets are the app's.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex};

use axum::serve::ListenerExt as _;
use serde::{Deserialize, Serialize};
use socketioxide::extract::{AckSender, Data, SocketRef};
use socketioxide::{SocketIo, TransportType};

/// Packets that may wait for a client. The default, 128, is less than a burst of the larger loads.
const BUFFER_PACKETS: usize = 4096;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Join {
    room_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Send {
    room_id: String,
    content: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Joined {
    room_id: String,
    epoch: &'static str,
    offset: u64,
}

/// The members that the gateway's messages have.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    id: String,
    room_id: String,
    epoch: &'static str,
    offset: u64,
    sender_id: String,
    r#type: &'static str,
    content: String,
    timestamp: String,
    delivery_status: &'static str,
}

/// The newest offset of each room.
#[derive(Clone, Default)]
struct Offsets(Arc<Mutex<HashMap<String, u64>>>);

impl Offsets {
    fn newest(&self, room: &str) -> u64 {
        self.0.lock().expect("nobody panics").get(room).copied().unwrap_or(0)
    }

    fn next(&self, room: &str) -> u64 {
        let mut offsets = self.0.lock().expect("nobody panics");
        let offset = offsets.entry(room.to_owned()).or_default();
        *offset += 1;
        *offset
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (layer, io) = SocketIo::builder()
        .transports([TransportType::Websocket])
        .max_buffer_size(BUFFER_PACKETS)
        .build_layer();
    let (offsets, publisher) = (Offsets::default(), io.clone());
    io.ns("/", async move |socket: SocketRef| {
        let joins = offsets.clone();
        socket.on(
            "room:join",
            async move |socket: SocketRef, Data(Join { room_id }): Data<Join>, ack: AckSender| {
                socket.join(room_id.clone());
                let offset = joins.newest(&room_id);
                ack.send(&Joined { room_id, epoch: "e", offset }).ok();
            },
        );
        socket.on("message:send", async move |socket: SocketRef, Data(send): Data<Send>| {
            let message = message(&offsets, &socket, send);
            let room = message.room_id.clone();
            // A full buffer of one member is an error, and that member's loss alone.
            publisher.to(room).emit("message:received", &message).await.ok();
        });
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening {}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, axum::Router::new().layer(layer)).await?;
    Ok(())
}

fn message(offsets: &Offsets, socket: &SocketRef, send: Send) -> Message {
    Message {
        id: uuid::Uuid::new_v4().to_string(),
        epoch: "e",
        offset: offsets.next(&send.room_id),
        sender_id: socket.id.to_string(),
        r#type: "chat",
        content: send.content,
        timestamp: format!("{:.3}", jiff::Timestamp::now()),
        delivery_status: "streaming",
        room_id: send.room_id,
    }
}
