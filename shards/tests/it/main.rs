//! What the data plane promises, each behaviour in its module: simulations, bad input, the architecture.

mod fuzz;
mod fuzz_decoders;
mod fuzz_engine;
mod fuzz_shard;
mod fuzz_socketio;
mod heard;
mod sim_rooms;
mod tidy;
