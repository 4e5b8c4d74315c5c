"""What the rounds say: one summary for each peer and load, of figures that were measured. Pure."""

import dataclasses
import statistics

# Loads that have a name, as in scripts/bench: connections, rooms, messages a second.
SHAPES = {
    "20k": {"connections": 1000, "rooms": 100, "rate": 2_000},
    "200k": {"connections": 1000, "rooms": 100, "rate": 20_000},
    "400k": {"connections": 1000, "rooms": 100, "rate": 40_000},
    "room-of-1000": {"connections": 1000, "rooms": 1, "rate": 4_000},
}
# In which peers are told of.
PEER_ORDER = ("floor", "gateway", "gateway-socketio", "bun", "ws", "socketio", "socketioxide", "nats", "nchan")
# Less than this share of the deliveries, and a peer has not kept up. Nothing may be lost; the rest is for rounding.
KEPT_UP = 0.99999
# What has become so late is of no use in a chat, whether or not it comes.
LATE_MS = 1000
# Of a report these parts are kept.
REPORT_PARTS = ("connects", "traffic", "closes", "errors", "other_messages", "generator", "server", "warnings", "failures")
LIST_ITEMS_KEPT = 16


def deliveries_per_second(shape):
    """What a load is of deliveries, when all are made."""
    return shape["rate"] * shape["connections"] // shape["rooms"]


def shorten(report):
    """A report without what nobody needs of it later, such as long series."""

    def keep(value):
        if isinstance(value, dict):
            return {name: keep(item) for name, item in value.items() if not is_long(item)}
        return round(value, 4) if isinstance(value, float) else value

    def is_long(value):
        return isinstance(value, (list, str)) and len(value) > LIST_ITEMS_KEPT and not is_texts(value)

    def is_texts(value):
        return isinstance(value, list) and all(isinstance(item, str) for item in value)

    return {name: keep(report[name]) for name in REPORT_PARTS if name in report}


@dataclasses.dataclass(frozen=True)
class Figure:
    """Median and extremes over the rounds."""

    median: float
    low: float
    high: float


def figure(values):
    values = [value for value in values if value is not None]
    return Figure(statistics.median(values), min(values), max(values)) if values else None


@dataclasses.dataclass(frozen=True)
class Summary:
    """How a peer did under a load, over its rounds; what no round has is `None`."""

    rounds: int
    died: int
    """Rounds in which the server ended by itself."""
    errors: tuple
    """Why rounds have no report."""
    delivered: Figure | None
    """Share of the deliveries of the whole load that came, until the generator gave up waiting."""
    per_second: Figure | None
    cpu_us: Figure | None
    """Of the server, for a delivery."""
    cpu_share: Figure | None
    p50_ms: Figure | None
    p99_ms: Figure | None
    resident_mib: Figure | None
    floor_ratio: Figure | None
    """CPU for a delivery over the floor's in the same round, of rounds in which both kept up."""
    faults: dict
    """Duplicates and the like, summed; losses are in `delivered`."""
    closed: int
    """Connections that failed or were closed by the server."""
    generator_limited: int
    """Rounds in which the generator may have been the limit."""

    @property
    def kept_up(self):
        """Whether everything came in every round, while it was of use."""
        return (
            not self.errors
            and not self.died
            and self.delivered is not None
            and self.delivered.low >= KEPT_UP
            and self.p99_ms is not None
            and not self.is_late
        )

    @property
    def is_late(self):
        """Whether what came was of no use any more, in some round."""
        return self.p99_ms is not None and self.p99_ms.high > LATE_MS


def delivered_share(report, shape, settings):
    """Deliveries that came, over those that a server which keeps up makes of this load."""
    seconds = settings["warmup"] + settings["duration"]
    due = deliveries_per_second(shape) * seconds
    traffic = report["traffic"]
    # What came twice does not make up for what did not come.
    came = traffic["deliveries"] - traffic["faults"]["duplicates"] - traffic["faults"]["misrouted"]
    # The generator spaces messages by a rounded interval, so that it may send a message less, or more.
    members = shape["connections"] // shape["rooms"]
    if abs(came - due) <= members and traffic["faults"]["lost"] == 0 and traffic["messages_unsent"] == 0:
        return 1.0
    return came / due


