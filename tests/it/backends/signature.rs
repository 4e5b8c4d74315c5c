//! What a request is signed with, checked as a backend would check it: in Node and in Python.

use std::process::Command;

use serde_json::json;

use super::{configured, echo, server};
use crate::support::TemporaryFile;
use crate::support::backend::{Backend, Does};

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

#[test]
fn secrets_are_read_again_on_sighup_and_a_broken_file_changes_nothing() {
    let file = TemporaryFile::with("route-secret-rotated", "first\n");
    let hook = TemporaryFile::with("hook-secret-rotated", "hooks-first\n");
    let backend = Backend::that(Does::say(json!({})));
    let (url, path, hook_path) = (backend.url(), file.path(), hook.path());
    let server = configured(&format!(
        "[[routes]]\nname = 'shop'\nevents = '*'\nurl = '{url}'\nsecret-file = '{path}'\n\
         [hooks.publish]\nurl = '{url}'\nsecret-file = '{hook_path}'\n"
    ));
    let mut ana = server.employee("ana");
    ana.join("lobby");
    let mut signed_with = |event: &str, number: usize, secret: &str| {
        match event {
            "hook" => ana.say("lobby", number),
            event => ana.call(event, json!({})),
        };
        backend.request(number).verify(secret);
    };
    signed_with("order:create", 0, "first");
    signed_with("hook", 1, "hooks-first");

    std::fs::write(file.path(), "\n").expect("the file is ours");
    server.hang_up();
    let broken = server.wait_for_log(|line| line.contains("secrets_not_reloaded").then(|| line.to_owned()));
    assert!(broken.contains("routes.shop") && broken.contains("holds no secret"), "{broken}");
    signed_with("order:create", 2, "first");

    std::fs::write(file.path(), "second\n").expect("the file is ours");
    std::fs::write(hook.path(), "hooks-second\n").expect("the file is ours");
    server.hang_up();
    for whose in ["routes.shop", "hooks.publish"] {
        server.wait_for_log(|line| (line.contains("secrets_reloaded") && line.contains(whose)).then_some(()));
    }
    signed_with("order:create", 3, "second");
    let log = server.log().join("\n");
    assert!(!log.contains("\"second"), "no secret is logged: {log}");
}
