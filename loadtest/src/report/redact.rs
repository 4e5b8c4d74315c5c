//! Keeps what lets somebody in out of the report: tokens and passwords that stand in the address.

/// Words in the name of a query's parameter whose value is nobody's business.
const SECRET_WORDS: [&str; 8] = ["token", "secret", "key", "auth", "pass", "jwt", "session", "sig"];
const REDACTED: &str = "REDACTED";

/// An address without user and password, and without the values of parameters that sound like secrets.
pub(super) fn url(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let authority_len = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(authority_len);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let scheme = if scheme.is_empty() { String::new() } else { format!("{scheme}://") };
    match rest.split_once('?') {
        Some((path, query)) => {
            let query: Vec<_> = query.split('&').map(parameter).collect();
            format!("{scheme}{host}{path}?{}", query.join("&"))
        }
        None => format!("{scheme}{host}{rest}"),
    }
}

fn parameter(parameter: &str) -> String {
    let Some((name, value)) = parameter.split_once('=') else {
        return parameter.to_owned();
    };
    let lower = name.to_ascii_lowercase();
    let sounds_secret = SECRET_WORDS.iter().any(|word| lower.contains(word));
    // Whatever its name, this is what a JWT begins with.
    if sounds_secret || value.starts_with("eyJ") {
        format!("{name}={REDACTED}")
    } else {
        parameter.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lets_somebody_in_is_left_out() {
        for (from, to) in [
            ("ws://127.0.0.1:3000/ws?profile=native", "ws://127.0.0.1:3000/ws?profile=native"),
            ("ws://h/ws?token=abc&profile=a", "ws://h/ws?token=REDACTED&profile=a"),
            ("ws://h?Access_Token=abc", "ws://h?Access_Token=REDACTED"),
            ("ws://me:word@h:1/x", "ws://h:1/x"),
            ("ws://h/ws?t=eyJhbGciOi.e30.x", "ws://h/ws?t=REDACTED"),
            ("ws://h/ws?apiKey", "ws://h/ws?apiKey"),
        ] {
            assert_eq!(url(from), to);
        }
    }
}
