//! The catalogue for programs: an AsyncAPI 3.0 document of the event dialect on `/ws`.
//!
//! Every event is an operation that the gateway receives, with its reply; every push is one that it sends. Keys are
//! names with `.` for `:`, as AsyncAPI wants them; `name` of a message and its payload have the names on the wire.

pub(super) mod schema;
mod types;

use roomcast_shards::protocol::catalog::{EVENTS, EventSpec, PUSHES, PushSpec, RIGHTS};
use roomcast_shards::protocol::close_code::CloseCode;
use roomcast_shards::protocol::error_code::ErrorCode;
use roomcast_shards::protocol::profile::{ErrorShape, PROFILES};
use serde_json::{Map, Value, json};

use super::{codes, renames, roles};

const DESCRIPTION: &str = "JSON text frames over one WebSocket: the event dialect of Roomcast. What a client sends with \
    a requestId has exactly one reply, which bears that requestId; an error is a reply like any other. The topic \
    dialect, which /ws speaks too, has five frames of its own and is not described here.";

/// The whole document.
pub(super) fn document() -> Value {
    let messages = messages();
    let references: Map<String, Value> = messages
        .keys()
        .map(|key| (key.clone(), json!({"$ref": format!("#/components/messages/{key}")})))
        .collect();
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Roomcast",
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
            "license": {"name": env!("CARGO_PKG_LICENSE")},
        },
        "defaultContentType": "application/json",
        "servers": {
            "local": {
                "host": "localhost:3000",
                "protocol": "ws",
                "description": "As `roomcast serve` and `roomcast dev` listen unless they are told otherwise.",
                "security": [
                    {"$ref": "#/components/securitySchemes/header"},
                    {"$ref": "#/components/securitySchemes/query"},
                ],
            },
        },
        "channels": {"ws": channel(references)},
        "operations": operations(),
        "components": {
            "messages": messages,
            "schemas": schema::common(),
            "correlationIds": {
                "requestId": {
                    "description": "A reply bears the requestId of what it answers.",
                    "location": "$message.payload#/requestId",
                },
            },
            "securitySchemes": {
                "header": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "query": {"type": "httpApiKey", "name": "token", "in": "query"},
            },
        },
        "x-error-codes": ErrorCode::ALL.map(error_code),
        "x-close-codes": CloseCode::ALL.map(close_code),
        "x-rights": RIGHTS,
    })
}

fn channel(messages: Map<String, Value>) -> Value {
    json!({
        "address": "/ws",
        "title": "The WebSocket of clients",
        "messages": messages,
        "bindings": {
            "ws": {
                "method": "GET",
                "query": {
                    "type": "object",
                    "properties": {
                        "profile": {
                            "type": "string",
                            "description": "The kind of client; built in are these, and the configuration may define \
                                            more.",
                            "examples": PROFILES.iter().map(|profile| profile.name).collect::<Vec<_>>(),
                        },
                        "token": {"type": "string", "description": "A JWT, for who cannot set a header."},
                        "session": {"type": "string", "description": "The token of a session to resume."},
                    },
                },
                "headers": {
                    "type": "object",
                    "properties": {
                        "Authorization": {"type": "string", "description": "Bearer and a JWT."},
                        "Sec-WebSocket-Protocol": {
                            "type": "string",
                            "description": "roomcast.event.v1, and roomcast.bearer.<JWT> for a token.",
                        },
                    },
                },
                "bindingVersion": "0.1.0",
            },
        },
    })
}

/// Every message, by key.
fn messages() -> Map<String, Value> {
    let requests = EVENTS.iter().map(|spec| (key(spec.name), request(spec)));
    let replies = EVENTS.iter().map(|spec| (reply_key(spec), reply(spec)));
    let pushes = PUSHES.iter().map(|spec| (push_key(spec), push(spec)));
    let errors = [ErrorShape::Native, ErrorShape::Chat, ErrorShape::Channel].map(error);
    requests.chain(replies).chain(pushes).chain(errors).collect()
}

fn request(spec: &EventSpec) -> Value {
    let names: Vec<&str> = [spec.name].into_iter().chain(spec.aliases.iter().map(|it| it.name)).collect();
    let mut message =
        message(spec.name, spec.summary, schema::request(&names, &schema::request_data(spec.data)));
    message["correlationId"] = correlation();
    let constants: Map<String, Value> = spec
        .aliases
        .iter()
        .filter(|alias| !alias.constants.is_empty())
        .map(|alias| (alias.name.to_owned(), alias.constants.iter().copied().collect()))
        .collect();
    if !constants.is_empty() {
        message["x-constants"] = constants.into();
    }
    message
}

