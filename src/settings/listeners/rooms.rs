//! What a listener tells rooms: which, under what name, and how that is made of an event.

use toml::{Table, Value};

use super::super::value;
use super::{event_name, list, one, parse};
use crate::listeners::{Member, Payload, RoomsSettings, Template};

pub(super) fn read(at: &str, table: &Table) -> Result<RoomsSettings, String> {
    let rooms = list(at, table, "rooms", Template::parse)?;
    if rooms.is_empty() {
        return Err(format!("{at}.rooms: expected at least one template"));
    }
    Ok(RoomsSettings {
        rooms,
        event: one(at, table, "event", event_name)?,
        payload: payload(&format!("{at}.payload"), table.get("payload"))?,
        as_message: one(at, table, "as", value::word(&[("push", false), ("message", true)]))?
            .unwrap_or(false),
        tenancy: false,
    })
}

fn payload(at: &str, value: Option<&Value>) -> Result<Payload, String> {
    match value {
        None => Ok(Payload::default()),
        Some(Value::Table(table)) => Ok(Payload::Object(members(at, table)?)),
        Some(value) => {
            let words = [("data", true), ("event", false)];
            let is_data = parse(at, value, value::word(&words))?;
            Ok(if is_data { Payload::Data } else { Payload::Event })
        }
    }
}

fn members(at: &str, table: &Table) -> Result<Vec<(String, Member)>, String> {
    let member = |(name, value): (&String, &Value)| {
        let at = format!("{at}.{name}");
        let member = match value {
            Value::Table(table) => Member::Object(members(&at, table)?),
            Value::String(text) if text.contains(['{', '}']) => {
                let template = Template::parse(text).map_err(|error| format!("{at}: {error}"))?;
                match template.as_field() {
                    Some(path) => Member::Field(path.clone()),
                    None if template.fans_out() => {
                        return Err(format!("{at}: a list stands alone, as in \"{{data.ids[]}}\""));
                    }
                    None => Member::Text(template),
                }
            }
            value => Member::Constant(
                constant(value).ok_or_else(|| format!("{at}: expected a template, a constant or a table"))?,
            ),
        };
        Ok((name.clone(), member))
    };
    table.iter().map(member).collect()
}

/// A text, number or truth of the file, as JSON has it.
pub(super) fn constant(value: &Value) -> Option<serde_json::Value> {
    match value {
        Value::String(text) => Some(text.clone().into()),
        Value::Integer(number) => Some((*number).into()),
        Value::Float(number) => serde_json::Number::from_f64(*number).map(Into::into),
        Value::Boolean(truth) => Some((*truth).into()),
        _ => None,
    }
}
