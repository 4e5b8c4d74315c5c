//! In steady state a delivery allocates nothing: a message costs the same allocations whether ten or a thousand hear it.

use allocation_counter::measure;
use roomcast_benches::cases::delivery::FanOut;

const MESSAGES: usize = 100;
/// What a message allocates on its way, however many hear it: the name of its room, its content, the question to the
/// room's owner, the publication, the frame, and the count of those who share the frame.
const ALLOCATIONS_PER_MESSAGE: usize = 6;
/// Tables that still grow now and then: the list of what the histories keep.
const ALLOCATIONS_BESIDE: usize = 2;

/// Allocations and bytes of the messages to a room of so many members, so many of them with one write.
fn allocated(members: usize, together: usize) -> (u64, u64) {
    let mut room = FanOut::to(members);
    // Queues that carry several frames at a time get their memory.
    room.send_together(together);
    let delivered = room.gateway().deliveries();
    let counted = measure(|| (0..MESSAGES / together).for_each(|_| room.send_together(together)));
    assert_eq!(room.gateway().deliveries() - delivered, (MESSAGES * members) as u64);
    (counted.count_total, counted.bytes_total)
}

#[test]
fn recipients_cost_no_allocation() {
    for together in [1, 4] {
        let [ten, thousand] = [10, 1000].map(|members| allocated(members, together));
        assert_eq!(ten, thousand, "{MESSAGES} messages to 10 and to 1,000 members, {together} a write");
        let most = (ALLOCATIONS_PER_MESSAGE * MESSAGES + ALLOCATIONS_BESIDE) as u64;
        assert!(ten.0 <= most, "{} allocations for {MESSAGES} messages, at most {most} are known", ten.0);
    }
}