fn reply(spec: &EventSpec) -> Value {
    let names: Vec<&str> = names(spec.reply);
    let summary = format!("Answers {}.", spec.name);
    let mut message = message(spec.reply, &summary, schema::reply(&names, &schema::data(spec.answer)));
    message["correlationId"] = correlation();
    with_profiles(message, spec.reply)
}

fn push(spec: &PushSpec) -> Value {
    let summary = format!("To {}.", spec.when);
    let payload = schema::push(&names(spec.name), &schema::data(spec.data));
    with_profiles(message(spec.name, &summary, payload), spec.name)
}

fn error(shape: ErrorShape) -> (String, Value) {
    let (kind, name, data) = match shape {
        ErrorShape::Native => ("native", "error", "Error"),
        ErrorShape::Chat => ("chat", "chat:error", "ChatError"),
        ErrorShape::Channel => ("channel", "error", "ChannelError"),
    };
    let profiles = PROFILES.iter().filter(|profile| profile.error_shape == shape);
    let profiles = profiles.map(|profile| profile.name).collect::<Vec<_>>().join(", ");
    let data = json!({"$ref": format!("#/components/schemas/{data}")});
    let summary = format!("Answers what failed, in the profiles {profiles}.");
    let mut message = message(name, &summary, schema::reply(&[name], &data));
    message["correlationId"] = correlation();
    (format!("error.{kind}"), message)
}

fn message(name: &str, summary: &str, payload: Value) -> Value {
    json!({"name": name, "title": name, "summary": summary, "payload": payload})
}

fn correlation() -> Value {
    json!({"$ref": "#/components/correlationIds/requestId"})
}

/// The canonical name, and those under which profiles know it.
fn names(canonical: &'static str) -> Vec<&'static str> {
    [canonical].into_iter().chain(renames(canonical).map(|(_, name)| name)).collect()
}

fn with_profiles(mut message: Value, canonical: &str) -> Value {
    let renames: Map<String, Value> =
        renames(canonical).map(|(profile, name)| (profile.to_owned(), name.into())).collect();
    if !renames.is_empty() {
        message["x-profiles"] = renames.into();
    }
    message
}

fn operations() -> Map<String, Value> {
    let received = EVENTS.iter().map(|spec| (format!("receive.{}", key(spec.name)), receive(spec)));
    let sent = PUSHES.iter().map(|spec| (format!("send.{}", key(spec.name)), send(spec)));
    received.chain(sent).collect()
}

fn receive(spec: &EventSpec) -> Value {
    let mut description = vec![if spec.answered {
        "Answered with and without a requestId.".to_owned()
    } else {
        "Answered only with a requestId; errors always come.".to_owned()
    }];
    if let Some(right) = spec.right {
        description.push(format!("Needs the permission {right}."));
    }
    if !spec.pushes.is_empty() {
        description.push(format!("Pushes: {}.", spec.pushes));
    }
    let answers = [reply_key(spec), "error.native".into(), "error.chat".into(), "error.channel".into()];
    let mut operation = operation("receive", spec.name, spec.summary, &key(spec.name));
    operation["description"] = description.join(" ").into();
    operation["reply"] = json!({
        "channel": {"$ref": "#/channels/ws"},
        "messages": answers.map(|key| reference(&key)),
    });
    operation["x-roles"] = roles(spec).into();
    operation
}

fn send(spec: &PushSpec) -> Value {
    operation("send", spec.name, &format!("To {}.", spec.when), &push_key(spec))
}

fn operation(action: &str, title: &str, summary: &str, message: &str) -> Value {
    json!({
        "action": action,
        "title": title,
        "summary": summary,
        "channel": {"$ref": "#/channels/ws"},
        "messages": [reference(message)],
    })
}

fn reference(message: &str) -> Value {
    json!({"$ref": format!("#/channels/ws/messages/{message}")})
}

fn key(name: &str) -> String {
    name.replace(':', ".")
}

fn reply_key(spec: &EventSpec) -> String {
    format!("{}.reply", key(spec.name))
}

fn push_key(spec: &PushSpec) -> String {
    format!("{}.push", key(spec.name))
}

fn error_code(code: ErrorCode) -> Value {
    json!({
        "code": code.name(),
        "number": code.number(),
        "recoverable": code.recoverable(),
        "when": codes::error(code),
    })
}

fn close_code(code: CloseCode) -> Value {
    let (when, then) = codes::close(code);
    json!({"number": code.number(), "name": code.name(), "when": when, "then": then})
}
