"""Tells the comparison as Markdown, and as the lines that are printed while it runs. Pure."""

from comparing.peers import PEERS
from comparing.results import SHAPES, deliveries_per_second, summaries

TITLES = {
    "20k": "20,000 deliveries a second, 100 rooms of 10",
    "200k": "200,000 deliveries a second, 100 rooms of 10",
    "400k": "400,000 deliveries a second, 100 rooms of 10",
    "room-of-1000": "One room of 1,000, 4,000 messages a second: four million deliveries a second",
}
COLUMNS = ("server", "delivered", "deliveries/s", "CPU a delivery, µs", "× floor", "CPU", "p50, ms", "p99, ms", "memory, MiB")


def number(value):
    """A number in as many digits as are worth reading."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(figure, show=number):
    """Median, and the range in brackets where it shows one."""
    if figure is None:
        return "–"
    median, low, high = show(figure.median), show(figure.low), show(figure.high)
    return median if low == high else f"{median} ({low} to {high})"


def median(figure, show=number):
    return "–" if figure is None else show(figure.median)


def percent(value):
    """A share; only what is whole is written as 100 %."""
    if value >= 1:
        return "100 %"
    return f"{min(value * 100, 99.9):.1f} %"


def verdict(summary):
    """What is to be said of a peer that did not do all that was asked."""
    words = []
    if summary.died:
        words.append(f"the server ended by itself in {summary.died} of {summary.rounds} rounds")
    if summary.delivered is not None and summary.delivered.low < 1:
        words.append(f"at worst {percent(1 - summary.delivered.low)} of the deliveries did not come")
    if summary.is_late:
        words.append(f"fell behind, at worst to a 99th percentile of {number(summary.p99_ms.high / 1000)} s")
    for name, count in sorted(summary.faults.items()):
        words.append(f"{count:,} faults: {name}")
    if summary.closed:
        words.append(f"{summary.closed:,} connections failed or were closed")
    if summary.generator_limited:
        words.append(f"the generator was at its limit in {summary.generator_limited} of {summary.rounds} rounds")
    words.extend(dict.fromkeys(error.splitlines()[0] for error in summary.errors))
    return words


def row(peer, summary):
    """The cells of a peer's line."""
    name = f"**{PEERS[peer].title}**" if peer == "gateway" else PEERS[peer].title
    return [
        name if summary.kept_up else f"{name} †",
        spread(summary.delivered, percent),
        median(summary.per_second, lambda value: f"{value:,.0f}"),
        spread(summary.cpu_us),
        spread(summary.floor_ratio),
        median(summary.cpu_share, lambda value: f"{value * 100:.0f} %"),
        median(summary.p50_ms),
        spread(summary.p99_ms),
        median(summary.resident_mib),
    ]


def table(by_peer):
    lines = [f"| {' | '.join(COLUMNS)} |", f"| --- |{' ---: |' * (len(COLUMNS) - 1)}"]
    lines += [f"| {' | '.join(row(peer, summary))} |" for peer, summary in by_peer.items()]
    notes = []
    for peer, summary in by_peer.items():
        if words := verdict(summary):
            notes.append(f"- {PEERS[peer].title}: {'; '.join(words)}.")
    return "\n".join(lines + [""] + notes).rstrip() + "\n"


