//! Hosts as they may be, and what is said of them.

use super::*;

fn facts() -> Facts {
    Facts {
        kernel: "6.1.0".to_owned(),
        io_uring_disabled: Some(0),
        io_uring_error: None,
        privileged: false,
        somaxconn: Some(4096),
        ports: Some((1024, 65_535)),
        memory_available: Some(8 << 30),
        host: Host {
            cpus: vec![0, 1],
            descriptors_soft: Some(1024),
            descriptors_hard: Some(1 << 20),
            locked_bytes: Some(8 << 20),
            memory_bytes: Some(8 << 30),
        },
    }
}

fn wanted() -> Wanted {
    Wanted { shards: 2, cpus: vec![0, 1], connections: 100_000 }
}

fn verdicts(facts: &Facts, wanted: &Wanted) -> Vec<(&'static str, Verdict)> {
    let items = judge(facts, wanted);
    items.iter().filter(|item| item.verdict != Verdict::Ok).map(|item| (item.name, item.verdict)).collect()
}

#[test]
fn a_good_host_passes() {
    assert_eq!(verdicts(&facts(), &wanted()), []);
}

#[test]
fn without_io_uring_it_cannot_serve() {
    let check = |disabled, privileged| {
        verdicts(&Facts { io_uring_disabled: disabled, privileged, ..facts() }, &wanted())
    };
    assert_eq!(check(Some(2), true), [("io_uring", Verdict::Fail)]);
    assert_eq!(check(Some(1), false), [("io_uring", Verdict::Fail)]);
    assert_eq!(check(Some(1), true), []);
    assert_eq!(check(None, false), []);
    let old = Facts { kernel: "4.19.0-generic".to_owned(), ..facts() };
    assert_eq!(verdicts(&old, &wanted()), [("kernel", Verdict::Fail)]);
    let odd = Facts { kernel: "next".to_owned(), ..facts() };
    assert_eq!(verdicts(&odd, &wanted()), [("kernel", Verdict::Warn)]);
}

#[test]
fn what_limits_is_said_with_its_remedy() {
    let mut poor = facts();
    poor.host.descriptors_hard = Some(512);
    poor.host.locked_bytes = Some(64 << 10);
    poor.somaxconn = Some(128);
    poor.memory_available = Some(64 << 20);
    let items = judge(&poor, &Wanted { shards: 4, ..wanted() });
    let warned: Vec<&Item> = items.iter().filter(|item| item.verdict == Verdict::Warn).collect();
    let names: Vec<&str> = warned.iter().map(|item| item.name).collect();
    assert_eq!(names, ["descriptors", "locked memory", "somaxconn", "cores", "memory"]);
    for (item, remedy) in
        warned.iter().zip(["ulimit -Hn", "ulimit -l", "sysctl", "--shards", "--max-connections"])
    {
        assert!(item.finding.contains(remedy), "{item}");
        assert!(!item.to_string().contains('\n'));
    }
}
