//! What the settings mean, and that bad ones are refused by name.

use roomcast_shards::config::{Rate, RoomClass};

use super::*;

fn host() -> Host {
    Host {
        cpus: vec![0, 1, 2, 3],
        descriptors_soft: Some(1024),
        descriptors_hard: Some(512),
        locked_bytes: Some(8 << 20),
        memory_bytes: Some(8 << 30),
    }
}

/// The settings of a file with authentication off unless it says otherwise.
fn resolve(toml: &str) -> Result<Settings, SettingError> {
    let mut layers = Layers::from_toml(toml)?;
    lay_presets(&mut layers)?;
    let settings = with_keys(&layers, without_keys(&layers, &host())?)?;
    // The key of sessions is a new one each time, which is checked of it alone.
    assert_ne!(settings.data_plane.session_key, SessionKey::default());
    let data_plane = Config { session_key: SessionKey::default(), ..settings.data_plane };
    Ok(Settings { data_plane, ..settings })
}

fn good(toml: &str) -> Settings {
    resolve(&format!("auth = 'off'\n{toml}")).unwrap_or_else(|error| panic!("{toml}: {error}"))
}

/// Checks that a file is refused with exactly this text, `(from test.toml)` left out.
fn refused(toml: &str, expected: &str) {
    let error = resolve(toml).expect_err(toml).to_string();
    assert_eq!(error.replace(" (from test.toml)", "").replace("test.toml: ", ""), expected);
}

#[test]
fn defaults_of_the_table_are_those_of_the_data_plane() {
    let Settings { data_plane, .. } = good("shards = 1\ncpus = 'none'\nmax-connections = 100000");
    // Debug shows every field, also those that are to come.
    assert_eq!(format!("{data_plane:?}"), format!("{:?}", Config::default()));
}

#[test]
fn a_bad_value_of_any_setting_is_refused_by_name() {
    // Any text will do for these, or it is only read where the keys are.
    let free = [
        "jwt-secret",
        "jwt-issuer",
        "jwt-audience",
        "jwt-secret-file",
        "jwt-public-key-file",
        "jwks",
        "api-key-file",
        "ca-file",
        "store",
    ];
    for setting in table::all().filter(|setting| !free.contains(&setting.name)) {
        let error =
            resolve(&format!("{} = ' bad\\ value '", setting.name)).expect_err(setting.name).to_string();
        let named = format!("--{} (from test.toml): ", setting.name);
        assert!(error.starts_with(&named), "{named}{error}");
    }
}

#[test]
fn shards_follow_the_cores_and_the_locked_memory() {
    assert_eq!(good("").data_plane.shards, 4);
    assert_eq!(good("").data_plane.cpus, [0, 1, 2, 3]);
    assert_eq!(good("cpus = '1,3'").data_plane.shards, 2);
    assert!(good("shards = 9\ncpus = 'none'").data_plane.cpus.is_empty());
    let poor = Host { locked_bytes: Some(1 << 20), ..host() };
    let layers = Layers::from_toml("").expect("empty");
    assert_eq!(cores(&layers, &poor, &mut Vec::new()).expect("auto").0, 2);
    let mut warnings = Vec::new();
    let layers = Layers::from_toml("shards = 3").expect("a file");
    assert_eq!(cores(&layers, &poor, &mut warnings).expect("explicit").0, 3);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    refused("cpus = '7'", "--cpus: there is no core 7; this process may use 0,1,2,3");
}

#[test]
fn connections_leave_a_reserve_of_descriptors() {
    assert_eq!(good("shards = 2").data_plane.limits.connections_max, 448);
    let settings = good("shards = 2\nmax-connections = 449");
    assert_eq!(settings.data_plane.limits.connections_max, 449);
    assert!(settings.warnings.iter().any(|warning| warning.contains("--max-connections")));
}

