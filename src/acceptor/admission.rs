//! Who may connect: limits of the process and of one address (protocol §8). Pure; the time is an argument.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use roomcast_shards::access::limits::{Bucket, RetryAfter};
use roomcast_shards::config::{Limits, Rate};
use roomcast_shards::effect::{Admission, AdmissionEvent};

/// Refused connections that may be on their way to an answer at a time; the reserve of descriptors covers them.
const REFUSED_MAX: u32 = 16;
/// Seconds after which to try again when nobody can know.
pub(super) const RETRY_AFTER_S: u64 = 5;
/// How often addresses without connections are forgotten.
const SWEEP_INTERVAL_MS: u64 = 10_000;

/// What becomes of a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is handed to a shard.
    Admitted,
    /// A limit of its address: 429.
    AddressFull {
        /// Seconds after which it may be different.
        retry_after_s: u64,
    },
    /// The limit of the process: 503.
    ProcessFull,
    /// It is refused, and so many are already that nobody can be bothered to read its request.
    Overrun,
}

/// All that is known of the connections.
#[derive(Debug)]
pub(super) struct Admissions {
    limits: Limits,
    addresses: HashMap<IpAddr, Address>,
    admitted: u32,
    refused: u32,
    swept_ms: u64,
}

#[derive(Debug, Default)]
struct Address {
    connections: u32,
    pending: u32,
    failures: Bucket,
    failed_ms: u64,
}

impl Admissions {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { limits: limits.clone(), addresses: HashMap::new(), admitted: 0, refused: 0, swept_ms: 0 }
    }

    /// Decides on a connection, and counts it.
    pub(super) fn admit(&mut self, peer: IpAddr, now_ms: u64) -> Verdict {
        let verdict = self.judge(peer, now_ms);
        match verdict {
            Verdict::Admitted => {
                self.admitted += 1;
                let address = self.addresses.entry(network(peer)).or_default();
                address.connections += 1;
                address.pending += 1;
            }
            Verdict::AddressFull { .. } | Verdict::ProcessFull if self.refused >= REFUSED_MAX => {
                return Verdict::Overrun;
            }
            Verdict::AddressFull { .. } | Verdict::ProcessFull => self.refused += 1,
            Verdict::Overrun => {}
        }
        verdict
    }

    fn judge(&mut self, peer: IpAddr, now_ms: u64) -> Verdict {
        if self.admitted >= self.limits.connections_max {
            return Verdict::ProcessFull;
        }
        let Some(address) = self.addresses.get_mut(&network(peer)) else { return Verdict::Admitted };
        let at = |count: u32, max: Option<u32>| max.is_some_and(|max| count >= max);
        let full = at(address.connections, self.limits.connections_per_ip_max)
            || at(address.pending, self.limits.pending_per_ip_max);
        if full {
            return Verdict::AddressFull { retry_after_s: RETRY_AFTER_S };
        }
        let wait_ms = self.limits.connects.and_then(|rate| address.failure_wait_ms(rate, now_ms));
        wait_ms.map_or(Verdict::Admitted, |ms| Verdict::AddressFull { retry_after_s: ms.div_ceil(1_000) })
    }

    /// Forgets a connection that no shard took.
    pub(super) fn take_back(&mut self, peer: IpAddr, verdict: Verdict) {
        let refused = verdict != Verdict::Admitted;
        let event = AdmissionEvent::Closed { pending: !refused, refused };
        self.on_news(Admission { peer, event }, 0);
    }

    /// What became of a connection.
    pub(super) fn on_news(&mut self, admission: Admission, now_ms: u64) {
        if let AdmissionEvent::Closed { refused: true, .. } = admission.event {
            self.refused = self.refused.saturating_sub(1);
            return;
        }
        let address = self.addresses.entry(network(admission.peer)).or_default();
        match admission.event {
            AdmissionEvent::Recognised => {
                self.refused = self.refused.saturating_sub(1);
                self.admitted += 1;
                address.connections += 1;
            }
            AdmissionEvent::Authenticated => address.pending = address.pending.saturating_sub(1),
            AdmissionEvent::Failed => {
                address.failed_ms = now_ms;
                if let Some(rate) = self.limits.connects {
                    // Beyond the burst the bucket is empty already.
                    let _ = address.failures.take(rate, now_ms, 1);
                }
            }
            AdmissionEvent::Closed { pending, .. } => {
                self.admitted = self.admitted.saturating_sub(1);
                address.connections = address.connections.saturating_sub(1);
                address.pending = address.pending.saturating_sub(u32::from(pending));
                if address.connections == 0 && address.failed_ms == 0 {
                    self.addresses.remove(&network(admission.peer));
                }
            }
        }
    }

    /// Forgets addresses that have no connections and whose failures no longer count.
    pub(super) fn sweep(&mut self, now_ms: u64) {
        if now_ms < self.swept_ms + SWEEP_INTERVAL_MS {
            return;
        }
        self.swept_ms = now_ms;
        let interval_ms = self.limits.connects.map_or(0, |rate| rate.interval_ms);
        self.addresses
            .retain(|_, address| address.connections > 0 || address.failed_ms + interval_ms > now_ms);
    }
}

