//! The same cases by the time that they take here and now, for people. `items` are what the case does a second.

use std::cell::RefCell;

use divan::Bencher;
use divan::counter::ItemsCount;
use roomcast_benches::cases::Case;
use roomcast_benches::cases::access::{TakeFromBuckets, Verify};
use roomcast_benches::cases::delivery::{Connect, FanOut, Join, RecoverByOffset, RecoverSession};
use roomcast_benches::cases::protocol::{Decode, Encode, Handshake};
use roomcast_benches::cases::structures::{MatchPatterns, PassQueue, TurnWheel};
use roomcast_shards::protocol::profile::Dialect;

/// As in the gateway.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

/// Times a case. One run is one sample: a second one needs to be prepared first.
fn time<C: Case>(bencher: Bencher<'_, '_>, case: C) {
    let times = ItemsCount::new(case.times());
    let case = RefCell::new(case);
    bencher
        .counter(times)
        .with_inputs(|| case.borrow_mut().prepare())
        .bench_local_values(|()| case.borrow_mut().run());
}

#[divan::bench_group(name = "decode", sample_size = 1, sample_count = 1000)]
mod decode {
    use super::*;

    #[divan::bench]
    fn event(bencher: Bencher<'_, '_>) {
        time(bencher, Decode::new(Dialect::Event));
    }

    #[divan::bench]
    fn topic(bencher: Bencher<'_, '_>) {
        time(bencher, Decode::new(Dialect::Topic));
    }
}

#[divan::bench_group(name = "encode", sample_size = 1, sample_count = 1000)]
mod encode {
    use super::*;

    #[divan::bench]
    fn event(bencher: Bencher<'_, '_>) {
        time(bencher, Encode::new(Dialect::Event));
    }

    #[divan::bench]
    fn topic(bencher: Bencher<'_, '_>) {
        time(bencher, Encode::new(Dialect::Topic));
    }
}

#[divan::bench_group(name = "fan_out", sample_size = 1, sample_count = 500)]
mod fan_out {
    use super::*;

    #[divan::bench(args = [1, 10, 1000])]
    fn to(bencher: Bencher<'_, '_>, members: usize) {
        time(bencher, FanOut::to(members));
    }

    #[divan::bench]
    fn across_shards(bencher: Bencher<'_, '_>) {
        time(bencher, FanOut::across_shards());
    }
}

#[divan::bench_group(name = "clients", sample_size = 1, sample_count = 200)]
mod clients {
    use super::*;

    #[divan::bench]
    fn connect_anonymous(bencher: Bencher<'_, '_>) {
        time(bencher, Connect::anonymous());
    }

    #[divan::bench]
    fn connect_with_token(bencher: Bencher<'_, '_>) {
        time(bencher, Connect::with_token());
    }

    #[divan::bench]
    fn join_room_of_10(bencher: Bencher<'_, '_>) {
        time(bencher, Join::new());
    }

    #[divan::bench]
    fn recover_by_offset(bencher: Bencher<'_, '_>) {
        time(bencher, RecoverByOffset::new());
    }

    #[divan::bench]
    fn recover_session(bencher: Bencher<'_, '_>) {
        time(bencher, RecoverSession::new());
    }
}

#[divan::bench_group(name = "parts", sample_size = 1, sample_count = 500)]
mod parts {
    use super::*;

    #[divan::bench]
    fn handshake(bencher: Bencher<'_, '_>) {
        time(bencher, Handshake::new());
    }

    #[divan::bench]
    fn verify_hs256(bencher: Bencher<'_, '_>) {
        time(bencher, Verify::hs256());
    }

    #[divan::bench]
    fn verify_es256(bencher: Bencher<'_, '_>) {
        time(bencher, Verify::es256());
    }

    #[divan::bench]
    fn limits(bencher: Bencher<'_, '_>) {
        time(bencher, TakeFromBuckets::new());
    }

    #[divan::bench(args = [10, 100_000])]
    fn patterns(bencher: Bencher<'_, '_>, stored: usize) {
        time(bencher, MatchPatterns::among(stored));
    }

    #[divan::bench]
    fn timers(bencher: Bencher<'_, '_>) {
        time(bencher, TurnWheel::new());
    }

    #[divan::bench]
    fn queue(bencher: Bencher<'_, '_>) {
        time(bencher, PassQueue::new());
    }
}
