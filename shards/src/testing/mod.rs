//! A simulation of several shards: virtual time, rings and clients that delay, fail and die, all from one seed.
