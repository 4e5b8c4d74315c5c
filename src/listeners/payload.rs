//! What the members of a room are told of an event, and on which conditions a listener hears of it.

use serde_json::{Map, Value};

use super::event::Event;
use super::template::{Path, Template, fits_anywhere};

/// What a room is told.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum Payload {
    /// The event's data, byte for byte.
    #[default]
    Data,
    /// The event with its id, name and time.
    Event,
    /// An object made of it.
    Object(Vec<(String, Member)>),
}

/// A member of such an object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Member {
    /// A field as it is; left out when it is not there.
    Field(Path),
    /// A text; left out when a field of it is not there.
    Text(Template),
    /// Always the same.
    Constant(Value),
    /// An object within.
    Object(Vec<(String, Member)>),
}

impl Payload {
    /// What it is for an event, as JSON.
    pub(super) fn of(&self, event: &Event) -> String {
        match self {
            Self::Data => event.data.get().to_owned(),
            Self::Event => event.to_json(),
            Self::Object(members) => Value::Object(object(members, event)).to_string(),
        }
    }
}

fn object(members: &[(String, Member)], event: &Event) -> Map<String, Value> {
    let value = |(name, member): &(String, Member)| Some((name.clone(), member.of(event)?));
    members.iter().filter_map(value).collect()
}

impl Member {
    fn of(&self, event: &Event) -> Option<Value> {
        match self {
            Self::Field(path) => {
                let values = path.values(event)?;
                if path.fans_out() {
                    return Some(Value::Array(values.into_iter().map(|value| value.into_owned()).collect()));
                }
                values.into_iter().next().map(std::borrow::Cow::into_owned)
            }
            Self::Text(template) => template.text(event, fits_anywhere).ok().map(Value::String),
            Self::Constant(value) => Some(value.clone()),
            Self::Object(members) => Some(Value::Object(object(members, event))),
        }
    }
}

/// That a field has one of some values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Condition {
    pub(crate) field: Path,
    /// Any of them.
    pub(crate) values: Vec<Value>,
}

impl Condition {
    /// Whether it holds; never for a field that is not there.
    pub(super) fn holds(&self, event: &Event) -> bool {
        let values = self.field.values(event);
        values.is_some_and(|values| values.iter().any(|value| self.values.contains(value)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::tests::event;
    use super::*;

    #[test]
    fn an_object_is_made_of_fields_texts_and_constants() {
        let path = |text: &str| Member::Field(Path::parse(text).expect(text));
        let payload = Payload::Object(vec![
            ("id".to_owned(), path("data.id")),
            ("ids".to_owned(), path("data.list[].id")),
            ("gone".to_owned(), path("data.gone")),
            ("text".to_owned(), Member::Text(Template::parse("#{data.id} by {data.by}").expect("good"))),
            ("kind".to_owned(), Member::Constant(Value::from(1))),
            ("in".to_owned(), Member::Object(vec![("name".to_owned(), path("name"))])),
        ]);
        let event = event("a.b", r#"{"id":7,"by":"bob","list":[{"id":1},{"id":2}]}"#);
        assert_eq!(
            serde_json::from_str::<Value>(&payload.of(&event)).expect("JSON"),
            serde_json::json!({"id": 7, "ids": [1, 2], "text": "#7 by bob", "kind": 1, "in": {"name": "a.b"}})
        );
        assert_eq!(Payload::Data.of(&event), event.data.get());
    }

    #[test]
    fn a_condition_is_equality_with_one_of_some() {
        let condition = |field: &str, values: &[Value]| {
            let condition = Condition { field: Path::parse(field).expect(field), values: values.to_vec() };
            condition.holds(&event("a", r#"{"private":false,"type":"incoming","ids":[1,2]}"#))
        };
        assert!(condition("data.private", &[Value::from(false)]));
        assert!(condition("data.type", &[Value::from("outgoing"), Value::from("incoming")]));
        assert!(condition("data.ids[]", &[Value::from(2)]), "any element");
        assert!(!condition("data.type", &[Value::from("outgoing")]));
        assert!(!condition("data.gone", &[Value::Null]));
    }
}
