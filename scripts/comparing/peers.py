"""Who is compared: how each is got and started, what protocol it speaks, and what it does for a message."""

import dataclasses
import os
import pathlib
import typing

from comparing.install import Cache, package_version, run
from measuring import BenchError, Server, free_address, read_floor_address, read_gateway_address


@dataclasses.dataclass(frozen=True)
class Context:
    """What starting a server takes."""

    cache: Cache
    bin_dir: pathlib.Path
    scratch: pathlib.Path
    cpu: int


@dataclasses.dataclass(frozen=True)
class Peer:
    """A server that is measured."""

    title: str
    dialect: str
    """As the load generator names it."""
    path: str
    """Of the URL; the generator appends the room where the dialect wants that."""
    start: typing.Callable
    """Makes a `Server` from a `Context`."""
    version: typing.Callable
    """Says what was measured, from a `Context`; gets it first, if need be."""
    does: str
    """For a message, beside delivering it."""
    lacks: str
    """Of what the gateway does for one."""


def start_floor(context):
    command = [context.bin_dir / "floor", "--cpu", context.cpu]
    return Server("floor", command, "stdout", read_floor_address, cpu=context.cpu)


def start_gateway(context):
    command = [context.bin_dir / "roomcast", "serve", "--listen", "127.0.0.1:0", "--shards", "1"]
    command += ["--cpus", context.cpu, "--auth", "off", "--limits", "off"]
    return Server("gateway", command, "stderr", read_gateway_address, cpu=context.cpu)


def own_version(context):
    for name in ("roomcast", "floor", "roomcast-loadtest"):
        if not (context.bin_dir / name).exists():
            raise BenchError(f"{context.bin_dir / name} is missing: cargo build --release --workspace")
    try:
        commit = run("git", "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*", cwd=context.cache.root).strip()
    except BenchError:
        commit = "unknown"
    return f"commit {commit}"


def start_bun(context):
    node = context.cache.folder / "node"
    bun = next(iter(sorted(node.glob("node_modules/@oven/bun-linux-*/bin/bun"))), None)
    if bun is None:
        raise BenchError("npm brought no bun for this machine")
    return Server("bun", [bun, node / "bun" / "server.js"], "stdout", read_floor_address, cpu=context.cpu)


def start_node(name):
    def start(context):
        command = ["node", context.cache.folder / "node" / name / "server.js"]
        # As its users run it; the app prints no errors of its own.
        env = {"NODE_ENV": "production"}
        return Server(name, command, "stdout", read_floor_address, cpu=context.cpu, env=env)

    return start


def npm_version(package, with_node=True):
    def version(context):
        found = package_version(context.cache.node_apps(), package)
        return f"{found}, Node {run('node', '--version').strip().lstrip('v')}" if with_node else found

    return version


def socketioxide_binary(context):
    return context.cache.folder / "socketioxide" / "release" / "roomcast-peer-socketioxide"


def start_socketioxide(context):
    return Server("socketioxide", [socketioxide_binary(context)], "stdout", read_floor_address, cpu=context.cpu)


def socketioxide_version(context):
    context.cache.cargo("socketioxide")
    lock = (context.cache.apps / "socketioxide" / "Cargo.lock").read_text()
    return lock.split('name = "socketioxide"\nversion = "', 1)[1].split('"', 1)[0]


def fill(template, target, **values):
    """Writes a configuration file from its template."""
    text = template.read_text()
    for name, value in values.items():
        text = text.replace(f"@{name.upper()}@", str(value))
    target.write_text(text)
    return target


def start_nats(context):
    address = free_address()
    config = fill(context.cache.apps / "nats" / "nats.conf", context.scratch / "nats.conf", address=address)
    command = [context.cache.folder / "debian" / "root" / "usr" / "sbin" / "nats-server", "-c", config]
    return Server("nats", command, "stderr", address=address, cpu=context.cpu, env={"GOMAXPROCS": "1"})


def nats_version(context):
    _, versions = context.cache.debian("nats-server")
    return versions["nats-server"]


def start_nchan(context):
    address = free_address()
    root, scratch = context.cache.folder / "debian" / "root", context.scratch / "nginx"
    scratch.mkdir(exist_ok=True)
    values = {"address": address, "root": root, "scratch": scratch}
    config = fill(context.cache.apps / "nchan" / "nginx.conf", scratch / "nginx.conf", **values)
    command = [root / "usr" / "sbin" / "nginx", "-p", scratch, "-c", config]
    return Server("nchan", command, "stderr", address=address, cpu=context.cpu)


def nchan_version(context):
    _, versions = context.cache.debian("nginx", "libnginx-mod-nchan")
    # The module insists on this folder, whatever it is configured to use.
    try:
        os.makedirs("/var/lib/nginx", exist_ok=True)
    except OSError as error:
        raise BenchError(f"nchan needs the folder /var/lib/nginx: {error.strerror}") from error
    return f"{versions['libnginx-mod-nchan']} in nginx {versions['nginx']}"


NUMBERED = "numbers it and makes the gateway's members of it, in the app"
NO_HISTORY = "history and recovery, deduplication, permissions, receipts, limits"

PEERS = {
    "floor": Peer(
        "bare epoll floor",
        "event",
        "/ws",
        start_floor,
        own_version,
        "numbers it and formats it by substring; one send a member and turn",
        f"JSON, UTF-8 checks, {NO_HISTORY}",
    ),
    "gateway": Peer(
        "Roomcast, one shard",
        "event",
        "/ws",
        start_gateway,
        own_version,
        "parses, validates, checks membership and rights, numbers, keeps it in the room's history",
        "nothing; rate limits and authentication are off",
    ),
    "gateway-socketio": Peer(
        "Roomcast, Socket.IO clients",
        "socketio",
        "/socket.io/",
        start_gateway,
        own_version,
        "as above, and follows how far each client has got, for connection state recovery",
        "nothing; rate limits and authentication are off",
    ),
    "bun": Peer(
        "Bun (uWebSockets)", "event", "/ws", start_bun, npm_version("bun", with_node=False), NUMBERED, NO_HISTORY
    ),
    "ws": Peer("Node ws", "event", "/ws", start_node("ws"), npm_version("ws"), NUMBERED, NO_HISTORY),
    "socketio": Peer(
        "Node Socket.IO", "socketio", "/socket.io/", start_node("socketio"), npm_version("socket.io"), NUMBERED, NO_HISTORY
    ),
    "socketioxide": Peer(
        "socketioxide", "socketio", "/socket.io/", start_socketioxide, socketioxide_version, NUMBERED, NO_HISTORY
    ),
    "nats": Peer(
        "nats-server",
        "nats",
        "/",
        start_nats,
        nats_version,
        "routes the bytes by subject; there is no app and no JSON, so a delivery is some 170 bytes instead of 400",
        f"offsets and one order over senders, JSON, {NO_HISTORY}",
    ),
    "nchan": Peer(
        "nchan (nginx)",
        "nchan",
        "/rooms/",
        start_nchan,
        nchan_version,
        "keeps the messages of five seconds; there is no app and no JSON, so a delivery is some 130 bytes",
        "offsets that clients see, JSON, deduplication, permissions, receipts, limits",
    ),
}
