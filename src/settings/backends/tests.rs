use super::super::layers::Layers;
use super::*;

fn read(text: &str) -> Result<FileBackends, String> {
    let layers = Layers::from_toml(text).map_err(|error| error.to_string())?;
    Ok(layers.backends().clone())
}

fn refused(line: &str) -> String {
    let text = format!("[[routes]]\nname = 'r'\nevents = 'a:*'\nurl = 'http://b/'\n{line}");
    let error = read(&text).expect_err(line);
    error.strip_prefix("--config test.toml: ").expect("it names the file").to_owned()
}

#[test]
fn a_route_is_what_its_table_says() {
    let file = read(
        "[[routes]]\nevents = ['robot:*', 'x']\nurl = 'http://b:1/a'\n\
         [[routes]]\nname = 'rest'\nevents = '*'\nurl = 'https://c/'\ntimeout = '2s'\nconcurrency = 3\nqueue = 0\n\
         idempotent = true\nbreaker-failures = 9\nbreaker-window = '1s'\nbreaker-open = '3s'\nbreaker-probes = 2\n\
         secret-env = 'S'\nheaders = { X-A = 'b' }\nmax-response = '1MiB'\ninclude = ['claims', 'room']\n",
    )
    .expect("good");
    let [robot, rest] = &file.settings.routes[..] else { panic!("{file:?}") };
    assert_eq!((&*robot.name, robot.endpoint.url.to_string()), ("robot:*", "http://b:1/a".to_owned()));
    assert_eq!((robot.treatment.time_max.as_secs(), robot.treatment.retries), (5, 0));
    assert_eq!((robot.include, robot.endpoint.answer_bytes_max), (Include::default(), 256 << 10));
    assert_eq!((rest.treatment.concurrency, rest.treatment.queue, rest.treatment.retries), (3, 0, 2));
    assert_eq!(rest.treatment.breaker.open_ms, 3_000);
    assert_eq!(
        (rest.endpoint.headers["x-a"].as_bytes(), rest.endpoint.answer_bytes_max),
        (&b"b"[..], 1 << 20)
    );
    assert_eq!(rest.secret, Some(SecretSource::Variable("S".to_owned())));
    let find = |event: &str| file.routes.find(event).map(|(number, route)| (number, route.describes_room));
    assert_eq!(
        (find("robot:x"), find("x"), find("y")),
        (Some((0, false)), Some((0, false)), Some((1, true)))
    );
}

#[test]
fn what_a_route_gets_wrong_is_named() {
    assert_eq!(refused("timout = '1s'"), "routes.r: unknown key \"timout\" (did you mean \"timeout\"?)");
    assert!(refused("timeout = '2m'").starts_with("routes.r.timeout: expected at most 1m"));
    assert!(refused("retries = 1").starts_with("routes.r.retries: needs idempotent"));
    assert!(refused("secret-file = 'a'\nsecret-env = 'b'").starts_with("routes.r.secret-env: cannot"));
    assert!(refused("include = 'all'").starts_with("routes.r.include: "));
    assert_eq!(refused("headers = { Host = 'x' }"), "routes.r.headers.Host: is set by the gateway");
    let error = refused("headers = { X = \"hush\\n\" }");
    assert!(error.starts_with("routes.r.headers.X: ") && !error.contains("hush"), "{error}");
    let again = "[[routes]]\nname = 'r'\nevents = 'b'\nurl = 'http://b'";
    assert_eq!(refused(again), "routes.r.name: there is a route \"r\" already");
    for (table, expected) in [
        ("routes = 1", "routes: expected tables"),
        ("[[routes]]\nevents = 'a'", "routes[0].url: is required"),
        ("[[routes]]\nurl = 'http://a'", "routes.http://a.events: expected at least one"),
        ("[[routes]]\nurl = 'a'\nevents='a'", "routes.a.url: expected a URL"),
        (
            "[[routes]]\nurl = 'http://a'\nevents='message:send'",
            "routes.http://a.events: message:send is the gateway's",
        ),
        (
            "[[routes]]\nurl = 'http://a'\nevents='chat:file:upload'",
            "routes.http://a.events: chat:file:upload is",
        ),
        ("[[routes]]\nurl = 'http://a'\nevents='a*'", "routes.http://a.events: pattern \"a*\""),
    ] {
        let error = read(table).expect_err(table);
        assert!(error.contains(expected), "{error} has no {expected}");
    }
}

#[test]
fn a_hook_is_what_its_table_says() {
    let file = read(
        "[hooks.connect]\nurl = 'http://b/'\non-failure = 'allow'\n\
         [hooks.publish]\nurl = 'http://b/'\nrooms = ['a.*']\nevents = 'message:send'\ntimeout = '1s'\n",
    )
    .expect("good");
    assert!(file.hooks.connect.as_ref().is_some_and(|hook| hook.allows_on_failure));
    let publish = file.hooks.publish.as_ref().expect("a hook");
    assert!(publish.concerns("message:send", Some("a.b")) && !publish.concerns("message:edit", Some("a.b")));
    assert!(file.hooks.join.is_none() && file.settings.hooks.len() == 2);
    let mut out = String::new();
    file.render(&mut out);
    assert_eq!(read(&out).expect("it reads again").settings.hooks.len(), 2);
    for (text, expected) in [
        ("hooks = 1", "hooks: expected tables"),
        ("[hooks.conect]\nurl='http://b'", "hooks: unknown hook \"conect\" (did you mean \"connect\"?)"),
        ("[hooks.connect]\nurl='http://b'\nrooms='a'", "hooks.connect: unknown key \"rooms\""),
        ("[hooks.join]\nurl='http://b'\nevents='a'", "hooks.join: unknown key \"events\""),
        ("[hooks.join]\non-failure='deny'", "hooks.join.url: is required"),
        ("[hooks.join]\nurl='http://b'\non-failure='perhaps'", "hooks.join.on-failure: "),
    ] {
        let error = read(text).expect_err(text);
        assert!(error.contains(expected), "{error} has no {expected}");
    }
}

#[test]
fn secrets_are_read_where_the_gateway_serves() {
    let text = "[[routes]]\nevents = 'a'\nurl = 'http://b/'\nsecret-file = '/nowhere'";
    let file = read(text).expect("a good table");
    let error = file.with_secrets(&mut Vec::new()).expect_err("no such file");
    assert!(error.starts_with("routes.a.secret-file: cannot read /nowhere"), "{error}");
    let mut warnings = Vec::new();
    let file = read("[[routes]]\nevents = 'a'\nurl = 'http://b/'").expect("a good table");
    let settings = file.with_secrets(&mut warnings).expect("none wanted");
    assert_eq!(settings.routes[0].endpoint.signer.sign(7, b"{}"), None);
    assert!(warnings[0].starts_with("routes.a: requests are not signed"), "{warnings:?}");
}

#[test]
fn tables_are_written_as_they_were_read_without_headers() {
    let text = "[[routes]]\nevents = 'a'\nurl = 'http://b/'\nheaders = { A = 'hush' }";
    let mut out = String::new();
    read(text).expect("good").render(&mut out);
    assert!(!out.contains("hush") && out.contains("The headers"), "{out}");
    assert_eq!(read(&out).expect("it reads again").settings.routes[0].name, "a");
}