INTRODUCTION = """\
# Comparison

<!-- Written by `scripts/compare`; a change here is lost. -->

The same fan-out on Roomcast and on what else it could be done with: clients join a room, and a message to a room goes to
all of its members, the sender included. Measured on {date}:
{machine}. The raw figures are in
[{raw}](../{raw}).

![CPU for a delivery and latency of every server under every load](comparison.svg)

Read it so:

- Every server has one core (all its threads and helpers pinned to it), the load generator another: an open loop, whose
  latency counts from when a message was to be sent. {duration} s are measured after {warmup} s of the same traffic.
- {rounds}, interleaved, the order of the servers rotating; figures are medians, with the range of the
  rounds in brackets. The machine's speed drifts by a factor of two within minutes, which is why *× floor*, the ratio to the
  floor's CPU in the same round, says more than microseconds.
- The floor is no product: it is the cheapest server for this load that could be written, and understands nothing else.
- Content is 128 bytes. No compression, no authentication, no rate limits, no TLS.
- *Delivered* is the share of all deliveries of the load that came at most 3 s after its end. † marks who did not deliver
  everything in every round, or whose 99th percentile was above a second; its other figures are of what did come.
- *CPU* counts in ticks of 10 ms. *Memory* is the process's resident memory after the load, nginx's with what it shares.
- Where a server numbers its messages, loss, duplicates and one order for all members are checked; with NATS and nchan
  loss, duplicates and the order of each sender's messages.
- A saturated server may look cheap for a delivery: it is never idle, so more of its messages share a system call.
- Where the generator was at its limit, lateness and CPU may be its own doing as well.
"""

CAVEATS = """\
## What is compared

| server | version | speaks | does for a message | leaves out of what Roomcast does |
| --- | --- | --- | --- | --- |
{rows}

The apps are in [benches/peers](../benches/peers): each as short as that server's documentation would have it, and not
tuned. Faster ones can be written: with several processes, with `bufferutil` for `ws`, with `eiows` for Socket.IO. Bun has
uWebSockets inside; uWebSockets.js itself is not in npm's registry and is not measured. NATS is a message bus and nchan a
publish-subscribe module: neither has rooms with members, but for the bytes they move they are what one would reach for.
Their deliveries are smaller, since nothing wraps the content.

Nobody acknowledges: the load asks for no replies. Every client reads all the time, so that the policy for slow ones matters
only where the server falls behind. Beyond its bound for a client (4 MiB) Roomcast closes the connection with a code, and
recovery gives again what was missed; NATS closes at 64 MiB, Bun drops messages at 16 MB, socketioxide at the 4,096 packets
that its app allows, nchan forgets what is older than five seconds, and `ws` and Socket.IO buffer without a bound.

## Again

```sh
cargo build --release --workspace
{command}
```

It fetches the servers from npm, crates.io and Debian's archive into `target/peers` and installs nothing into the system.
"""


def render(results, raw):
    """The whole document; `raw` is where the results are kept."""
    settings, versions = results["settings"], results["versions"]
    rounds = settings["rounds"]
    parts = [
        INTRODUCTION.format(
            date=results["date"],
            machine=results["machine"],
            raw=raw,
            rounds="One round" if rounds == 1 else f"{rounds} rounds",
            duration=settings["duration"],
            warmup=settings["warmup"],
        )
    ]
    for shape, by_peer in summaries(results).items():
        load = SHAPES[shape]
        parts.append(f"## {TITLES[shape]}\n")
        parts.append(
            f"{load['connections']:,} connections, {load['rooms']:,} {'room' if load['rooms'] == 1 else 'rooms'},"
            f" {load['rate']:,} messages and {deliveries_per_second(load):,} deliveries a second.\n"
        )
        parts.append(table(by_peer))
    rows = [
        f"| {PEERS[peer].title} | {versions[peer]} | {PEERS[peer].dialect} | {PEERS[peer].does} | {PEERS[peer].lacks} |"
        for peer in settings["peers"]
    ]
    parts.append(CAVEATS.format(rows="\n".join(rows), command=results["command"]))
    return "\n".join(parts)


def line(run, summary):
    """A run, as one line on the terminal."""
    head = f"{run['round']:>2} {run['shape']:<13} {run['peer']:<13}"
    if run.get("error"):
        return f"{head} {run['error'].splitlines()[0]}"
    found = (
        f"{percent(summary.delivered.median):>8} {median(summary.per_second):>11}/s {median(summary.cpu_us):>7} µs"
        f" {median(summary.p50_ms):>8} ms {median(summary.p99_ms):>8} ms {median(summary.resident_mib):>6} MiB"
    )
    words = verdict(summary)
    return f"{head} {found}" + (f"  ({'; '.join(words)})" if words else "")
