//! What the data plane promises, each behaviour in its module: simulations, bad input, the architecture.

mod sim_rooms;