def summarise(runs, shape, settings, floor_runs):
    """Summarises one peer's runs of one load; `floor_runs` are the floor's, by round."""
    reports = [run["report"] for run in runs if run.get("report")]
    traffic = [report["traffic"] for report in reports]
    servers = [report.get("server") or {} for report in reports]
    faults = {}
    for found in traffic:
        for name, count in found["faults"].items():
            if name != "lost" and count:
                faults[name] = faults.get(name, 0) + count
    return Summary(
        rounds=len(runs),
        died=sum(run.get("died", False) for run in runs),
        errors=tuple(run["error"] for run in runs if run.get("error")),
        delivered=figure(delivered_share(report, shape, settings) for report in reports),
        per_second=figure(found["deliveries_per_second"] for found in traffic),
        cpu_us=figure(server.get("cpu_us_per_delivery") for server in servers),
        cpu_share=figure(server.get("cpu_share") for server in servers),
        p50_ms=figure(found["latency_ms"]["p50"] if found["latencies"] else None for found in traffic),
        p99_ms=figure(found["latency_ms"]["p99"] if found["latencies"] else None for found in traffic),
        resident_mib=figure(
            server["resident_bytes_after"] / 2**20 if "resident_bytes_after" in server else None for server in servers
        ),
        floor_ratio=figure(floor_ratio(run, floor_runs.get(run["round"]), shape, settings) for run in runs),
        faults=faults,
        closed=sum(report["connects"]["failed"] + sum(report["closes"].values()) for report in reports),
        generator_limited=sum(report["generator"]["bottleneck"] for report in reports),
    )


def floor_ratio(run, floor, shape, settings):
    costs = []
    for one in (run, floor):
        report = (one or {}).get("report")
        if not report or delivered_share(report, shape, settings) < KEPT_UP:
            return None
        if report["traffic"]["latency_ms"]["p99"] > LATE_MS:
            return None
        costs.append((report.get("server") or {}).get("cpu_us_per_delivery"))
    return costs[0] / costs[1] if all(costs) else None


def summaries(results):
    """All of them: by load, then by peer, both in the order in which they were asked for."""
    settings, found = results["settings"], {}
    for name in settings["shapes"]:
        of_shape = [run for run in results["runs"] if run["shape"] == name]
        floor_runs = {run["round"]: run for run in of_shape if run["peer"] == "floor"}
        found[name] = {}
        for peer in settings["peers"]:
            runs = [run for run in of_shape if run["peer"] == peer]
            if runs:
                found[name][peer] = summarise(runs, SHAPES[name], settings, floor_runs)
    return found


def merge(parts):
    """Several results as one, as when a long comparison was run in pieces: a peer's rounds of a load are counted on."""
    first, versions, runs, rounds = parts[0], {}, [], {}
    for part in parts:
        differing = [name for name in ("duration", "warmup") if part["settings"][name] != first["settings"][name]]
        if differing or part["machine"] != first["machine"]:
            raise ValueError(f"results of different {' and '.join(differing) or 'machines'} do not go together")
        for name, version in part["versions"].items():
            if versions.setdefault(name, version) != version:
                raise ValueError(f"results of {name} {version} and {versions[name]} do not go together")
        before = dict(rounds)
        for run in part["runs"]:
            key = run["peer"], run["shape"]
            number = before.get(key, 0) + run["round"]
            rounds[key] = max(rounds.get(key, 0), number)
            runs.append({**run, "round": number})
    known = [*dict.fromkeys(run["peer"] for run in runs)]
    settings = {
        **first["settings"],
        "peers": [name for name in PEER_ORDER if name in known],
        "shapes": [name for name in SHAPES if any(run["shape"] == name for run in runs)],
        "rounds": max(rounds.values(), default=0),
    }
    return {**first, "settings": settings, "versions": versions, "runs": runs}
