use super::facts::{Facts, Ladder, Machine, Rung, ServerFacts};
use super::limits::{Basis, Resource, of_connections, of_connects, of_rate};
use crate::args::RampWhat;
use crate::capacity::{Cause, RampReport, Search, Step, StepServer};
use crate::plan::statement::Statement;

/// A machine of two cores, a server of one shard, and 1,000 connections of 2 KiB each.
pub(super) fn facts() -> Facts {
    let rung = |connections: u64| Rung {
        connections,
        connect_seconds: 0.1,
        server_connect_cpu_ns: Some(connections * 20_000),
        server_resident_bytes: Some(10_000_000 + connections * 2048),
        server_descriptors: Some(30 + connections),
        available_bytes: Some(8 << 30),
        ..Rung::default()
    };
    Facts {
        machine: Machine {
            cpu_model: "Some CPU".to_owned(),
            cores: 2,
            memory_bytes: 16 << 30,
            kernel: "6.1".to_owned(),
        },
        server: Some(ServerFacts {
            pid: 7,
            name: "roomcast".to_owned(),
            shards: 1,
            descriptors_max: Some(20_000),
            locked_bytes_max: None,
        }),
        server_found: "it listens at 127.0.0.1:3000".to_owned(),
        ladder: Ladder {
            rungs: vec![rung(0), rung(500), rung(1000)],
            idle_cpu_share: Some(0.01),
            ..Ladder::default()
        },
        room_size: 10,
        rooms: Some(ramp(&[], |_| {})),
        ..Facts::default()
    }
}

/// A search in which 1,000 messages a second passed, and 2,000 failed for `causes` and as `spoil` says.
pub(super) fn ramp(causes: &[Cause], spoil: impl Fn(&mut Step)) -> RampReport {
    let range = crate::capacity::Range { from: 1000, to: 2000, factor: 2.0, resolution: 0.5, repeats: 1 };
    let mut search = Search::new(range);
    let mut steps = Vec::new();
    while let Some(value) = search.next() {
        let server = StepServer {
            cpu_share: 0.5,
            cpu_us_per_delivery: Some(4.0),
            busiest_thread: "shard-0".to_owned(),
            busiest_thread_cpu_share: 0.5,
            resident_bytes: 1,
        };
        let mut step = Step {
            connections: 200,
            rate: value as f64,
            deliveries_per_second: value as f64 * 10.0,
            server: Some(server),
            ..Step::default()
        };
        if value == 2000 {
            step.causes = causes.to_vec();
            spoil(&mut step);
        }
        search.record(value, step.passed());
        steps.push(step);
    }
    RampReport::new(RampWhat::Rate, 50.0, search.answer(), true, steps)
}

fn saturate(step: &mut Step) {
    step.server.as_mut().expect("known").busiest_thread_cpu_share = 0.97;
}

#[test]
fn each_first_limit_of_the_rate_is_told_from_the_others() {
    let all = |step: &mut Step| {
        step.server.as_mut().expect("known").cpu_share = 1.1;
        step.generator_cpu_share = 0.8;
    };
    type Spoil = fn(&mut Step);
    for (causes, spoil, resource, said) in [
        (&[Cause::P99][..], saturate as Spoil, Resource::ServerCpu, "--shards 2 (now 1)"),
        (&[Cause::P99, Cause::Generator], saturate, Resource::ServerCpu, "generator was at its limit too"),
        (&[Cause::Generator], |step| step.generator_cpu_share = 0.97, Resource::Generator, "--agents"),
        (&[Cause::Connections], |_| {}, Resource::Connections, "--max-outbound-queue"),
        (&[Cause::P99], all, Resource::MachineCpu, "another machine"),
        (&[Cause::P99], |step| step.server = None, Resource::Latency, "network"),
        (&[], |_| {}, Resource::None, "--deliveries-max"),
    ] {
        let limit = of_rate(&facts(), &ramp(causes, spoil));
        assert_eq!(limit.resource, resource, "{limit:?}");
        assert!(format!("{} {}", limit.evidence, limit.lever).contains(said), "{limit:?}");
    }
}

