//! The gateway's own events as listeners hear of them: names from [`EventKind`](roomcast_shards::gateway_event), and data
//! as `docs/listeners.md` says.

use roomcast_shards::gateway_event::{Client, Ended, EventKind, GatewayEvent};
use roomcast_shards::id::MessageIds;
use roomcast_shards::protocol::write;
use roomcast_shards::room::name::{local, namespace};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::event::{Event, Written};
use super::gateway_queue::Told;

/// The event as it goes on the bus.
pub(super) fn event_of(told: &Told, ids: &mut MessageIds) -> Option<Event> {
    let id = ids.next(told.unix_ms, &mut rand::rng()).to_string().into();
    let kind = told.event.kind();
    let data = RawValue::from_string(data_of(kind, &told.event)).ok()?;
    let account = namespace(subject(&told.event)).map(Into::into);
    Event::new(Written { id, name: kind.name().into(), unix_ms: told.unix_ms, account, data }).ok()
}

/// The user or room that an event is about.
fn subject(event: &GatewayEvent) -> &str {
    match event {
        GatewayEvent::Connected(client)
        | GatewayEvent::Disconnected { client, .. }
        | GatewayEvent::RateLimited { client, .. } => &client.user,
        GatewayEvent::Presence { user, .. } => user,
        GatewayEvent::Membership { room, .. }
        | GatewayEvent::Typing { room, .. }
        | GatewayEvent::RoomClosed { room, .. } => room,
        GatewayEvent::Message(publication) => &publication.room,
        GatewayEvent::Receipt(status) => &status.room,
        GatewayEvent::RoomCreated(card) => &card.room,
    }
}

fn data_of(kind: EventKind, event: &GatewayEvent) -> String {
    let data = match event {
        GatewayEvent::Message(publication) => {
            let mut out = Vec::new();
            match kind {
                EventKind::MessagePublished => write::message(&mut out, publication, false),
                _ => write::revision(&mut out, publication),
            }
            // What clients may not send is no JSON, so this is; and it may be large, so it is not parsed to be changed.
            return String::from_utf8(out).unwrap_or_default();
        }
        GatewayEvent::Connected(client) => of_client(client),
        GatewayEvent::Disconnected { client, ended, lasted_ms } => {
            let mut data = of_client(client);
            data.insert("reason".to_owned(), ended.name().into());
            if let Ended::Closed(code) = ended {
                data.insert("code".to_owned(), code.number().into());
            }
            data.insert("durationMs".to_owned(), (*lasted_ms).into());
            data
        }
        GatewayEvent::RateLimited { client, asked } => {
            let mut data = of_client(client);
            data.extend(asked.map(|asked| ("event".to_owned(), asked.into())));
            data
        }
        GatewayEvent::Membership { room, user, .. }
        | GatewayEvent::Typing { room, user, .. }
        | GatewayEvent::RoomClosed { room, user } => {
            object(json!({"roomId": local(room), "userId": local(user)}))
        }
        GatewayEvent::Presence { user, account, .. } => {
            let mut data = object(json!({"userId": local(user)}));
            data.extend(account.as_deref().map(|account| ("accountId".to_owned(), account.into())));
            data
        }
        GatewayEvent::Receipt(status) => {
            let mut data = object(json!({
                "roomId": local(&status.room),
                "userId": local(&status.user),
                "upToOffset": status.offset,
            }));
            data.extend(status.message.map(|message| ("messageId".to_owned(), message.to_string().into())));
            data
        }
        GatewayEvent::RoomCreated(card) => {
            let mut data = object(json!({
                "roomId": local(&card.room),
                "ownerId": local(&card.owner),
                "visibility": if card.private { "private" } else { "public" },
            }));
            let metadata = card.metadata.as_ref().and_then(|raw| serde_json::from_slice::<Value>(raw).ok());
            data.extend(metadata.map(|metadata| ("metadata".to_owned(), metadata)));
            data
        }
    };
    Value::Object(data).to_string()
}

fn of_client(client: &Client) -> Map<String, Value> {
    let mut data = object(json!({
        "userId": local(&client.user),
        "sessionId": client.session.to_string(),
        "ip": client.peer.to_string(),
    }));
    data.extend(client.account.as_deref().map(|account| ("accountId".to_owned(), account.into())));
    data
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use roomcast_shards::id::SessionId;
    use roomcast_shards::protocol::close_code::CloseCode;

    use super::*;

    fn data(event: GatewayEvent) -> (String, Value) {
        let event = event_of(&Told { unix_ms: 0, event }, &mut MessageIds::default()).expect("an event");
        (event.name.to_string(), event.fields)
    }

    #[test]
    fn the_gateways_events_have_the_names_that_clients_know() {
        let client = Client {
            user: "7 bob".into(),
            account: Some("7".into()),
            session: SessionId(1),
            peer: [127, 0, 0, 1].into(),
        };
        let ended = Ended::Closed(CloseCode::Normal);
        assert_eq!(
            data(GatewayEvent::Disconnected { client, ended, lasted_ms: 5 }),
            (
                "gateway.disconnected".to_owned(),
                json!({"userId": "bob", "accountId": "7", "sessionId": "0000000000000001", "ip": "127.0.0.1",
                    "reason": CloseCode::Normal.name(), "code": 1000, "durationMs": 5})
            )
        );
        let left = GatewayEvent::Membership { room: "lobby".into(), user: "bob".into(), joined: false };
        assert_eq!(data(left), ("gateway.left".to_owned(), json!({"roomId": "lobby", "userId": "bob"})));
    }
}
