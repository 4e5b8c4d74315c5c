//! What a request is signed with, checked as a backend would check it: in Node and in Python.

use std::process::Command;

use serde_json::json;

use super::{echo, server};
use crate::support::TemporaryFile;

/// Checks a request that is given by environment, with the example's own function.
const NODE: &str = "import('SCRIPT').then(({ isSigned }) => {
  const { TIMESTAMP, SIGNATURE, BODY, SECRET } = process.env;
  console.log(isSigned(SECRET, TIMESTAMP, SIGNATURE, BODY));
});";
const PYTHON: &str = "import os, sys
sys.path.insert(0, 'FOLDER')
import backend
e = os.environ
print(str(backend.is_signed(e['SECRET'], e['TIMESTAMP'], e['SIGNATURE'], e['BODY'].encode())).lower())";

#[test]
fn node_and_python_find_the_signature_right_and_a_forged_one_wrong() {
    let file = TemporaryFile::with("route-secrets", "the-new-secret\nthe-old-secret\n");
    let backend = echo();
    let server = server(&backend, "'*'", &format!("secret-file = '{}'", file.path()));
    server.employee("ana").call("order:create", json!({"text": "ä\u{1f600}"}));
    let request = backend.request(0);
    let (timestamp, signature) =
        (request.header("x-roomcast-timestamp"), request.header("x-roomcast-signature"));
    assert_eq!(signature.matches("v1=").count(), 2, "one for each secret: {signature}");

    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/examples/backend");
    let node = NODE.replace("SCRIPT", &format!("{folder}/backend.mjs"));
    let python = PYTHON.replace("FOLDER", folder);
    let checks = |secret: &str, timestamp: &str, body: &str| {
        [("node", "-e", &node), ("python3", "-c", &python)].map(|(program, flag, script)| {
            let output = Command::new(program)
                .args([flag, script])
                .env("SECRET", secret)
                .env("TIMESTAMP", timestamp)
                .env("SIGNATURE", signature)
                .env("BODY", body)
                .env("PYTHONDONTWRITEBYTECODE", "1")
                .output()
                .expect("it is installed");
            let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
            text
        })
    };
    for secret in ["the-new-secret", "the-old-secret"] {
        assert_eq!(checks(secret, timestamp, &request.text), ["true", "true"], "{secret}");
    }
    assert_eq!(checks("another", timestamp, &request.text), ["false", "false"]);
    assert_eq!(checks("the-new-secret", timestamp, &format!("{} ", request.text)), ["false", "false"]);
    let old: u64 = timestamp.parse().expect("seconds");
    assert_eq!(checks("the-new-secret", &(old - 1).to_string(), &request.text), ["false", "false"]);
}
