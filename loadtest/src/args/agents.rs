//! What was typed for several generators that act as one: `--agents` of a run, and the subcommand `agent`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use serde::{Serialize, Serializer};

/// Local agents beyond this are more than any machine has cores for.
const LOCAL_MAX: usize = 256;

/// The flags of a run that several generators share.
#[derive(Debug, Clone, Args, Serialize)]
#[command(next_help_heading = "Several generators as one")]
pub(crate) struct AgentsArgs {
    /// Splits the connections and the rate among so many processes of this machine, or among agents that were started
    /// elsewhere (roomcast-loadtest agent), as HOST:PORT,HOST:PORT. Rooms span all agents; results are merged.
    #[arg(long, env = "ROOMCAST_LOADTEST_AGENTS", value_name = "N|HOST:PORT,…")]
    pub(crate) agents: Option<Agents>,

    /// File with the secret that the agents elsewhere were started with.
    #[arg(long, env = "ROOMCAST_LOADTEST_AGENTS_SECRET_FILE", value_name = "FILE")]
    pub(crate) agents_secret_file: Option<PathBuf>,
}

/// The flags of `agent`.
#[derive(Debug, Clone, Args)]
pub(crate) struct AgentArgs {
    /// Address and port to wait for a coordinator on. What it sends, the secret of the server's tokens included, is not
    /// encrypted: use another address than a loopback one only inside a tunnel or a network of your own.
    #[arg(long, default_value = "127.0.0.1:4800", value_name = "ADDRESS:PORT", conflicts_with = "stdio")]
    pub(crate) listen: SocketAddr,

    /// File with the secret that a coordinator must know; at least 16 bytes, white space at its end not counted.
    #[arg(long, value_name = "FILE", required_unless_present = "stdio")]
    pub(crate) secret_file: Option<PathBuf>,

    /// Serves the process that started this one, over standard input and output.
    #[arg(long, hide = true)]
    pub(crate) stdio: bool,
}

/// Who shares a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Agents {
    /// So many processes of this machine.
    Local(usize),
    /// Processes that wait at these addresses.
    Remote(Vec<String>),
}

impl FromStr for Agents {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(count) = text.parse() {
            return match count {
                1..=LOCAL_MAX => Ok(Self::Local(count)),
                _ => Err(format!("expected 1 to {LOCAL_MAX} local agents")),
            };
        }
        let has_port = |address: &&str| {
            address
                .rsplit_once(':')
                .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        };
        let addresses: Vec<&str> = text.split(',').collect();
        match addresses.iter().find(|address| !has_port(address)) {
            Some(wrong) => Err(format!("expected a number, or HOST:PORT,HOST:PORT; got {wrong:?}")),
            None if addresses.len() > LOCAL_MAX => Err(format!("at most {LOCAL_MAX} agents")),
            None => Ok(Self::Remote(addresses.into_iter().map(str::to_owned).collect())),
        }
    }
}

impl Serialize for Agents {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Local(count) => count.serialize(serializer),
            Self::Remote(addresses) => addresses.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_a_number_or_addresses() {
        assert_eq!("3".parse(), Ok(Agents::Local(3)));
        let two = ["a:1", "[::1]:2"].map(str::to_owned).to_vec();
        assert_eq!("a:1,[::1]:2".parse(), Ok(Agents::Remote(two)));
        for text in ["", "0", "257", "-1", "host", ":1", "a:1,", "a:99999"] {
            assert!(text.parse::<Agents>().is_err(), "{text:?}");
        }
    }
}
