//! What the flags mean together: checked once, before anything is opened. Every error names its flag.

mod chat;
mod disrupt;
pub(crate) mod ramp;
mod target;
mod thresholds;

use std::fs;
use std::net::IpAddr;

use anyhow::{Context as _, Result, bail, ensure};

use crate::args::{Args, Dialect, Kind, RampWhat, Shares, SourceIps};
use crate::measure::{Servers, marker, windows_of};
use crate::net::FRAME_BYTES_MAX;
use crate::scenario::Layout;
use crate::token::Minter;

pub(crate) use target::Target;

/// Share of a port range that is planned with; other processes use ports too.
const PORTS_USED_MAX: f64 = 0.9;
/// Share up to which a connect is quick: the kernel tries all ports of one parity, one by one, before it takes one of the
/// other, and that costs it some milliseconds of CPU a connect.
const PORTS_QUICK_MAX: f64 = PORTS_USED_MAX / 2.0;
/// Connections beyond any machine, and few enough to make tables of.
const CONNECTIONS_MAX: usize = 1 << 24;
/// The highest host number of 127.0.0.0/24.
const SOURCE_IPS_MAX: usize = 254;
/// Room that a frame has for everything but the content.
const ENVELOPE_BYTES_MAX: usize = 4096;
/// Pairs of members of a room that can be followed where messages bear no offsets; 16 bytes each.
const PAIRS_MAX: usize = 16 << 20;

/// What kind of run it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Join, then send an open loop of messages.
    Traffic,
    /// Join, then hold.
    Idle,
    /// Connect and close, so many times in all.
    Churn(u64),
    /// Search for the most that passes.
    Ramp(RampWhat),
}

/// Which part of the connections is ours, when several generators share them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// Our number, from 0.
    pub(crate) number: usize,
    /// How many share; at least 1.
    pub(crate) of: usize,
}

impl Part {
    /// Everything.
    pub(crate) const WHOLE: Self = Self { number: 0, of: 1 };

    /// How many of `whole` things that are dealt out in turn are ours.
    pub(crate) fn share(self, whole: usize) -> usize {
        whole / self.of + usize::from(self.number < whole % self.of)
    }
}

/// A run, fully decided.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The flags as they were typed; the simple ones are used as they are.
    pub(crate) args: Args,
    /// The kind of run.
    pub(crate) mode: Mode,
    /// The servers, at least one.
    pub(crate) targets: Vec<Target>,
    /// What to sign tokens with, if the server wants any.
    pub(crate) secret: Option<Vec<u8>>,
    /// Source addresses to bind, from 127.0.0.1 upwards; 0 leaves the choice to the kernel.
    pub(crate) source_ips: usize,
    /// Which part of the connections to open.
    pub(crate) part: Part,
}

impl Settings {
    /// Judges the flags.
    ///
    /// # Errors
    /// Names the flag that is wrong, and why.
    pub(crate) fn from_args(args: Args) -> Result<Self> {
        let mode = match (args.churn, args.idle, args.ramp_args.ramp_what) {
            (Some(connects), ..) => Mode::Churn(connects),
            (None, true, _) => Mode::Idle,
            (None, false, Some(what)) => Mode::Ramp(what),
            (None, false, None) => Mode::Traffic,
        };
        check_numbers(&args)?;
        check_dialect(&args)?;
        chat::check(&args, mode)?;
        disrupt::check(&args, mode)?;
        ramp::check(&args, mode)?;
        thresholds::check(&args, mode)?;
        let targets = target::all(&args)?;
        check_processes(&args, targets.len())?;
        let wanted = match mode {
            Mode::Churn(connects) => usize::try_from(connects).unwrap_or(usize::MAX),
            Mode::Traffic | Mode::Idle | Mode::Ramp(_) => args.connections,
        };
        // Who loses its server goes to another, and in the end all may be at one.
        let at_one = if args.kind.is_disruptive() { wanted } else { wanted.div_ceil(targets.len()) };
        let ips: Vec<_> = targets.iter().map(|target| target.address.ip()).collect();
        let source_ips = source_ips(args.source_ips, at_one, &ips, local_ports())?;
        let secret = read_secret(&args)?;
        Ok(Self { mode, targets, secret, source_ips, part: Part::WHOLE, args })
    }

    /// Messages a second over all rooms for which members that lag behind are to be compared. A search allows ten times
    /// more, but hardly any lag.
    pub(crate) fn log_rate(&self) -> f64 {
        match self.mode {
            Mode::Ramp(RampWhat::Rate) => ramp::range(&self.args, RampWhat::Rate).to as f64 / 10.0,
            _ => self.args.rate * self.part.of as f64,
        }
    }

    /// Whether the run is more than messages.
    pub(crate) fn is_chat(&self) -> bool {
        self.args.kind == Kind::Chat
    }

    /// The dialects, and the share of the connections that speaks each.
    pub(crate) fn dialects(&self) -> Vec<(Dialect, f64)> {
        let one = || vec![(self.args.dialect, 1.0)];
        self.args.dialects.as_ref().map_or_else(one, |shares| shares.0.clone())
    }

