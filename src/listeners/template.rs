//! Texts with fields of an event in them, such as `conversation:{data.conversationId}`, and paths to such fields.
//!
//! A path names `id`, `name`, `timestamp` or `data`, and of `data` members within members. `[]` behind a member that is
//! a list stands for each of its elements, so that one template makes several texts.

use serde_json::Value;

use super::event::Event;

/// Texts that one template may make of one event.
const TEXTS_MAX: usize = 256;

/// A path to a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    root: Root,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Root {
    Id,
    Name,
    Timestamp,
    Data,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Member(Box<str>),
    Each,
}

/// A text with fields in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Path),
}

/// Why a template makes no text of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// A field is not there, or neither text nor a whole number.
    Missing,
    /// A field's value may not stand there.
    Forbidden,
    /// There would be too many.
    TooMany,
}

impl Path {
    /// Reads `data.conversation.id`.
    ///
    /// # Errors
    /// The text for the operator.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split('.');
        let root = match words.next() {
            Some("id") => Root::Id,
            Some("name") => Root::Name,
            Some("timestamp") => Root::Timestamp,
            Some("data") => Root::Data,
            _ => return Err(format!("field {text:?}: expected id, name, timestamp or data.MEMBER")),
        };
        let mut steps = Vec::new();
        for word in words {
            let (member, each) = match word.strip_suffix("[]") {
                Some(member) => (member, true),
                None => (word, false),
            };
            if root != Root::Data || member.is_empty() || member.contains(['[', ']', '{', '}']) {
                return Err(format!("field {text:?}: expected members such as data.inbox.id or data.ids[]"));
            }
            steps.push(Step::Member(member.into()));
            steps.extend(each.then_some(Step::Each));
        }
        Ok(Self { root, steps })
    }

    /// Whether it stands for each element of a list.
    pub(super) fn fans_out(&self) -> bool {
        self.steps.contains(&Step::Each)
    }

    /// The values that it stands for: one, or one for each element of a list; `None` when there is no such field.
    pub(super) fn values<'a>(&self, event: &'a Event) -> Option<Vec<std::borrow::Cow<'a, Value>>> {
        use std::borrow::Cow;
        let text = |text: &str| Some(vec![Cow::Owned(Value::from(text))]);
        match self.root {
            Root::Id => return text(&event.id),
            Root::Name => return text(&event.name),
            Root::Timestamp => return text(event.timestamp().trim_matches('"')),
            Root::Data => {}
        }
        let mut values = vec![&event.fields];
        for step in &self.steps {
            let mut next = Vec::new();
            for value in values {
                match step {
                    Step::Member(name) => next.push(value.get(&**name)?),
                    Step::Each => next.extend(value.as_array()?),
                }
            }
            values = next;
        }
        Some(values.into_iter().map(Cow::Borrowed).collect())
    }
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// The text for the operator.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(begin) = rest.find(['{', '}']) {
            let unpaired = || format!("template {text:?}: {{ and }} come in pairs around a field");
            let inside = rest[begin..].strip_prefix('{').ok_or_else(unpaired)?;
            let end = inside.find(['{', '}']).ok_or_else(unpaired)?;
            if inside.as_bytes()[end] != b'}' {
                return Err(unpaired());
            }
            if begin > 0 {
                parts.push(Part::Text(rest[..begin].to_owned()));
            }
            parts.push(Part::Field(Path::parse(&inside[..end])?));
            rest = &inside[end + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { parts })
    }

    /// Whether it makes several texts of one event.
    pub(crate) fn fans_out(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Field(path) if path.fans_out()))
    }

    /// The field that it is, if it is nothing else.
    pub(crate) fn as_field(&self) -> Option<&Path> {
        match &self.parts[..] {
            [Part::Field(path)] => Some(path),
            _ => None,
        }
    }

    /// The texts that it makes of an event; `may_stand` says whether a field's value may stand in them.
    ///
    /// # Errors
    /// [`Unfit`] when it makes none.
    pub(crate) fn texts(&self, event: &Event, may_stand: fn(&str) -> bool) -> Result<Vec<String>, Unfit> {
        let mut texts = vec![String::new()];
        for part in &self.parts {
            match part {
                Part::Text(text) => texts.iter_mut().for_each(|out| out.push_str(text)),
                Part::Field(path) => {
                    let values = path.values(event).ok_or(Unfit::Missing)?;
                    if values.len() * texts.len() > TEXTS_MAX {
                        return Err(Unfit::TooMany);
                    }
                    let values = values.iter().map(|value| plain(value).ok_or(Unfit::Missing));
                    let values = values.collect::<Result<Vec<_>, _>>()?;
                    if !values.iter().all(|value| may_stand(value)) {
                        return Err(Unfit::Forbidden);
                    }
                    texts = texts
                        .iter()
                        .flat_map(|text| values.iter().map(move |value| format!("{text}{value}")))
                        .collect();
                }
            }
        }
        texts.sort_unstable();
        texts.dedup();
        Ok(texts)
    }

    /// The one text that it makes.
    ///
    /// # Errors
    /// As [`Template::texts`].
    pub(crate) fn text(&self, event: &Event, may_stand: fn(&str) -> bool) -> Result<String, Unfit> {
        self.texts(event, may_stand)?.pop().ok_or(Unfit::Missing)
    }
}

