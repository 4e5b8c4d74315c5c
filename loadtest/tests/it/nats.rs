//! `--dialect nats` against the stand-in: frames of several messages, and what can be checked without offsets.

use crate::stand_in::{Fault, StandIn};
use crate::{DELIVERIES, MESSAGES, ROOMS, faults, run};

#[test]
fn messages_without_offsets_are_checked_for_each_sender() {
    for (fault, code, expected) in [
        (Fault::None, 0, faults(0, 0, 0)),
        (Fault::Trickle, 0, faults(0, 0, 0)),
        (Fault::Drop, 1, faults(ROOMS, 0, 0)),
        (Fault::Duplicate, 1, faults(0, ROOMS, 0)),
        // Two senders' messages: nothing says which was first.
        (Fault::Swap, 0, faults(0, 0, 0)),
    ] {
        let server = StandIn::start(fault);
        let url = format!("ws://{}/nats", server.address);
        let (exit, report, text) = run(&server, &["--dialect", "nats", "--url", &url]);
        let traffic = &report["traffic"];
        assert_eq!((exit, &traffic["faults"]), (Some(code), &expected), "{fault:?}: {text}");
        assert_eq!(traffic["messages_sent"], MESSAGES, "{text}");
        if fault == Fault::None {
            assert_eq!(traffic["deliveries"], DELIVERIES, "{text}");
            // Those of the last messages may come when the run is over.
            let pongs = server.pongs() as u64;
            assert!((DELIVERIES * 9 / 10..).contains(&pongs), "{pongs} heartbeats were answered");
        }
    }
}