impl Address {
    /// Milliseconds until one more failure would be allowed, unless it is now.
    fn failure_wait_ms(&mut self, rate: Rate, now_ms: u64) -> Option<u64> {
        match self.failures.take(rate, now_ms, 1) {
            Ok(()) => {
                self.failures.give_back(rate, 1);
                None
            }
            Err(RetryAfter::Ms(ms)) => Some(ms),
            Err(RetryAfter::Never) => Some(rate.interval_ms),
        }
    }
}

/// What counts as one address: an IPv6 client has a /64 to itself.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    fn admissions(change: impl FnOnce(&mut Limits)) -> Admissions {
        let mut limits = Limits::default();
        change(&mut limits);
        Admissions::new(&limits)
    }

    #[test]
    fn who_is_recognised_no_longer_counts_as_refused() {
        let mut admissions = admissions(|limits| limits.connections_per_ip_max = Some(1));
        assert_eq!(admissions.admit(address(1), 0), Verdict::Admitted);
        for _ in 0..10 * REFUSED_MAX {
            assert!(matches!(admissions.admit(address(1), 0), Verdict::AddressFull { .. }));
            news(&mut admissions, address(1), AdmissionEvent::Recognised);
        }
        for _ in 0..=10 * REFUSED_MAX {
            news(&mut admissions, address(1), AdmissionEvent::Closed { pending: false, refused: false });
        }
        assert_eq!((admissions.admitted, admissions.refused), (0, 0));
        assert_eq!(admissions.admit(address(1), 0), Verdict::Admitted);
    }

    fn news(admissions: &mut Admissions, peer: IpAddr, event: AdmissionEvent) {
        admissions.on_news(Admission { peer, event }, 1);
    }

    #[test]
    fn an_address_has_its_own_limit() {
        let mut admissions = admissions(|limits| limits.connections_per_ip_max = Some(2));
        assert_eq!(admissions.admit(address(1), 0), Verdict::Admitted);
        assert_eq!(admissions.admit(address(1), 0), Verdict::Admitted);
        assert_eq!(admissions.admit(address(1), 0), Verdict::AddressFull { retry_after_s: RETRY_AFTER_S });
        assert_eq!(admissions.admit(address(2), 0), Verdict::Admitted);
        news(&mut admissions, address(1), AdmissionEvent::Closed { pending: true, refused: false });
        assert_eq!(admissions.admit(address(1), 0), Verdict::Admitted);
    }

    #[test]
    fn authenticated_connections_no_longer_count_as_pending() {
        let mut admissions = admissions(|limits| limits.pending_per_ip_max = Some(1));
        assert_eq!(admissions.admit(address(1), 0), Verdict::Admitted);
        assert_eq!(admissions.admit(address(1), 0), Verdict::AddressFull { retry_after_s: RETRY_AFTER_S });
        news(&mut admissions, address(1), AdmissionEvent::Authenticated);
        assert_eq!(admissions.admit(address(1), 0), Verdict::Admitted);
    }

    #[test]
    fn an_address_that_keeps_failing_must_wait() {
        let rate = Rate { count: 2, interval_ms: 1_000, burst: 2 };
        let mut admissions = admissions(|limits| limits.connects = Some(rate));
        for _ in 0..2 {
            assert_eq!(admissions.admit(address(1), 1), Verdict::Admitted);
            news(&mut admissions, address(1), AdmissionEvent::Failed);
            news(&mut admissions, address(1), AdmissionEvent::Closed { pending: true, refused: false });
        }
        assert_eq!(admissions.admit(address(1), 1), Verdict::AddressFull { retry_after_s: 1 });
        assert_eq!(admissions.admit(address(1), 600), Verdict::Admitted);
    }

    #[test]
    fn a_full_process_refuses_a_bounded_number_politely() {
        let mut admissions = admissions(|limits| limits.connections_max = 1);
        assert_eq!(admissions.admit(address(1), 0), Verdict::Admitted);
        for _ in 0..REFUSED_MAX {
            assert_eq!(admissions.admit(address(2), 0), Verdict::ProcessFull);
        }
        assert_eq!(admissions.admit(address(2), 0), Verdict::Overrun);
        news(&mut admissions, address(2), AdmissionEvent::Closed { pending: false, refused: true });
        assert_eq!(admissions.admit(address(2), 0), Verdict::ProcessFull);
        news(&mut admissions, address(1), AdmissionEvent::Closed { pending: false, refused: false });
        assert_eq!(admissions.admit(address(2), 0), Verdict::Admitted);
    }

    #[test]
    fn nothing_is_remembered_for_ever() {
        let mut admissions = admissions(|_| {});
        for last in 1..=9 {
            admissions.admit(address(last), 1);
            news(&mut admissions, address(last), AdmissionEvent::Failed);
            news(&mut admissions, address(last), AdmissionEvent::Closed { pending: true, refused: false });
        }
        assert_eq!(admissions.addresses.len(), 9);
        admissions.sweep(1_000_000);
        assert_eq!((admissions.addresses.len(), admissions.admitted), (0, 0));
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        let one = network("2001:db8:1:2:3:4:5:6".parse().unwrap());
        assert_eq!(one, network("2001:db8:1:2::9".parse().unwrap()));
        assert_ne!(one, network("2001:db8:1:3::9".parse().unwrap()));
        assert_eq!(network("::ffff:127.0.0.1".parse().unwrap()), address(1));
    }
}