#[test]
fn refused_messages_are_the_servers_settings() {
    let facts = Facts { errors: [("RATE_LIMITED".to_owned(), 5)].into(), ..facts() };
    let limit = of_rate(&facts, &ramp(&[Cause::Loss], saturate));
    assert_eq!(limit.resource, Resource::ServerSettings);
    assert!(limit.lever.contains("--limits"), "{limit:?}");
}

#[test]
fn more_shards_help_only_where_there_are_cores_and_locked_memory() {
    let lever = |shards, locked_bytes_max| {
        let mut facts = facts();
        let server = facts.server.as_mut().expect("known");
        (server.shards, server.locked_bytes_max) = (shards, locked_bytes_max);
        of_rate(&facts, &ramp(&[Cause::P99], saturate)).lever
    };
    assert!(lever(2, None).contains("more cores"));
    assert!(lever(0, None).contains("more threads"));
    assert!(lever(1, Some(600 * 1024)).contains("ulimit -l"));
    assert!(!lever(1, Some(8 << 20)).contains("ulimit -l"));
}

#[test]
fn the_lowest_limit_of_connections_is_the_first() {
    let first = |change: &dyn Fn(&mut Facts)| {
        let mut facts = facts();
        change(&mut facts);
        of_connections(&facts).into_iter().next().expect("a limit")
    };
    let descriptors = first(&|_| {});
    assert_eq!(
        (descriptors.resource, descriptors.at, descriptors.basis),
        (Resource::Descriptors, Some(19_970), Basis::Configured)
    );
    assert!(descriptors.lever.contains("ulimit -n"));
    let memory = first(&|facts| {
        facts.ladder.rungs[2].available_bytes = Some(2048 * 500);
    });
    assert_eq!(
        (memory.resource, memory.at, memory.basis),
        (Resource::Memory, Some(1500), Basis::Extrapolated)
    );
    let conntrack =
        first(&|facts| (facts.kernel.conntrack_max, facts.kernel.conntrack_count) = (Some(5000), Some(1000)));
    assert_eq!((conntrack.resource, conntrack.at), (Resource::Conntrack, Some(4000)));
    let files = first(&|facts| (facts.kernel.file_max, facts.kernel.files_open) = (Some(3000), Some(1000)));
    assert_eq!((files.resource, files.at), (Resource::Files, Some(2000)));
    for (reason, resource, said) in [
        ("HTTP 503", Resource::ServerSettings, "--max-connections"),
        ("HTTP 429", Resource::ServerSettings, "--max-connections-per-ip"),
        ("Cannot assign requested address (os error 99)", Resource::LocalPorts, "ip_local_port_range"),
        ("Too many open files (os error 24)", Resource::Descriptors, "generator"),
        ("odd", Resource::ServerSettings, "log"),
    ] {
        let refused = first(&|facts| facts.ladder.failures = [(reason.to_owned(), 9)].into());
        assert_eq!((refused.resource, refused.basis), (resource, Basis::Measured), "{refused:?}");
        assert!(refused.lever.contains(said), "{refused:?}");
    }
}

#[test]
fn a_full_backlog_is_told() {
    assert_eq!(of_connects(&facts()), None);
    let mut facts = facts();
    facts.ladder.listen_overflows = Some(3);
    facts.kernel.somaxconn = Some(128);
    let limit = of_connects(&facts).expect("seen");
    assert!(limit.lever.contains("net.core.somaxconn (now 128)"), "{limit:?}");
}

#[test]
fn the_statement_tells_what_was_measured_from_what_follows_from_it() {
    let text = Statement::new(&facts()).text();
    for part in [
        "Some CPU, 2 cores",
        "[measured] 1000 connections were open and idle",
        "[measured] 2.00 KiB",
        "[measured] rooms of 10: 2000 messages/s",
        "[extrapolated]",
        "First limit of connections: 19970, descriptors",
    ] {
        assert!(text.contains(part), "{part:?} is missing:\n{text}");
    }
}

#[test]
fn what_is_unknown_is_said_to_be() {
    let facts =
        Facts { server: None, server_found: "192.0.2.1 is another machine".to_owned(), ..Facts::default() };
    let text = Statement::new(&facts).text();
    assert!(text.contains("[unknown]") && text.contains("another machine"), "{text}");
}
