//! What went wrong, as numbers.

use serde::{Deserialize, Serialize};

/// What went wrong, summed over all members.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Faults {
    /// Deliveries that never came.
    pub(crate) lost: u64,
    /// Deliveries that came again.
    pub(crate) duplicates: u64,
    /// Deliveries out of order, offsets that were skipped without a loss, and offsets at which two members saw
    /// different messages.
    pub(crate) order: u64,
    /// Deliveries of a room to somebody who is not in it.
    pub(crate) misrouted: u64,
    /// Deliveries with a broken mark or without an offset.
    pub(crate) malformed: u64,
}

impl Faults {
    /// Those that came about after `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            lost: self.lost.saturating_sub(earlier.lost),
            duplicates: self.duplicates.saturating_sub(earlier.duplicates),
            order: self.order.saturating_sub(earlier.order),
            misrouted: self.misrouted.saturating_sub(earlier.misrouted),
            malformed: self.malformed.saturating_sub(earlier.malformed),
        }
    }
}
