//! From a method and a path to the endpoint, and to the parameters in the path.

use super::table::{ENDPOINTS, Endpoint};

/// What is at a path.
#[derive(Debug)]
pub(super) enum Found {
    /// An endpoint, and its parameters in order, decoded.
    Endpoint(&'static Endpoint, Vec<String>),
    /// Endpoints of other methods: what `Allow` says.
    WrongMethod(String),
    /// Nothing.
    Nothing,
}

/// Looks an endpoint up.
pub(super) fn find(method: &str, path: &str) -> Found {
    let mut allow: Vec<&str> = Vec::new();
    for endpoint in ENDPOINTS {
        let Some(parameters) = matches(endpoint.path, path) else { continue };
        if endpoint.method == method {
            let decoded: Option<Vec<String>> = parameters.into_iter().map(decode).collect();
            return decoded.map_or(Found::Nothing, |decoded| Found::Endpoint(endpoint, decoded));
        }
        allow.push(endpoint.method);
    }
    if allow.is_empty() { Found::Nothing } else { Found::WrongMethod(allow.join(", ")) }
}

/// The parameters as they stand in the path, if it is one of the template's.
fn matches<'a>(template: &str, path: &'a str) -> Option<Vec<&'a str>> {
    let mut parameters = Vec::new();
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(parameters),
            (Some(name), Some(segment)) if name.starts_with('{') => {
                if segment.is_empty() {
                    return None;
                }
                parameters.push(segment);
            }
            (Some(name), Some(segment)) if name == segment => {}
            _ => return None,
        }
    }
}

/// A segment without its percent signs; `None` when what they stand for is no text.
fn decode(segment: &str) -> Option<String> {
    if !segment.contains('%') {
        return Some(segment.to_owned());
    }
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let (digits, behind) = rest.split_at_checked(2)?;
        let digits =
            std::str::from_utf8(digits).ok().filter(|it| it.bytes().all(|it| it.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = behind;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::super::table::Route;
    use super::*;

    fn check(method: &str, path: &str, expected: Option<(Route, &[&str])>) {
        let found = find(method, path);
        match expected {
            Some((route, parameters)) => {
                let Found::Endpoint(endpoint, given) = found else { panic!("{path}: {found:?}") };
                assert_eq!(
                    (endpoint.route, given),
                    (route, parameters.iter().map(|it| it.to_string()).collect())
                );
            }
            None => assert!(matches!(found, Found::Nothing), "{path}: {found:?}"),
        }
    }

    #[test]
    fn paths_lead_to_their_endpoints() {
        check("POST", "/v1/rooms/a/messages", Some((Route::Publish, &["a"])));
        check("GET", "/v1/rooms/a%2Fb%3a1/messages", Some((Route::History, &["a/b:1"])));
        check("PUT", "/v1/rooms/a/members/b", Some((Route::Subscribe, &["a", "b"])));
        check("POST", "/v1/rooms", Some((Route::CreateRoom, &[])));
        for nothing in
            ["/v1/", "/v1/rooms/", "/v1/rooms//messages", "/v1/rooms/a/messages/", "/v1/rooms/%2/messages"]
        {
            check("POST", nothing, None);
        }
        check("POST", "/v1/rooms/%ff/messages", None);
        check("POST", "/v1/rooms/%+1/messages", None);
    }

    #[test]
    fn another_method_is_told_which_there_are() {
        let Found::WrongMethod(allow) = find("PATCH", "/v1/rooms/a") else { panic!("the path is known") };
        assert_eq!(allow, "GET, DELETE");
    }

    #[test]
    fn no_two_endpoints_are_the_same() {
        for (index, endpoint) in ENDPOINTS.iter().enumerate() {
            let other =
                ENDPOINTS[..index].iter().find(|it| (it.method, it.path) == (endpoint.method, endpoint.path));
            assert!(other.is_none(), "{} {}", endpoint.method, endpoint.path);
        }
    }
}
