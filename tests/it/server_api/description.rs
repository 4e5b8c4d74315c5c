//! The OpenAPI description: the committed one, the printed one and the served one are the same, and it is true.

use std::process::Command;

use serde_json::{Value, json};

use super::{Gateway, json};
use crate::support::http::get;
use crate::support::{ProcessEnd, foreign};

const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");

fn committed() -> Value {
    let text = std::fs::read_to_string(COMMITTED).expect("it is committed");
    serde_json::from_str(&text).expect("it is JSON")
}

#[test]
fn what_is_printed_served_and_committed_is_one() {
    let printed = ProcessEnd::of(&["openapi"]);
    assert_eq!(printed.code, Some(0), "{printed:?}");
    assert_eq!(printed.stdout, std::fs::read_to_string(COMMITTED).expect("it is committed"));
    let gateway = Gateway::start();
    let served = get(gateway.server.address, "/v1/openapi.json");
    assert_eq!(served.status, 200, "it needs no credentials");
    assert_eq!(json(&served), committed());
}

#[test]
fn a_real_validator_passes_it() {
    let mut command: Command = foreign::python("openapi.py");
    command.arg(COMMITTED);
    let end = ProcessEnd::of_command(command);
    assert_eq!((end.code, end.stdout.trim()), (Some(0), "valid OpenAPI 3.1"), "{end:?}");
}

/// Every route is asked something that succeeds and something that fails, and answers with a status that it documents.
#[test]
fn every_route_answers_as_it_is_described() {
    let gateway = Gateway::start();
    let _ana = gateway.server.member("ana", "lobby");
    let document = committed();
    let bodies = [
        ("Publish", json!({"content": 1})),
        ("Batch", json!({"messages": [{"roomId": "lobby", "content": 1}]})),
        ("RoomCreation", json!({"roomId": "made"})),
        ("PresenceQuery", json!({"userIds": ["ana"]})),
        ("Disconnect", json!({})),
        ("Until", json!({})),
        ("Event", json!({"name": "a"})),
    ];
    for (path, methods) in document["paths"].as_object().expect("paths") {
        let target = path
            .replace("{roomId}", if path.ends_with("{roomId}") { "made" } else { "lobby" })
            .replace("{userId}", "eve")
            .replace("{tokenId}", "t")
            .replace("{connectionId}", "0-0-0");
        let mut methods: Vec<_> = methods.as_object().expect("methods").iter().collect();
        // What takes something away comes behind what needs it.
        methods.sort_by_key(|(method, _)| *method == "delete");
        for (method, operation) in methods {
            let schema = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].as_str();
            let name = schema.and_then(|schema| schema.rsplit('/').next());
            let body =
                name.map(|name| bodies.iter().find(|(known, _)| *known == name).expect(name).1.to_string());
            if path == "/v1/rooms/{roomId}" {
                gateway.backend().ask("POST", "/v1/rooms", r#"{"roomId":"made"}"#);
            }
            let responses = operation["responses"].as_object().expect("responses");
            let ask = |body: &str| {
                let response = gateway.backend().ask(&method.to_uppercase(), &target, body);
                let status = response.status.to_string();
                assert!(responses.contains_key(&status), "{method} {target} {body}: {response:?}");
                json(&response);
                response.status
            };
            let status = ask(body.as_deref().unwrap_or(""));
            let missing = ["/v1/connections/{connectionId}/disconnect", "/v1/dead-letters/{number}/retry"]
                .contains(&&**path);
            assert!((200..300).contains(&status) != missing, "{method} {target}: {status}");
            if body.is_some() {
                assert_eq!(ask("{"), 400, "{method} {target}");
            }
            if operation["security"].is_null() {
                let head = format!("{} {target} HTTP/1.1\r\nHost: a\r\n\r\n", method.to_uppercase());
                assert_eq!(crate::support::http::exchange(gateway.server.address, head).status, 401);
            }
        }
    }
}
