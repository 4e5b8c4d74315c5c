//! The servers' processes together, and what they have used.

use super::process::{ServerProcess, ServerUsage, ThreadTimes};

/// The processes that are watched, in the order of the servers' addresses; none when nobody said which they are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Servers(Vec<ServerProcess>);

/// What each of them has used until a moment; nothing of those that were gone by then.
#[derive(Debug, Clone, Default)]
pub(crate) struct Usages(Vec<Option<ServerUsage>>);

impl Servers {
    /// Watches the processes with these ids.
    pub(crate) fn new(pids: &[u32]) -> Self {
        Self(pids.iter().copied().map(ServerProcess::new).collect())
    }

    /// What they have used until now.
    pub(crate) fn usages(&self) -> Usages {
        Usages(self.0.iter().map(|server| server.usage()).collect())
    }

    /// What the threads of all have used until now.
    pub(crate) fn thread_times(&self) -> ThreadTimes {
        self.0.iter().map(|server| server.thread_times()).collect()
    }
}

impl Usages {
    /// What one of them has used.
    pub(crate) fn of(&self, number: usize) -> Option<ServerUsage> {
        self.0.get(number).copied().flatten()
    }

    /// What one of them had used at each of several moments, if it was there at all of them.
    pub(crate) fn over<const N: usize>(moments: [&Self; N], number: usize) -> Option<[ServerUsage; N]> {
        let mut found = [ServerUsage { cpu_ns: 0, resident_bytes: 0 }; N];
        for (found, moment) in found.iter_mut().zip(moments) {
            *found = moment.of(number)?;
        }
        Some(found)
    }

    /// What those have used together that were there at each of several moments: a process that is gone has taken its
    /// figures with it, and must not make the sum of the others smaller. `None` when none was.
    pub(crate) fn sums<const N: usize>(moments: [&Self; N]) -> Option<[ServerUsage; N]> {
        let count = moments.iter().map(|moment| moment.0.len()).max().unwrap_or(0);
        (0..count).filter_map(|number| Self::over(moments, number)).reduce(|mut sum, next| {
            for (sum, next) in sum.iter_mut().zip(next) {
                sum.cpu_ns += next.cpu_ns;
                sum.resident_bytes += next.resident_bytes;
            }
            sum
        })
    }

    #[cfg(test)]
    pub(super) fn from_cpu(cpu_ns: &[Option<u64>]) -> Self {
        let usage = |cpu_ns: &Option<u64>| cpu_ns.map(|cpu_ns| ServerUsage { cpu_ns, resident_bytes: 4096 });
        Self(cpu_ns.iter().map(usage).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_was_there_all_the_time_is_in_the_sum() {
        let from = Usages::from_cpu(&[Some(10), Some(500), Some(30)]);
        let to = Usages::from_cpu(&[Some(15), None, Some(40)]);
        let cpu = |sums: Option<[ServerUsage; 2]>| sums.map(|sums| sums.map(|sum| sum.cpu_ns));
        assert_eq!(cpu(Usages::sums([&from, &to])), Some([40, 55]));
        assert_eq!(cpu(Usages::over([&from, &to], 0)), Some([10, 15]));
        assert_eq!(cpu(Usages::over([&from, &to], 1)), None);
        assert_eq!(cpu(Usages::sums([&Usages::default(), &to])), None);
        assert_eq!(cpu(Usages::sums([&from, &Usages::from_cpu(&[None; 3])])), None);
    }

    #[test]
    fn own_usage_is_seen() {
        let own = Servers::new(&[std::process::id(), u32::MAX]);
        let usages = own.usages();
        assert!(usages.of(0).is_some() && usages.of(1).is_none() && usages.of(2).is_none());
        assert!(own.thread_times().busiest_since(&ThreadTimes::default()).is_some());
    }
}
