//! What tests read out of the `data` of a reply or a push: keys, lists, their columns and entries.

use serde_json::Value;

/// The names of an object's members, sorted.
pub(crate) fn keys(object: &Value) -> Vec<&str> {
    let members = object.as_object().unwrap_or_else(|| panic!("no object: {object}"));
    let mut keys: Vec<&str> = members.keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// The list of that name.
pub(crate) fn list<'a>(data: &'a Value, name: &str) -> &'a [Value] {
    data[name].as_array().unwrap_or_else(|| panic!("no list {name} in {data}"))
}

/// Member `key` of each entry of the list `name`.
pub(crate) fn column(data: &Value, name: &str, key: &str) -> Vec<Value> {
    list(data, name).iter().map(|entry| entry[key].clone()).collect()
}

/// As [`column`], sorted, where the order is nobody's promise.
pub(crate) fn sorted_column(data: &Value, name: &str, key: &str) -> Vec<String> {
    let text = |value: Value| value.as_str().unwrap_or_else(|| panic!("{key} is {value}")).to_owned();
    let mut column: Vec<String> = column(data, name, key).into_iter().map(text).collect();
    column.sort();
    column
}

/// The entry of the list `name` whose member `key` is `value`; null when there is none.
pub(crate) fn entry<'a>(data: &'a Value, name: &str, key: &str, value: &str) -> &'a Value {
    list(data, name).iter().find(|entry| entry[key] == value).unwrap_or(&Value::Null)
}
