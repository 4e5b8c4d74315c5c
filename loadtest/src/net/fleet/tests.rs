//! The loop under a rate that it cannot keep.

use super::*;
use crate::args::Args;

/// Always has another message that is due, as when the rate is beyond what the machine can send.
#[derive(Default)]
struct Overdue {
    asked: usize,
}

impl Handler for Overdue {
    fn on_open(&mut self, _index: usize, _first: &mut Vec<u8>) {}

    fn on_answer(&mut self, _index: usize, _text: &[u8]) -> Answer {
        Answer::Unrelated
    }

    fn on_ready(&mut self, _index: usize, _took_ns: u64) {}

    fn on_text(&mut self, _index: usize, _text: &[u8], _now_ns: u64) {}

    fn on_end(&mut self, _index: usize, _stage: Stage, _end: End) {}

    fn next_due_ns(&self) -> u64 {
        0
    }

    fn next_send(&mut self, _now_ns: u64, out: &mut Vec<u8>) -> Option<usize> {
        self.asked += 1;
        out.push(b'.');
        Some(0)
    }

    fn on_unsent(&mut self, _index: usize) {}
}

#[test]
fn a_rate_beyond_all_means_does_not_keep_the_loop_from_reading() {
    let args = Args::try_parse_from(["loadtest", "--connections", "1", "--rooms", "1"]).expect("valid flags");
    let settings = Settings::from_args(args).expect("valid settings");
    let upgrade = Upgrade {
        servers: vec![(String::new(), String::new())],
        subprotocols: vec![None],
        packing: Packing::Plain,
        rooms_in_path: None,
        minter: None,
        user_prefix: String::new(),
    };
    let mut fleet = Fleet::new(&settings, upgrade).expect("descriptors are left");
    let mut handler = Overdue::default();
    for turn in 1..=3 {
        fleet.turn(&mut handler, u64::MAX).expect("the epoll set works");
        assert_eq!(handler.asked, turn * SENDS_AT_ONCE_MAX);
    }
}
