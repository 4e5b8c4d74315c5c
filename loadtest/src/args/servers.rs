//! What was typed of the servers: one, or several that act as one; their addresses, and their processes.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// What every address begins with. A comma only ends one where the next begins, since a query may hold commas.
const NEXT: &str = ",ws://";

/// Where to connect: an address for each server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Urls(pub(crate) Vec<String>);

impl FromStr for Urls {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut urls: Vec<_> = text.split(NEXT).map(str::to_owned).collect();
        urls.iter_mut().skip(1).for_each(|url| url.insert_str(0, &NEXT[1..]));
        Ok(Self(urls))
    }
}

impl fmt::Display for Urls {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0.join(","))
    }
}

impl Serialize for Urls {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The servers' processes, in the order of their addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerPids(pub(crate) Vec<u32>);

impl FromStr for ServerPids {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pids: Result<Vec<_>, _> = text.split(',').map(str::parse).collect();
        pids.map(Self).map_err(|_| "expected a process id, or several as PID,PID".to_owned())
    }
}

impl fmt::Display for ServerPids {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pids: Vec<_> = self.0.iter().map(u32::to_string).collect();
        out.write_str(&pids.join(","))
    }
}

impl Serialize for ServerPids {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0[..] {
            [alone] => alone.serialize(serializer),
            _ => serializer.collect_str(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_end_where_the_next_begins() {
        for (text, expected) in [
            ("ws://a:1/ws", &["ws://a:1/ws"][..]),
            ("ws://a:1/ws,ws://b:2/", &["ws://a:1/ws", "ws://b:2/"]),
            ("ws://a/?x=1,2,ws://b/", &["ws://a/?x=1,2", "ws://b/"]),
        ] {
            let urls: Urls = text.parse().expect("every text is some address");
            assert_eq!(urls.0, expected);
            assert_eq!(urls.to_string(), text);
        }
    }

    #[test]
    fn processes_are_numbers() {
        assert_eq!("7,8".parse(), Ok(ServerPids(vec![7, 8])));
        assert_eq!(serde_json::to_value(ServerPids(vec![7])).expect("plain"), serde_json::json!(7));
        assert_eq!(serde_json::to_value(ServerPids(vec![7, 8])).expect("plain"), serde_json::json!("7,8"));
        for text in ["", "7,", "x", "-1"] {
            assert!(text.parse::<ServerPids>().is_err(), "{text:?}");
        }
    }
}