    /// The servers' processes, as far as they are known.
    pub(crate) fn servers(&self) -> Servers {
        Servers::new(self.args.server_pid.as_ref().map_or(&[], |pids| &pids.0))
    }

    /// Who is in which room.
    pub(crate) fn layout(&self) -> Layout {
        layout(&self.args)
    }
}

fn layout(args: &Args) -> Layout {
    Layout::new(args.connections, args.rooms, args.zipf)
}

fn check_numbers(args: &Args) -> Result<()> {
    ensure!(args.connections > 0, "--connections must be at least 1");
    ensure!(args.connections <= CONNECTIONS_MAX, "--connections is beyond any machine");
    ensure!(args.rooms > 0, "--rooms must be at least 1");
    ensure!(
        args.rooms <= args.connections || args.churn.is_some(),
        "--rooms {} exceeds --connections {}: some rooms would be empty",
        args.rooms,
        args.connections
    );
    let plain = |c: u8| c.is_ascii_graphic() && !matches!(c, b'"' | b'\\' | b'*');
    ensure!(args.room_prefix.bytes().all(plain), "--room-prefix must be printable ASCII without \" \\ *");
    ensure!(args.user_prefix.bytes().all(plain), "--user-prefix must be printable ASCII without \" \\ *");
    ensure!(
        args.rate.is_finite() && args.rate > 0.0 && args.rate <= 1e7,
        "--rate must be above 0, at most 1e7"
    );
    ensure!(args.ramp.is_finite() && args.ramp >= 0.0, "--ramp must be 0 or more");
    ensure!(args.zipf.is_finite() && args.zipf >= 0.0, "--zipf must be 0 or more");
    ensure!(args.in_flight > 0, "--in-flight must be at least 1");
    let sizes = marker::LEN..=FRAME_BYTES_MAX - ENVELOPE_BYTES_MAX;
    ensure!(
        sizes.contains(&args.payload_size),
        "--payload-size must be {} (the marker) to {} bytes",
        sizes.start(),
        sizes.end()
    );
    ensure!((0.0..=1.0).contains(&args.stop_fraction), "--stop-fraction must be from 0 to 1");
    ensure!((0.0..=1.0).contains(&args.slow_fraction), "--slow-fraction must be from 0 to 1");
    ensure!(
        args.stop_fraction + args.slow_fraction <= 1.0,
        "--slow-fraction and --stop-fraction are more than all together"
    );
    ensure!(args.slow_rate > 0, "--slow-rate must be at least 1");
    if let Some(Shares(shares)) = &args.dialects {
        let is_ours = |(dialect, _): &(Dialect, f64)| matches!(dialect, Dialect::Event | Dialect::Topic);
        ensure!(shares.iter().all(is_ours), "--dialects: only event and topic share their rooms in one run");
        ensure!(args.kind != Kind::Chat, "--dialects: --kind chat speaks only event");
    }
    ensure!(args.churn != Some(0), "--churn must be at least 1");
    ensure!(!args.duration.0.is_zero() || args.churn.is_some(), "--duration must be above 0");
    Ok(())
}

/// The processes that are watched, or to be killed, against so many addresses.
fn check_processes(args: &Args, addresses: usize) -> Result<()> {
    let watched = args.server_pid.iter().flat_map(|pids| &pids.0).map(|pid| ("--server-pid", pid));
    let killed = args.disrupt.kill_pid.iter().map(|pid| ("--kill-pid", pid));
    for (flag, pid) in watched.chain(killed) {
        let exists = fs::exists(format!("/proc/{pid}/stat")).unwrap_or(false);
        ensure!(exists, "{flag} {pid}: no such process");
    }
    if let Some(pids) = &args.server_pid {
        ensure!(
            pids.0.len() == addresses,
            "--server-pid {pids}: --url has {addresses} addresses, and each has one process"
        );
    }
    ensure!(
        args.kind != Kind::Kill || addresses > 1,
        "--kind kill needs several addresses in --url: whoever loses its server goes to another"
    );
    Ok(())
}

fn check_dialect(args: &Args) -> Result<()> {
    if args.dialect.has_offsets() || args.churn.is_some() {
        return Ok(());
    }
    ensure!(
        windows_of(&layout(args)) <= PAIRS_MAX,
        "--rooms {}: rooms are too large for a dialect without offsets, which follows every pair of members; take more rooms or fewer connections",
        args.rooms
    );
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b':' | b'-' | b'_');
    ensure!(
        args.room_prefix.bytes().all(plain),
        "--room-prefix must be letters, digits, : - _ in this dialect"
    );
    Ok(())
}

/// How many ports the kernel may give to connections of one source address.
fn local_ports() -> usize {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ends = text.split_whitespace().filter_map(|end| end.parse::<usize>().ok());
    match (ends.next(), ends.next()) {
        (Some(low), Some(high)) if high > low => high - low + 1,
        _ => 28_232, // the kernel's default
    }
}