#[test]
fn limits_off_leaves_sizes_and_what_is_explicit() {
    let limits = good("limits = 'off'\nlimit-events = '5/1s,9'").data_plane.limits;
    let events = Rate { count: 5, interval_ms: 1000, burst: 9 };
    let expected = Limits {
        messages: None,
        typing: None,
        presence: None,
        connects: None,
        events: Some(events),
        connections_per_ip_max: None,
        pending_per_ip_max: None,
        connections_max: 416,
        ..Limits::default()
    };
    assert_eq!(limits, expected);
}

#[test]
fn a_profile_brings_its_own_defaults() {
    let rate = |count, interval_ms| Some(Rate { count, interval_ms, burst: count });
    let channel = good("profile = 'channel'").data_plane;
    assert_eq!(channel.profiles.find("channel").and_then(|profile| profile.messages), rate(60, 60_000));
    assert_eq!(channel.limits.messages, Limits::default().messages, "other profiles keep theirs");
    assert_eq!(good("profile = 't3'").data_plane.limits.connects, rate(5, 300_000));
    let explicit = good("profile = 'channel'\nlimit-messages = '7/1s'").data_plane.limits.messages;
    assert_eq!(explicit, rate(7, 1000));
    refused(
        "profile = 'x'",
        "--profile: unknown profile \"x\"; known are native, chat, channel, t3, support, topic",
    );
}

#[test]
fn a_profile_of_the_file_may_be_the_default() {
    let mine = good("profile = 'mine'\n[profiles.mine]\nbase = 't3'\nlimit-messages = '7/1s'").data_plane;
    assert_eq!(mine.profile, "mine");
    let profile = mine.profiles.find("mine").expect("defined");
    assert_eq!(profile.messages, Some(Rate { count: 7, interval_ms: 1000, burst: 7 }));
    let connects = Some(Rate { count: 5, interval_ms: 300_000, burst: 5 });
    assert_eq!(mine.limits.connects, connects, "as t3, from which it starts");
    refused(
        "profile = 'mien'\n[profiles.mine]",
        "--profile: unknown profile \"mien\"; known are native, chat, channel, t3, support, topic, mine",
    );
    refused(
        "[profiles.mine]\ndialect = 'morse'",
        "--config profiles.mine.dialect: expected event or topic, got \"morse\"",
    );
}

#[test]
fn contradictions_name_both_settings() {
    refused(
        "",
        "--auth (default): required needs one of --jwt-secret, --jwt-secret-file, --jwt-public-key-file or --jwks; \
         roomcast dev needs none",
    );
    refused(
        "jwt-secret = 'a'\njwt-secret-file = 'b'",
        "--jwt-secret: cannot be set together with --jwt-secret-file",
    );
    refused("auth = 'off'\njwt-issuer = 'a'", "--jwt-issuer: has no effect with --auth off");
    refused(
        "ping-interval = '60s'",
        "--ping-timeout (default): must be longer than --ping-interval, or no ping is ever sent",
    );
    refused("listen = ['[::]:1', '[::]:1']", "--listen: [::]:1 is there twice");
    refused(
        "auth = 'off'\nlatency-budget = '2s'",
        "--latency-budget: expected at most a second: every message may wait as long, got \"2s\"",
    );
    refused("listen = []", "--listen: expected at least one address");
    refused(
        "admin-listen = '0.0.0.0:3000'",
        "--admin-listen: 0.0.0.0:3000 is also an address of --listen (default)",
    );
    refused(
        "allowed-origins = ['*', 'null']",
        "--allowed-origins: * allows any origin, so others beside it contradict it",
    );
    refused(
        "jwt-secret = 'a'\njwt-algorithm = 'RS256'",
        "--jwt-algorithm, --jwt-secret: the algorithm RS256 does not suit the key, which is for HS256, HS384 or HS512",
    );
    refused("jwks = '/nowhere'", "--jwks: cannot read /nowhere: No such file or directory (os error 2)");
}

