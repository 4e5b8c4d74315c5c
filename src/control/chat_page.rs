//! The chat page of `roomcast dev`: one HTML file without anything external, filled with ready tokens.

use std::collections::BTreeMap;

const TEMPLATE: &str = include_str!("chat_page.html");
/// Stands in the template where the users' tokens go, as a JSON object.
const USERS: &str = "{{users}}";

/// The page with these users, each with a token, to choose from.
///
/// A token can also come in the address: `http://host/#token=<jwt>`; `#user=<name>` chooses a user of the page, and
/// `&room=<room>` a room.
pub(crate) fn chat_page<'a>(users: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let users: BTreeMap<&str, &str> = users.into_iter().collect();
    let json = serde_json::to_string(&users).expect("a map of strings is JSON");
    // Inside a script element only `<` could end it, and in JSON it can only stand in a string.
    TEMPLATE.replacen(USERS, &json.replace('<', "\\u003c"), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_name_cannot_leave_its_element() {
        let page = chat_page([("alice", "a.b.c"), ("</script><b>", "d.e.f")]);
        assert!(page.contains(r#"{"\u003c/script>\u003cb>":"d.e.f","alice":"a.b.c"}"#));
        assert!(!page.contains(USERS));
    }

    #[test]
    fn the_page_loads_nothing_from_elsewhere() {
        for forbidden in ["http://", "https://", "src=", "@import", "url(", "innerHTML"] {
            assert!(!TEMPLATE.contains(forbidden), "{forbidden}");
        }
        assert_eq!(TEMPLATE.matches(USERS).count(), 1);
    }
}