/// A value as it stands in a text: names and numbers have a form, nothing else has.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        _ => None,
    }
}

/// Whether a value may stand in the name of a room: nothing that ends a segment, stands for others, or is no letter of
/// such names. So no value makes it another kind of room.
pub(crate) fn fits_room(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'*' | b'"' | b'\\' | b':'))
}

/// Whether a value may stand in a text that nobody takes apart.
pub(crate) fn fits_anywhere(value: &str) -> bool {
    !value.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::super::event::tests::event;
    use super::*;

    fn texts(template: &str, data: &str) -> Result<Vec<String>, Unfit> {
        Template::parse(template).expect(template).texts(&event("a.b", data), fits_room)
    }

    #[test]
    fn fields_stand_where_they_are_named() {
        let data = r#"{"id":7,"who":{"name":"bob"},"ids":[2,1,2],"list":[{"id":"x"},{"id":"y"}],"none":[]}"#;
        let check = |template: &str, expected: &[&str]| {
            assert_eq!(texts(template, data).as_deref(), Ok(&expected.map_to_owned()[..]), "{template}");
        };
        check("conversation:{data.id}", &["conversation:7"]);
        check("{data.who.name}@{name}/{id}", &["bob@a.b/e-1"]);
        check("lobby", &["lobby"]);
        check("inbox:{data.ids[]}", &["inbox:1", "inbox:2"]);
        check("{data.list[].id}:{data.ids[]}", &["x:1", "x:2", "y:1", "y:2"]);
        check("r:{data.none[]}", &[]);
    }

    trait MapToOwned {
        fn map_to_owned(&self) -> Vec<String>;
    }

    impl MapToOwned for [&str] {
        fn map_to_owned(&self) -> Vec<String> {
            self.iter().map(|text| (*text).to_owned()).collect()
        }
    }

    #[test]
    fn what_is_missing_or_would_name_another_room_makes_none() {
        let check = |data: &str, expected: Unfit| {
            assert_eq!(texts("user:{data.id}", data), Err(expected), "{data}");
        };
        for data in
            ["{}", r#"{"id":null}"#, r#"{"id":""}"#, r#"{"id":{}}"#, r#"{"id":1.5}"#, r#"{"id":true}"#]
        {
            check(data, Unfit::Missing);
        }
        for id in ["a:b", "*", "a b", "a\\\"", "a\\\\b", "é", "a\\nb"] {
            check(&format!(r#"{{"id":"{id}"}}"#), Unfit::Forbidden);
        }
        let many = format!(r#"{{"ids":{:?}}}"#, (0..257).collect::<Vec<_>>());
        assert_eq!(texts("{data.ids[]}", &many), Err(Unfit::TooMany));
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for text in ["{", "}", "{data.id", "{{data.id}}", "{who}", "{data.}", "{id.x}", "{data.a[0]}", "{}"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
