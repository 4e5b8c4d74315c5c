//! Watches the memory of the process: short of it, load is shed in stages (architecture §5).

use roomcast_shards::shard::Overload;

/// How often to look.
const LOOK_INTERVAL_MS: u64 = 1_000;

/// The memory of the process against its bound.
#[derive(Debug)]
pub(super) struct Memory {
    max: Option<u64>,
    looked_ms: u64,
    overload: Overload,
}

impl Memory {
    /// With the resident bytes above which load is shed; `None` never looks.
    pub(super) fn new(max: Option<u64>) -> Self {
        Self { max, looked_ms: 0, overload: Overload::None }
    }

    /// Looks once in a while; how far to shed load, when that has changed.
    pub(super) fn look(&mut self, now_ms: u64) -> Option<Overload> {
        let max = self.max?;
        if now_ms < self.looked_ms + LOOK_INTERVAL_MS {
            return None;
        }
        self.looked_ms = now_ms;
        let resident = resident_bytes()?;
        let overload = judge(resident, max);
        if overload == self.overload {
            return None;
        }
        self.overload = overload;
        tracing::warn!(event = "memory", resident, max, stage = ?overload);
        Some(overload)
    }
}

fn judge(resident: u64, max: u64) -> Overload {
    if resident <= max {
        Overload::None
    } else if resident <= max.saturating_add(max / 10) {
        Overload::RefuseNew
    } else {
        Overload::DropEphemeral
    }
}

/// Resident memory, from `/proc/self/statm`: the second number, in pages.
fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_is_shed_in_stages() {
        assert_eq!(judge(100, 100), Overload::None);
        assert_eq!(judge(101, 100), Overload::RefuseNew);
        assert_eq!(judge(111, 100), Overload::DropEphemeral);
    }

    #[test]
    fn a_change_is_told_once() {
        let mut memory = Memory::new(Some(1));
        assert_eq!(memory.look(0), None);
        assert_eq!(memory.look(LOOK_INTERVAL_MS), Some(Overload::DropEphemeral));
        assert_eq!(memory.look(LOOK_INTERVAL_MS * 2), None);
        assert_eq!(Memory::new(None).look(LOOK_INTERVAL_MS), None);
    }
}
