//! Schemas of payloads: envelopes, and the `data` that the catalogue's texts describe.

use roomcast_shards::protocol::catalog::PUSHES;
use roomcast_shards::protocol::error_code::ErrorCode;
use serde_json::{Map, Value, json};

use super::types;
use crate::events::members::{Data, Member, Object, Shape};

/// Other names that clients may give a room by.
pub(in crate::events) const ROOM_NAMES: [&str; 4] = ["chatId", "conversationId", "channelId", "threadId"];

/// The schema of a `data` that the gateway sends, as a text of the catalogue describes it.
pub(super) fn data(text: &'static str) -> Value {
    let data = Data::parse(text).expect("a test reads every text of the catalogue");
    schema(&data, text)
}

/// The schema of a `data` that clients send: rooms have several names there.
pub(super) fn request_data(text: &'static str) -> Value {
    let mut data = Data::parse(text).expect("a test reads every text of the catalogue");
    for object in &mut data.alternatives {
        object.for_each_group(&mut |group| {
            if let Some(room) = group.iter().find(|member| member.name == "roomId").cloned() {
                group.extend(ROOM_NAMES.map(|name| Member { name, ..room.clone() }));
            }
        });
    }
    schema(&data, text)
}

fn schema(data: &Data, text: &str) -> Value {
    if data.alternatives.is_empty() {
        return json!({"type": "object", "description": text});
    }
    alternatives(data, data.alternatives.first())
}

fn alternatives(data: &Data, these: Option<&Object>) -> Value {
    let mut schemas: Vec<Value> = data.alternatives.iter().map(|it| object(it, these)).collect();
    if schemas.len() == 1 { schemas.remove(0) } else { json!({"anyOf": schemas}) }
}

fn object(object: &Object, these: Option<&Object>) -> Value {
    let members = || object.groups.iter().flatten();
    let properties: Map<String, Value> =
        members().map(|it| (it.name.to_owned(), member(it, these))).collect();
    let mut schema = json!({"type": "object", "properties": properties});
    let needed = object.groups.iter().filter(|group| group.iter().all(|member| !member.optional));
    let (single, several): (Vec<_>, Vec<_>) = needed.partition(|group| group.len() == 1);
    let required: Vec<&str> = single.into_iter().flatten().map(|member| member.name).collect();
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    let any_of = |group: &Vec<Member>| -> Value {
        json!({"anyOf": group.iter().map(|it| json!({"required": [it.name]})).collect::<Vec<_>>()})
    };
    if object.open || object.groups.is_empty() {
        schema["additionalProperties"] = true.into();
    }
    if !several.is_empty() {
        schema["allOf"] = several.into_iter().map(any_of).collect();
    }
    schema
}

fn member(member: &Member, these: Option<&Object>) -> Value {
    let list = |items: Value| json!({"type": "array", "items": items});
    match &member.shape {
        Shape::Named => types::of(member.name).expect("a test looks every name up"),
        Shape::Words(words) => types::words(words),
        Shape::Object(data) => alternatives(data, these),
        Shape::Texts => list(json!({"type": "string"})),
        Shape::Objects(data) => list(alternatives(data, these)),
        Shape::Messages => list(json!({"$ref": "#/components/schemas/Message"})),
        Shape::These => list(these.map_or(json!({}), |these| object(these, None))),
        Shape::Nothing => json!({"type": "array", "maxItems": 0}),
    }
}

/// A frame that a client sends, under any of these names.
pub(super) fn request(names: &[&str], data: &Value) -> Value {
    let needs_data = ["required", "allOf"].iter().any(|key| data.get(key).is_some());
    json!({
        "type": "object",
        "properties": {
            "event": types::words(names),
            "data": data,
            "requestId": {"$ref": "#/components/schemas/RequestId"},
            "version": {"enum": ["1", "1.0", 1]},
        },
        "required": if needs_data { vec!["event", "data"] } else { vec!["event"] },
    })
}

/// A frame that answers, under any of these names.
pub(super) fn reply(names: &[&str], data: &Value) -> Value {
    let mut schema = push(names, data);
    schema["properties"]["requestId"] = json!({"$ref": "#/components/schemas/RequestId"});
    schema
}

/// A frame that nobody asked for, under any of these names.
pub(super) fn push(names: &[&str], data: &Value) -> Value {
    json!({
        "type": "object",
        "properties": {"event": types::words(names), "data": data, "version": {"const": "1"}},
        "required": ["event", "data", "version"],
    })
}

/// What several payloads have in common, by name.
pub(super) fn common() -> Value {
    let message = PUSHES.iter().find(|push| push.name == "message:received").expect("messages are pushed");
    json!({
        "Room": {
            "type": "string",
            "minLength": 1,
            "maxLength": 128,
            "pattern": r#"^[!#-)+-\[\]-~]+$"#,
            "description": "Name of a room: printable ASCII without space, *, \" and \\.",
        },
        "User": {
            "type": "string",
            "minLength": 1,
            "maxLength": 120,
            "pattern": r#"^[!#-)+-\[\]-~]+$"#,
            "description": "Id of a user, the sub of its token.",
        },
        "RequestId": {
            "type": ["string", "number"],
            "maxLength": 64,
            "description": "The client's own; the reply bears it byte for byte.",
        },
        "Message": data(message.data),
        "ErrorCode": types::words(&ErrorCode::ALL.map(ErrorCode::name)),
        "Error": error(&["status", "code", "message", "details", "recoverable"]),
        "ChatError": error(&["code", "message", "details", "recoverable"]),
        "ChannelError": error(&["status", "code", "message", "data"]),
        "AnyError": {
            "anyOf": [
                {"$ref": "#/components/schemas/Error"},
                {"$ref": "#/components/schemas/ChatError"},
                {"$ref": "#/components/schemas/ChannelError"},
            ],
            "description": "In the shape of the profile.",
        },
    })
}

/// An error with these members.
fn error(members: &[&str]) -> Value {
    let schema = |name: &str| match name {
        "status" => json!({"const": "error"}),
        "code" => json!({"$ref": "#/components/schemas/ErrorCode"}),
        "message" => json!({"type": "string", "description": "A sentence for developers."}),
        "recoverable" => json!({
            "type": "boolean",
            "description": "Whether the same request may succeed later on this connection.",
        }),
        _ => json!({
            "type": "object",
            "properties": {
                "retryAfterMs": {"type": "integer", "minimum": 0},
                "field": {"type": "string"},
                "reason": {"type": "string"},
                "component": {"type": "string"},
                "supported": {"type": "array", "items": {"type": "string"}},
            },
        }),
    };
    let properties: Map<String, Value> =
        members.iter().map(|name| ((*name).to_owned(), schema(name))).collect();
    json!({"type": "object", "properties": properties, "required": members})
}
