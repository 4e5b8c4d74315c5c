use proptest::prelude::*;

use super::*;

fn frame(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn drain(queue: &mut OutboundQueue, step: usize) -> String {
    let (mut out, mut scratch) = (Vec::new(), Vec::new());
    while !queue.is_empty() {
        let chunk = queue.next_write(&mut scratch, 64);
        let taken = chunk.len().min(step);
        out.extend_from_slice(&chunk[..taken]);
        queue.advance(taken);
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn a_full_queue_drops_the_oldest_ephemeral_frames() {
    let mut queue = OutboundQueue::default();
    for text in ["aa", "bb", "cc"] {
        assert_eq!(queue.push(frame(text), FrameClass::Ephemeral, 6), Pushed::Queued);
    }
    assert_eq!(queue.push(frame("dddd"), FrameClass::Ephemeral, 6), Pushed::Dropped(2));
    assert_eq!(drain(&mut queue, 3), "ccdddd");
}

#[test]
fn the_frame_in_flight_is_never_cut() {
    let mut queue = OutboundQueue::default();
    queue.push(frame("aaaa"), FrameClass::Ephemeral, 6);
    queue.advance(1);
    assert_eq!(queue.push(frame("bbbbbb"), FrameClass::Ephemeral, 6), Pushed::Dropped(1));
    assert_eq!(queue.push(frame("cc"), FrameClass::Reliable, 4), Pushed::Full);
    queue.push(frame("dd"), FrameClass::Reliable, 6);
    queue.clear();
    queue.push_close(frame("close"));
    queue.push_always(frame("late"), FrameClass::Reply);
    assert_eq!(drain(&mut queue, 2), "aaaclose");
}

#[test]
fn a_handshake_that_waits_is_answered_before_the_close() {
    let mut queue = OutboundQueue::default();
    queue.push_always(frame("101"), FrameClass::Control);
    queue.push_always(frame("reply"), FrameClass::Reply);
    queue.push(frame("push"), FrameClass::Reliable, 100);
    queue.clear();
    assert_eq!((queue.bytes(), queue.reply_bytes()), (3, 3));
    queue.push_close(frame("close"));
    assert_eq!(drain(&mut queue, 2), "101close");
}

#[test]
fn a_waiting_reply_takes_no_room_from_pushes() {
    let mut queue = OutboundQueue::default();
    queue.push_always(frame("reply"), FrameClass::Reply);
    assert_eq!(queue.push(frame("larger than the bound"), FrameClass::Reliable, 4), Pushed::Queued);
    assert_eq!(queue.push(frame("b"), FrameClass::Reliable, 4), Pushed::Full);
}

#[test]
fn a_reliable_frame_that_does_not_fit_is_reported() {
    let mut queue = OutboundQueue::default();
    assert_eq!(queue.push(frame("larger than the bound"), FrameClass::Reliable, 4), Pushed::Queued);
    assert_eq!(queue.push(frame("b"), FrameClass::Reliable, 4), Pushed::Full);
    queue.push_always(frame("reply"), FrameClass::Reply);
    assert_eq!(queue.reply_bytes(), 5);
    drain(&mut queue, 7);
    assert_eq!((queue.bytes(), queue.reply_bytes()), (0, 0));
}

#[test]
fn memory_is_kept_for_as_long_as_it_is_used() {
    let mut queue = OutboundQueue::default();
    let mut flush = |frames: usize| {
        for _ in 0..frames {
            queue.push(frame("frame"), FrameClass::Reliable, 1 << 20);
        }
        drain(&mut queue, 64);
        queue.rest.as_ref().map_or(0, |rest| rest.capacity())
    };
    assert_eq!(flush(1), 0, "a frame at a time needs none");
    let kept = flush(3);
    assert_eq!((kept > 0, flush(2)), (true, kept));
    assert_eq!(flush(1), 0, "it was not needed this time");
    assert_eq!(flush(2 * CAPACITY_KEPT), 0);
}

#[test]
fn a_queue_goes_on_behind_another() {
    let (mut first, mut queue) = (OutboundQueue::default(), OutboundQueue::default());
    first.push_always(frame("101"), FrameClass::Control);
    first.push_always(frame("3probe"), FrameClass::Control);
    first.advance(1);
    queue.push(frame("aa"), FrameClass::Reliable, 100);
    queue.advance(2);
    queue.push(frame("bb"), FrameClass::Reliable, 100);
    queue.push_always(frame("cc"), FrameClass::Reply);
    queue.put_in_front(&mut first);
    assert_eq!((queue.bytes(), queue.reply_bytes(), queue.end()), (12, 10, 14));
    assert_eq!(drain(&mut queue, 5), "013probebbcc");
    assert_eq!((queue.bytes(), queue.reply_bytes(), queue.written()), (0, 0, 14));
    assert!(first.is_empty());
}

#[test]
fn whatever_waits_is_dropped() {
    let mut queue = OutboundQueue::default();
    for text in ["aa", "b", "cc"] {
        queue.push(frame(text), FrameClass::Reliable, 100);
    }
    queue.push_always(frame("d"), FrameClass::Control);
    assert_eq!(queue.waiting().count(), 4);
    queue.drop_all();
    assert_eq!((queue.bytes(), queue.end(), queue.is_empty()), (0, 0, true));
}

proptest! {
    #[test]
    fn nothing_is_lost_or_turned_around(
        frames in proptest::collection::vec(("[a-z]{1,90}", any::<bool>()), 1..40),
        step in 1usize..100,
    ) {
        let mut queue = OutboundQueue::default();
        let mut expected = String::new();
        for (text, reply) in &frames {
            let class = if *reply { FrameClass::Reply } else { FrameClass::Reliable };
            queue.push_always(frame(text), class);
            expected.push_str(text);
        }
        prop_assert_eq!(queue.bytes(), expected.len());
        prop_assert_eq!(drain(&mut queue, step), expected);
        prop_assert_eq!((queue.bytes(), queue.reply_bytes()), (0, 0));
    }
}