#[test]
fn keys_make_a_verifier_and_a_short_secret_a_warning() {
    let strong = resolve("jwt-secret = 'a secret of at least thirty-two bytes'").expect("a key");
    assert!(strong.data_plane.verifier.is_some() && strong.warnings.is_empty(), "{strong:?}");
    let weak = resolve("jwt-secret = 'hunter2'").expect("allowed");
    assert_eq!(
        weak.warnings,
        ["--jwt-secret (from test.toml): a secret of 7 bytes can be guessed; use at least 32"]
    );
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/shards/tests/fixtures/keys/rsa_public.pem");
    let public = resolve(&format!("jwt-public-key-file = '{path}'\njwt-algorithm = 'PS256'")).expect("a key");
    assert!(format!("{public:?}").contains("PS256"));
    assert!(!format!("{weak:?}").contains("hunter2"));
}

#[test]
fn switches_lists_and_switched_off_authentication_are_read() {
    let settings =
        good("no-websocket = true\nroom-class = ['a.*=ephemeral', 'b=queued']\nallowed-origins='null'");
    assert!(!settings.data_plane.websocket);
    assert_eq!(settings.data_plane.room_classes[0].class, RoomClass::Ephemeral);
    assert_eq!(settings.data_plane.allowed_origins.as_deref(), Some(&["null".to_owned()][..]));
    assert!(settings.warnings.iter().any(|warning| warning.contains("anonymous employee")));
}

#[test]
fn what_config_prints_is_read_again_as_the_same() {
    let mut layers = Layers::from_toml(
        "auth = 'off'\nlimits = 'off'\nlisten = ['[::1]:1', '0.0.0.0:2']\nroom-class = 'a.**=queued'\n\
         no-websocket = true\nmax-depth = 9\necho-path = '/e'\nprofile = 'my chat'\n\
         role-events = ['guest=', 'employee=*']\nroom-access = 'a.*=guest b='\n\
         [profiles.'my chat']\nbase = 'a'\nauth-tries = 7\n[profiles.a]\npresence-edges = true\n\
         [profiles.a.inbound]\n'typing:stop' = { event = 'message:typing', isTyping = false }\n\
         say = 'message:send'\n[profiles.a.outbound]\n'user:typing' = 'types'",
    )
    .expect("a file");
    lay_presets(&mut layers).expect("presets");
    let settings = without_keys(&layers, &host()).expect("good settings");
    let text = print::render(&layers, &settings.data_plane);
    let again = resolve(&text).expect("its own output");
    assert_eq!(format!("{:?}", again.data_plane), format!("{:?}", settings.data_plane));
    assert_eq!(again.listen, settings.listen);
    for setting in table::all() {
        let named = |line: &str| line.trim_start_matches("# ").starts_with(&format!("{} = ", setting.name));
        assert_eq!(text.lines().filter(|line| named(line)).count(), 1, "{}", setting.name);
    }
    assert!(text.lines().all(|line| line.len() <= 120));
}

#[test]
fn config_prints_no_secret() {
    let layers = Layers::from_toml("jwt-secret = 'hunter2'").expect("a file");
    let text = print::render(&layers, &Config::default());
    assert!(!text.contains("hunter2"));
    assert!(text.contains("# jwt-secret = \"...\""));
}

#[test]
fn dev_needs_no_set_up_and_its_tokens_are_good() {
    let settings = dev(TypedSettings::default()).expect("defaults");
    assert_eq!(settings.listen, ["127.0.0.1:3000".parse().expect("an address")]);
    let verifier = settings.data_plane.verifier.as_ref().expect("a random secret");
    let users = &settings.dev.as_ref().expect("dev").users;
    let now_ms = crate::token::now_unix_s() * 1000;
    let names: Vec<String> =
        users.iter().map(|user| verifier.verify(&user.token, now_ms).expect("a good token").sub).collect();
    assert_eq!(names, ["alice", "bob"]);
    assert!(!format!("{settings:?}").contains(&users[0].token));
}
