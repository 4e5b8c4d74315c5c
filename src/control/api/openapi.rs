//! The OpenAPI 3.1 description of the server API, made from the table of endpoints and the schemas beside this file.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::table::{BODY_ERRORS, COMMON_ERRORS, ENDPOINTS, Endpoint, Param};

/// The components' schemas, as JSON Schema.
const SCHEMAS: &str = include_str!("openapi/schemas.json");

static COMPACT: LazyLock<String> = LazyLock::new(|| describe().to_string());
static PRETTY: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", describe()));

/// As it is served.
pub(crate) fn compact() -> &'static str {
    &COMPACT
}

/// As `roomcast openapi` prints it.
pub(crate) fn pretty() -> &'static str {
    &PRETTY
}

fn describe() -> Value {
    let mut paths = Map::new();
    for endpoint in ENDPOINTS {
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        path[endpoint.method.to_ascii_lowercase()] = operation(endpoint);
    }
    let schemas: Value = serde_json::from_str(SCHEMAS).expect("the schemas are JSON: a test reads them");
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Roomcast server API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What the services behind a Roomcast gateway ask of it. Every request needs an API key or a \
                            token whose permissions name `server`. With `--tenancy account` the query names the \
                            account, `?accountId=7`; a token is bound to its own.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "bearer": [] }, { "key": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": { "type": "http", "scheme": "bearer", "description": "An API key, or a token." },
                "key": { "type": "apiKey", "in": "header", "name": "X-API-Key" },
            },
            "schemas": schemas,
        },
    })
}

fn operation(endpoint: &Endpoint) -> Value {
    let (status, schema) = endpoint.ok;
    let mut responses = Map::new();
    responses.insert(status.to_string(), response("Done.", schema));
    if !endpoint.is_open() {
        for status in COMMON_ERRORS.iter().chain(endpoint.errors) {
            responses.insert(status.to_string(), response(meaning(*status), "Error"));
        }
    }
    if endpoint.body.is_some() {
        for status in BODY_ERRORS {
            responses.insert(status.to_string(), response(meaning(*status), "Error"));
        }
    }
    let name = format!("{:?}", endpoint.route);
    let (first, rest) = name.split_at(1);
    let mut operation = json!({
        "operationId": format!("{}{rest}", first.to_ascii_lowercase()),
        "summary": endpoint.summary,
        "parameters": parameters(endpoint),
        "responses": responses,
    });
    if !endpoint.description.is_empty() {
        operation["description"] = endpoint.description.into();
    }
    if endpoint.is_open() {
        operation["security"] = json!([]);
    }
    if let Some(body) = endpoint.body {
        let content = json!({ "application/json": { "schema": reference(body) } });
        operation["requestBody"] =
            json!({ "required": body != "Disconnect" && body != "Until", "content": content });
    }
    operation
}

fn parameters(endpoint: &Endpoint) -> Value {
    let in_path = endpoint.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = in_path
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    let in_query = |Param { name, kind, description }: &Param| json!({ "name": name, "in": "query", "description": description, "schema": { "type": kind } });
    parameters.extend(endpoint.query.iter().map(in_query));
    if matches!(endpoint.body, Some("Publish")) {
        parameters.push(json!({
            "name": "Idempotency-Key",
            "in": "header",
            "description": "Stands for `clientId`.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 128 },
        }));
    }
    if !endpoint.is_open() {
        parameters.push(json!({
            "name": "accountId",
            "in": "query",
            "description": "The account whose names are meant, with `--tenancy account`.",
            "schema": { "type": "string" },
        }));
    }
    Value::Array(parameters)
}

fn response(description: &str, schema: &str) -> Value {
    json!({ "description": description, "content": { "application/json": { "schema": reference(schema) } } })
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn meaning(status: u16) -> &'static str {
    match status {
        400 => "The request is malformed: `details` say where.",
        401 => "There are no credentials, or no good ones.",
        403 => "The credentials do not allow it.",
        404 => "What the path names is not there.",
        408 => "The body did not come in time, or not whole.",
        409 => "It contradicts what there is, or a bound is reached.",
        413 => "The body is larger than `--api-max-body`.",
        429 => "Too many requests: `Retry-After` says when to come back.",
        503 => "Something that is needed is missing or full: `details.component` says what.",
        _ => "It failed.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every schema that is named.
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    match member.as_str().filter(|_| name == "$ref") {
                        Some(target) => found.push(target.to_owned()),
                        None => references(member, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_schema_is_there_and_used() {
        let document = describe();
        let mut found = Vec::new();
        references(&document, &mut found);
        for target in &found {
            assert!(document.pointer(&target[1..]).is_some(), "{target}");
        }
        for name in document["components"]["schemas"].as_object().unwrap().keys() {
            assert!(found.contains(&format!("#/components/schemas/{name}")), "{name} is not used");
        }
    }

    #[test]
    fn the_committed_description_is_this_one() {
        let committed = include_str!("../../../docs/openapi.json");
        assert!(committed == pretty(), "`roomcast openapi > docs/openapi.json` writes it anew");
    }
}
