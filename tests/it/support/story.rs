//! A story that a foreign client tells line by line, on a network and a server that give way when the story says so.

use std::process::Command;

use super::foreign::Script;
use super::{Proxy, Server, Token};

/// Fails unless the command tells these steps; it finds `URL_ANA`, `URL_BEN`, `TOKEN_ANA` and `TOKEN_BEN` in its
/// environment.
///
/// Each user comes through a proxy. A step that ends in `cut` cuts Ben's connections and keeps him out until `mend`;
/// `restart` drains the server, and starts another that both proxies lead to.
pub(crate) fn assert_tells(mut command: Command, steps: &[String], start: impl Fn() -> Server) {
    let mut server = start();
    let [ana, ben] = [Proxy::to(server.address), Proxy::to(server.address)];
    for (user, name, proxy) in [("ANA", "ana", &ana), ("BEN", "ben", &ben)] {
        command.env(format!("URL_{user}"), format!("http://{}", proxy.address));
        command.env(format!("TOKEN_{user}"), Token::employee(name).mint());
    }
    let mut script = Script::start(command);
    for step in steps {
        script.expect(step);
        match step.rsplit(' ').next() {
            Some("cut") => ben.cut(),
            Some("mend") => ben.lead_to(server.address),
            Some("restart") => {
                server.terminate();
                server.wait_for_exit();
                server = start();
                ana.lead_to(server.address);
                ben.lead_to(server.address);
            }
            _ => {}
        }
    }
    script.expect_end();
}
