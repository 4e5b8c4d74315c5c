//! The backends that `scripts/examples/backend` ships, as programs of their own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::configured;

const SECRET: &str = "a secret of the example";

/// A program that says on which port it listens; ended on drop.
struct Program {
    child: Child,
    port: u16,
}

impl Program {
    fn start(interpreter: &str, script: &str) -> Self {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/examples/backend");
        let mut child = Command::new(interpreter)
            .arg(format!("{folder}/{script}"))
            .arg("0")
            .env("SHOP_SECRET", SECRET)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it is installed");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("it says its port");
        Self { port: line.trim().parse().expect("a port"), child }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_shipped_backends_answer_orders_and_know_who_asks() {
    for (interpreter, script) in [("node", "backend.mjs"), ("python3", "backend.py")] {
        let program = Program::start(interpreter, script);
        let secret = crate::support::TemporaryFile::with(&format!("secret-{script}"), SECRET);
        let route = include_str!("../../../scripts/examples/backend/routes.toml")
            .replace("8090", &program.port.to_string())
            .replace("secret-env = \"SHOP_SECRET\"", &format!("secret-file = '{}'", secret.path()));
        let server = configured(&route);
        let mut ana = server.employee("ana");
        let reply = ana.call("order:create", json!({"item": "tea"}));
        assert_eq!(reply, json!({"orderId": "ana-1", "item": "tea"}), "{script}");
        let error = ana.fail("order:cancel", json!({}), "CLIENT_ERROR");
        assert_eq!(error["details"]["code"], "NO_SUCH_EVENT", "{script}: {error}");
        let unsigned = configured(&route.replace("secret-file", "#"));
        unsigned.employee("ana").fail("order:create", json!({}), "PERMISSION_DENIED");
    }
}