/// Source addresses for `wanted` connections to each of the `targets`.
fn source_ips(flag: SourceIps, wanted: usize, targets: &[IpAddr], ports: usize) -> Result<usize> {
    let bindable = targets.iter().all(|target| target.is_loopback() && target.is_ipv4());
    #[expect(clippy::cast_possible_truncation, reason = "a port range is below 65,536")]
    let share = |share: f64| ((ports as f64 * share) as usize).max(1);
    let ports = share(PORTS_USED_MAX);
    let count = match flag {
        SourceIps::Count(count) => {
            ensure!(bindable, "--source-ips {count}: only for 127.0.0.0/8 targets");
            return Ok(count);
        }
        SourceIps::Auto => wanted.div_ceil(share(PORTS_QUICK_MAX)),
    };
    match (count, bindable) {
        (0 | 1, _) => Ok(0),
        // Churn recycles its ports, so more addresses than there are is no reason to refuse.
        (_, true) => Ok(count.min(SOURCE_IPS_MAX)),
        (_, false) if wanted <= ports => Ok(0),
        (_, false) => bail!(
            "--connections: {wanted} to one server, but one source address has {ports} ports, and only 127.0.0.0/8 targets allow more addresses"
        ),
    }
}

fn read_secret(args: &Args) -> Result<Option<Vec<u8>>> {
    let secret = match (&args.secret, &args.secret_file) {
        (Some(secret), _) => secret.clone().into_bytes(),
        (None, Some(file)) => {
            let bytes = fs::read(file).with_context(|| format!("--secret-file {}", file.display()))?;
            bytes.trim_ascii_end().to_vec()
        }
        (None, None) => return Ok(None),
    };
    ensure!(!secret.is_empty(), "--secret or --secret-file is empty");
    Minter::new(&secret).context("--secret or --secret-file")?;
    Ok(Some(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(flags: &[&str]) -> Result<Settings> {
        let flags = ["loadtest"].iter().chain(flags);
        Settings::from_args(Args::try_parse_from(flags).expect("these flags parse"))
    }

    #[test]
    fn errors_name_their_flag() {
        for (flags, named) in [
            (&["--rooms", "0"][..], "--rooms"),
            (&["--rooms", "20", "--connections", "10"], "--rooms"),
            (&["--payload-size", "10"], "--payload-size"),
            (&["--payload-size", "1000000"], "--payload-size"),
            (&["--rate", "0"], "--rate"),
            (&["--rate", "NaN"], "--rate"),
            (&["--stop-fraction", "2"], "--stop-fraction"),
            (&["--url", "http://127.0.0.1/"], "--url"),
            (&["--url", "ws://127.0.0.1:1/,ws://"], "--url ws://"),
            (&["--server-pid", "1,1"], "--server-pid 1,1: --url has 1 addresses"),
            (&["--url", "ws://127.0.0.1:1,ws://127.0.0.1:2", "--server-pid", "1"], "--server-pid"),
            (&["--secret-file", "/nonexistent"], "--secret-file"),
            (&["--secret=-----BEGIN nothing"], "--secret"),
            (&["--max-cpu-per-delivery", "3"], "--server-pid"),
            (&["--room-prefix", "a\"b"], "--room-prefix"),
            (&["--server-pid", "4294967295"], "--server-pid"),
            (&["--churn", "0"], "--churn"),
            (&["--dialect", "nats", "--connections", "5000", "--rooms", "1"], "--rooms"),
            (&["--dialect", "nchan", "--room-prefix", "a/b"], "--room-prefix"),
            (&["--dialect", "nats", "--room-prefix", "a.>"], "--room-prefix"),
            (&["--zipf=-1"], "--zipf"),
            (&["--zipf", "NaN"], "--zipf"),
            (&["--in-flight", "0"], "--in-flight"),
            (&["--slow-fraction", "2"], "--slow-fraction"),
            (&["--slow-fraction", "0.6", "--stop-fraction", "0.6"], "--slow-fraction"),
            (&["--slow-rate", "0"], "--slow-rate"),
            (&["--dialects", "event=1,nats=1"], "--dialects"),
            (&["--dialects", "event=1,topic=1", "--kind", "chat"], "--dialects"),
            (&["--max-rss-growth", "5"], "--max-rss-growth"),
        ] {
            let error = settings(flags).err().map(|error| format!("{error:#}")).unwrap_or_default();
            assert!(error.contains(named), "{flags:?}: {error:?}");
        }
    }

    #[test]
    fn source_addresses_grow_with_connections() {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        let count = |wanted| source_ips(SourceIps::Auto, wanted, &[loopback; 2], 10_000).expect("loopback");
        assert_eq!([count(1), count(4_500), count(4_501), count(13_501)], [0, 0, 2, 4]);
        let remote = IpAddr::from([192, 0, 2, 1]);
        assert_eq!(source_ips(SourceIps::Auto, 9_000, &[remote], 10_000).ok(), Some(0), "slow, but possible");
        assert!(source_ips(SourceIps::Auto, 9_001, &[loopback, remote], 10_000).is_err());
        assert!(source_ips(SourceIps::Count(2), 1, &[remote], 10_000).is_err());
    }
}
