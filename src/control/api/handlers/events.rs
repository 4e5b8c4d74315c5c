//! Events of the application, and what became of those that could not be delivered.

use roomcast_shards::protocol::error_code::{CommandError, Detail, ErrorCode};
use serde_json::json;
use serde_json::value::RawValue;

use super::super::Api;
use super::super::answer::{Answer, Failure};
use super::super::call::Call;
use crate::listeners::{Event, Written, unix_ms};

/// Dead letters of a page, unless the query says otherwise.
const LETTERS: usize = 100;

impl Api {
    /// Answers when the event outlives the process, as far as the store promises.
    pub(super) async fn event(&self, call: &Call) -> Result<Answer, Failure> {
        if self.is_draining() {
            return Err(unavailable("the server is going away").into());
        }
        let account = call.namespace()?.map(|account| (*account).into());
        let (id, name, data) = self.parse(&call.body, |value| {
            let text = |field: &'static str| match value.get(field).filter(|text| !text.is_null()) {
                None => Ok(None),
                Some(text) => {
                    let text = text.as_str().ok_or_else(|| CommandError::invalid(field, "must be a string"));
                    text.map(|text| Some(text.to_owned()))
                }
            };
            let data = match value.get("data").filter(|data| !data.is_null()) {
                None => "{}".to_owned(),
                Some(data) => String::from_utf8_lossy(data.raw()).into_owned(),
            };
            Ok((text("id")?, text("name")?.unwrap_or_default(), data))
        })?;
        let unix_ms = unix_ms();
        let id = id.map_or_else(|| self.bus.next_id(unix_ms), Into::into);
        let data =
            RawValue::from_string(data).map_err(|_| CommandError::protocol("the body is not valid JSON"))?;
        let event =
            Event::of_application(Written { id: id.clone(), name: name.into(), unix_ms, account, data });
        let event = event.map_err(|error| CommandError::new(ErrorCode::InvalidPayload, error))?;
        match self.bus.take(event).await {
            Ok(listeners) => Ok(written(202, &json!({"accepted": true, "id": id, "listeners": listeners}))),
            Err(_) => Err(unavailable("no room is left for what listeners must have").into()),
        }
    }

    pub(super) fn dead_letters(&self, call: &Call) -> Result<Answer, Failure> {
        call.is_for_all()?;
        let (after, limit) = (call.number("after")?.unwrap_or(0), call.limit(LETTERS)?);
        let (letters, more) = self.bus.dead_letters(after, limit);
        let next = letters.last().filter(|_| more).map(|letter| letter.number);
        let letters: Vec<_> = letters.iter().map(|letter| letter.describe()).collect();
        Ok(written(200, &json!({"deadLetters": letters, "next": next})))
    }

    pub(super) async fn retry_dead_letter(&self, call: &Call) -> Result<Answer, Failure> {
        call.is_for_all()?;
        let number = call.parameter(0).parse().ok();
        let Some(number) = number else { return Err(Failure::not_found("there is no such dead letter")) };
        match self.bus.retry(number).await {
            None => Err(Failure::not_found("there is no such dead letter")),
            Some(true) => Ok(written(200, &json!({"retried": true}))),
            Some(false) => Err(unavailable("its listener is not configured, or there is no room").into()),
        }
    }
}

fn unavailable(message: &'static str) -> CommandError {
    CommandError::new(ErrorCode::ServerError, message).with("component", Detail::Text("listeners".into()))
}

fn written(status: u16, json: &serde_json::Value) -> Answer {
    Answer::new(status, json.to_string().into_bytes())
}
