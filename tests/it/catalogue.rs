//! `roomcast events`: the committed catalogue is what the binary prints, and what the binary sends is in it.

use serde_json::{Value, json};

use crate::support::{Client, Frame, ProcessEnd, Server, Token};

fn print(form: &str) -> String {
    let printed = ProcessEnd::of(&["events", form]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    printed.stdout
}

fn document() -> Value {
    serde_json::from_str(&print("--asyncapi")).expect("JSON")
}

#[test]
fn the_committed_catalogue_is_what_the_binary_prints() {
    for (form, file) in [("--markdown", "docs/events.md"), ("--asyncapi", "docs/asyncapi.json")] {
        let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        let printed = print(form);
        let line = 1 + committed.lines().zip(printed.lines()).take_while(|(old, new)| old == new).count();
        assert!(
            committed == printed,
            "{file} is out of date from line {line} on; update it with: cargo run -- events {form} > {file}"
        );
    }
    assert_eq!(ProcessEnd::of(&["events"]).stdout, print("--markdown"));
    assert_eq!(ProcessEnd::of(&["events", "--markdown", "--asyncapi"]).code, Some(64));
}

#[test]
fn the_document_has_the_structure_of_asyncapi_3() {
    let document = document();
    assert_eq!(document["asyncapi"], "3.0.0");
    assert!(document["info"]["title"].is_string() && document["info"]["version"].is_string());
    let [channel] = document["channels"].as_object().expect("channels").values().collect::<Vec<_>>()[..]
    else {
        panic!("one channel");
    };
    assert_eq!(channel["address"], "/ws");
    for (name, operation) in document["operations"].as_object().expect("operations") {
        let action = operation["action"].as_str().expect("an action");
        assert!(name.starts_with(&format!("{action}.")) && ["receive", "send"].contains(&action), "{name}");
        assert_eq!(operation["channel"]["$ref"], "#/channels/ws", "{name}");
        let replies = operation["reply"]["messages"].as_array().map_or(&[][..], Vec::as_slice);
        for message in operation["messages"].as_array().expect("messages").iter().chain(replies) {
            let pointer = message["$ref"].as_str().and_then(|it| it.strip_prefix('#')).expect("a reference");
            assert!(pointer.starts_with("/channels/ws/messages/"), "{name}: {pointer}");
            assert!(resolve(&document, message)["payload"].is_object(), "{name}: {pointer}");
        }
    }
}

/// What a schema refers to, be it by way of others.
fn resolve<'a>(document: &'a Value, mut schema: &'a Value) -> &'a Value {
    while let Some(target) = schema["$ref"].as_str() {
        let pointer = target.strip_prefix('#').expect("within the document");
        schema = document.pointer(pointer).unwrap_or_else(|| panic!("{target} is nowhere"));
    }
    schema
}

/// Why a value is not what a schema describes: as JSON Schema says, but members that it does not name are wrong too
/// unless it says that there are more.
fn misfit(document: &Value, schema: &Value, value: &Value) -> Option<String> {
    let schema = resolve(document, schema);
    if let Some(schemas) = schema["anyOf"].as_array().filter(|_| schema.get("properties").is_none()) {
        let misfits: Option<Vec<_>> = schemas.iter().map(|schema| misfit(document, schema, value)).collect();
        return misfits.map(|all| all.join("; or "));
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is_kind = |known: &Value| known == kind || (known == "number" && kind == "integer");
    let right_kind = match &schema["type"] {
        Value::Null => true,
        Value::Array(kinds) => kinds.iter().any(is_kind),
        one => is_kind(one),
    };
    let right_word = schema["enum"].as_array().is_none_or(|words| words.contains(value));
    if !right_kind || !right_word || schema.get("const").is_some_and(|only| only != value) {
        return Some(format!("{value} is not {schema}"));
    }
    if let Some(items) = value.as_array().filter(|_| schema.get("items").is_some()) {
        return items.iter().find_map(|item| misfit(document, &schema["items"], item));
    }
    let (members, properties) = (value.as_object()?, schema["properties"].as_object()?);
    let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
    if let Some(missing) = required.iter().filter_map(Value::as_str).find(|name| !members.contains_key(*name))
    {
        return Some(format!("{missing} is missing in {value}"));
    }
    let open = schema["additionalProperties"] == true;
    members.iter().find_map(|(name, value)| match properties.get(name) {
        Some(schema) => misfit(document, schema, value).map(|misfit| format!("{name}: {misfit}")),
        None if open => None,
        None => Some(format!("{name} is not in the catalogue")),
    })
}

/// Fails unless the frame is the message of that key.
fn assert_fits(document: &Value, key: &str, frame: &Frame) {
    let payload = &document["components"]["messages"][key]["payload"];
    assert!(payload.is_object(), "{key} is in the catalogue");
    let misfit = misfit(document, payload, &frame.value);
    assert_eq!(misfit, None, "{key}: {}", frame.raw);
}

/// Makes a request whose reply must be the one of the catalogue; returns its data.
fn call(document: &Value, client: &mut Client, event: &str, data: &Value) -> Value {
    let reply = client.request(event, data);
    assert!(!reply.is_error(), "{event} {data}: {}", reply.raw);
    assert_fits(document, &format!("{}.reply", event.replace(':', ".")), &reply);
    reply.data().clone()
}

#[test]
fn replies_are_as_the_catalogue_describes_them() {
    let document = &document();
    let server = Server::builder().shards(2).start();
    let token = Token::supervisor("sue").account("7");
    let mut sue = server.open(&token);
    let mut ben = server.member("ben", "desk");
    let room = json!({"roomId": "lobby"});
    call(document, &mut sue, "auth:refresh", &json!({"token": token.mint()}));
    call(document, &mut sue, "ping", &json!({}));
    call(
        document,
        &mut sue,
        "room:create",
        &json!({"roomId": "mine", "maxMembers": 9, "metadata": {"a": 1}}),
    );
    call(document, &mut sue, "room:join", &room);
    let message = json!({"roomId": "lobby", "content": {"a": [1]}, "metadata": {}, "clientId": "c"});
    let sent = call(document, &mut sue, "message:send", &message);
    call(document, &mut sue, "message:send", &message);
    call(document, &mut sue, "user:send", &json!({"userId": "ben", "content": 1}));
    let batch = json!({"messages": [message, {"roomId": "nowhere", "content": 1}, {}]});
    call(document, &mut sue, "message:send-batch", &batch);
    let one = json!({"roomId": "lobby", "messageId": sent["id"]});
    for event in ["message:delivered", "message:read", "message:delivery-status"] {
        call(document, &mut sue, event, &one);
    }
    let edit = json!({"roomId": "lobby", "messageId": sent["id"], "content": 2});
    call(document, &mut sue, "message:edit", &edit);
    call(document, &mut sue, "message:delete", &one);
    call(document, &mut sue, "message:typing", &room);
    let many = json!({"rooms": ["a", "user:ben"], "patterns": ["b.*"]});
    for event in ["room:subscribe-multiple", "room:unsubscribe-multiple"] {
        call(document, &mut sue, event, &many);
    }
    let watched = json!({"userIds": ["ben", "nobody"], "roomId": "lobby"});
    for (event, data) in [
        ("presence:update-status", json!({"status": "busy", "statusText": "…"})),
        ("presence:watch", watched.clone()),
        ("presence:unwatch", watched),
        ("presence:user-status", json!({"userId": "ben"})),
        ("room:info", json!({"roomId": "mine"})),
        ("room:subscription-status", json!({})),
        ("room:subscription-details", json!({})),
        ("room:join", json!({"roomId": "lobby", "history": 9})),
        ("monitoring:events", json!({"limit": 9})),
    ] {
        call(document, &mut sue, event, &data);
    }
    for event in ["info", "online", "subscription-status", "subscription-details", "history"] {
        call(document, &mut sue, &format!("room:{event}"), &room);
    }
    for event in ["message:typing-users", "message:stats"] {
        call(document, &mut sue, event, &room);
    }
    for event in [
        "room:list",
        "presence:online-users",
        "presence:stats",
        "connection:session-info",
        "connection:stats",
        "monitoring:metrics",
        "monitoring:stats",
        "monitoring:health",
    ] {
        call(document, &mut sue, event, &json!({}));
    }
    let session = call(document, &mut sue, "connection:create-session", &json!({}));
    sue.cut(&mut ben);
    let mut sue = server.open(&token);
    call(document, &mut sue, "connection:recover", &json!({"token": session["token"]}));
    call(document, &mut sue, "room:close", &json!({"roomId": "mine"}));
    call(document, &mut sue, "room:leave", &room);
}

#[test]
fn pushes_and_errors_are_as_the_catalogue_describes_them() {
    let document = &document();
    let server = Server::builder().shards(2).with(&["--presence-grace", "100ms"]).start();
    let account = |name: &str| Token::employee(name).account("7");
    for (profile, error) in
        [("native", "native"), ("chat", "chat"), ("channel", "channel"), ("support", "native")]
    {
        let token = account("ana").expires_in(30);
        let mut ana = server.connect().token(&token).query("profile", profile).open();
        ana.ping();
        ana.request("room:join", &json!({"roomId": "lobby"}));
        ana.request("presence:watch", &json!({"userIds": ["ben"], "roomId": "lobby"}));
        ana.request("message:send", &json!({"roomId": "lobby", "content": 1}));
        let mut ben = server.open(&account("ben"));
        ben.join("lobby");
        let sent = ben.say("lobby", "x");
        let one = json!({"roomId": "lobby", "messageId": sent["id"]});
        ben.call("message:typing", json!({"roomId": "lobby"}));
        ben.call("message:edit", json!({"roomId": "lobby", "messageId": sent["id"], "content": null}));
        ben.call("message:delete", one);
        ben.call("message:read", json!({"roomId": "lobby", "upToOffset": sent["offset"]}));
        ben.call("presence:update-status", json!({"status": "away"}));
        let created = format!("of.{profile}");
        ben.call("room:create", json!({"roomId": created}));
        ben.close();
        let renamed = |canonical: &str| {
            let message =
                &document["components"]["messages"][format!("{}.push", canonical.replace(':', "."))];
            message["x-profiles"][profile].as_str().unwrap_or(canonical).to_owned()
        };
        let edges =
            if profile == "support" { ["user:online", "user:offline"] } else { ["presence:changed"; 2] };
        for canonical in [
            "auth:expiring",
            "room:member-joined",
            "message:received",
            "user:typing",
            "message:edited",
            "message:deleted",
            "message:status",
            "room:created",
            "room:member-left",
            edges[0],
            "presence:changed",
            edges[1],
        ] {
            let name = renamed(canonical);
            let push = ana.expect(canonical, |frame| frame.name == name && frame.request_id.is_none());
            assert_fits(document, &format!("{}.push", canonical.replace(':', ".")), &push);
        }
        for (event, data) in
            [("nothing", json!({})), ("room:join", json!({})), ("monitoring:stats", json!({}))]
        {
            assert_fits(document, &format!("error.{error}"), &ana.request(event, &data));
        }
        ana.close();
    }
}
