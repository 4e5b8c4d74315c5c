//! The benchmarks' cases do what they are named for, again and again.

use roomcast_benches::cases::Case;
use roomcast_benches::cases::access::{TakeFromBuckets, Verify};
use roomcast_benches::cases::delivery::{Connect, FanOut, Join, RecoverByOffset, RecoverSession};
use roomcast_benches::cases::protocol::{Decode, Encode, Handshake};
use roomcast_benches::cases::structures::{MatchPatterns, PassQueue, TurnWheel};
use roomcast_shards::protocol::profile::Dialect;

/// The cases check themselves when they are made; here each must also go on afterwards.
fn goes_on(mut case: impl Case) {
    for _ in 0..3 {
        case.run();
        case.prepare();
    }
    assert!(case.times() > 0);
}

#[test]
fn every_case_can_be_repeated() {
    for dialect in [Dialect::Event, Dialect::Topic] {
        goes_on(Decode::new(dialect));
        goes_on(Encode::new(dialect));
    }
    goes_on(Join::new());
    goes_on(RecoverByOffset::new());
    goes_on(RecoverSession::new());
    goes_on(Connect::anonymous());
    goes_on(Connect::with_token());
    goes_on(Handshake::new());
    goes_on(Verify::hs256());
    goes_on(Verify::es256());
    goes_on(TakeFromBuckets::new());
    goes_on(MatchPatterns::among(100));
    goes_on(TurnWheel::new());
    goes_on(PassQueue::new());
}

#[test]
fn a_fan_out_reaches_every_member_with_one_write() {
    for members in [1, 10, 600] {
        check_fan_out(FanOut::to(members), members as u64);
    }
    check_fan_out(FanOut::across_shards(), 2);
}

fn check_fan_out(mut case: FanOut, members: u64) {
    let (deliveries, writes) = (case.gateway().deliveries(), case.gateway().writes());
    case.send();
    assert_eq!(case.gateway().deliveries() - deliveries, members);
    assert_eq!(case.gateway().writes() - writes, members);
}
