// Drives the gateway with the stock socket.io-client; tests/it/socketio_node.rs starts it and compares what it prints.
//
// SCENARIO names what is told, TRANSPORT (see harness.mjs) by which way.

import { flapping } from "./socketio/flapping.mjs";
import { heartbeat } from "./socketio/heartbeat.mjs";
import { life } from "./socketio/life.mjs";
import { load } from "./socketio/load.mjs";
import { mixed } from "./socketio/mixed.mjs";
import { expiry, recovery } from "./socketio/recovery.mjs";
import { restart } from "./socketio/restart.mjs";
import { seed, seedByQuery } from "./socketio/seed.mjs";
import { talk } from "./socketio/talk.mjs";

const scenarios = { expiry, flapping, heartbeat, life, load, mixed, recovery, restart, seed, seedByQuery, talk };

await scenarios[process.env.SCENARIO]();
// What is still open, such as a listening proxy, must not keep the process.
process.exit(0);
