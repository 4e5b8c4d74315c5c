//! The cases by the instructions that they take, which do not depend on how busy or fast a machine is.
//!
//! Run by `scripts/bench-gate`, which compares with the committed baseline; by hand as the README says.

#![expect(missing_docs, reason = "the macros make public items")]

use gungraun::prelude::*;
use roomcast_benches::cases::Case;
use roomcast_benches::cases::access::{TakeFromBuckets, Verify};
use roomcast_benches::cases::delivery::{Connect, FanOut, Join, RecoverByOffset, RecoverSession};
use roomcast_benches::cases::protocol::{Decode, Encode, Handshake};
use roomcast_benches::cases::structures::{MatchPatterns, PassQueue, TurnWheel};
use roomcast_shards::protocol::profile::Dialect::{Event, Topic};

/// As in the gateway.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Does the case once; whoever calls takes it back, so that its end is not counted.
fn once<C: Case>(mut case: C) -> C {
    case.run();
    case
}

#[library_benchmark]
#[bench::event(args = (Event), setup = Decode::new)]
#[bench::topic(args = (Topic), setup = Decode::new)]
fn decode(case: Decode) -> Decode {
    once(case)
}

#[library_benchmark]
#[bench::event(args = (Event), setup = Encode::new)]
#[bench::topic(args = (Topic), setup = Encode::new)]
fn encode(case: Encode) -> Encode {
    once(case)
}

#[library_benchmark]
#[bench::to_1(args = (1), setup = FanOut::to)]
#[bench::to_10(args = (10), setup = FanOut::to)]
#[bench::to_1000(args = (1000), setup = FanOut::to)]
#[bench::across_shards(args = (), setup = FanOut::across_shards)]
fn fan_out(case: FanOut) -> FanOut {
    once(case)
}

#[library_benchmark]
#[bench::room_of_10(args = (), setup = Join::new)]
fn join(case: Join) -> Join {
    once(case)
}

#[library_benchmark]
#[bench::by_offset(args = (), setup = RecoverByOffset::new)]
fn recover(case: RecoverByOffset) -> RecoverByOffset {
    once(case)
}

#[library_benchmark]
#[bench::session(args = (), setup = RecoverSession::new)]
fn resume(case: RecoverSession) -> RecoverSession {
    once(case)
}

#[library_benchmark]
#[bench::anonymous(args = (), setup = Connect::anonymous)]
#[bench::with_token(args = (), setup = Connect::with_token)]
fn connect(case: Connect) -> Connect {
    once(case)
}

#[library_benchmark]
#[bench::head(args = (), setup = Handshake::new)]
fn handshake(case: Handshake) -> Handshake {
    once(case)
}

#[library_benchmark]
#[bench::hs256(args = (), setup = Verify::hs256)]
#[bench::es256(args = (), setup = Verify::es256)]
fn verify(case: Verify) -> Verify {
    once(case)
}

#[library_benchmark]
#[bench::take(args = (), setup = TakeFromBuckets::new)]
fn limits(case: TakeFromBuckets) -> TakeFromBuckets {
    once(case)
}

#[library_benchmark]
#[bench::among_10(args = (10), setup = MatchPatterns::among)]
#[bench::among_100000(args = (100_000), setup = MatchPatterns::among)]
fn patterns(case: MatchPatterns) -> MatchPatterns {
    once(case)
}

#[library_benchmark]
#[bench::turn(args = (), setup = TurnWheel::new)]
fn timers(case: TurnWheel) -> TurnWheel {
    once(case)
}

#[library_benchmark]
#[bench::pass(args = (), setup = PassQueue::new)]
fn queue(case: PassQueue) -> PassQueue {
    once(case)
}

library_benchmark_group!(
    name = core,
    benchmarks = [
        decode, encode, fan_out, join, recover, resume, connect, handshake, verify, limits, patterns, timers,
        queue
    ]
);
main!(library_benchmark_groups = core);
