"""Starts servers and loads them: what scripts that measure have in common."""

import collections
import contextlib
import json
import os
import pathlib
import platform
import queue
import resource
import signal
import socket
import subprocess
import threading
import time

START_TIMEOUT_S = 20
STOP_TIMEOUT_S = 10
LINES_SHOWN = 10


class BenchError(Exception):
    """Something that makes a measurement impossible."""


class Server:
    """A server process, on one core, stopped when the block ends.

    It says on one of its streams where it listens, as `read_address` makes of a line; or it is told to listen on
    `address`, and is ready when it does.
    """

    def __init__(self, name, command, stream="stdout", read_address=None, *, address=None, cpu=None, env=None, cwd=None):
        self.name, self.command = name, [str(word) for word in command]
        self.stream, self.read_address, self.told = stream, read_address, address
        self.cpu, self.env, self.cwd = cpu, env, cwd
        self.address = queue.Queue(maxsize=1)
        self.last_lines = collections.deque(maxlen=LINES_SHOWN)
        self.follower = threading.Thread(target=self.follow, daemon=True)

    def __enter__(self):
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, self.stream: subprocess.PIPE}
        env = None if self.env is None else {**os.environ, **self.env}
        # The threads and children of a process inherit its core.
        pin = None if self.cpu is None else lambda: os.sched_setaffinity(0, {self.cpu})
        try:
            self.process = subprocess.Popen(
                self.command, text=True, errors="replace", env=env, cwd=self.cwd, preexec_fn=pin, **pipes
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise BenchError(f"cannot start {self.name}: {error}") from error
        self.follower.start()
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.follower.join(STOP_TIMEOUT_S)

    def follow(self):
        """Reads the stream to its end, so that a server that logs much never waits for us."""
        with getattr(self.process, self.stream) as pipe:
            for line in pipe:
                self.last_lines.append(line.rstrip())
                address = self.read_address(line) if self.read_address else None
                if address is not None:
                    with contextlib.suppress(queue.Full):
                        self.address.put_nowait(address)

    def wait_for_address(self):
        """Where it listens, once it does."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while self.process.poll() is None and time.monotonic() < deadline:
            if self.told is not None:
                if listens(self.told):
                    return self.told
                time.sleep(0.05)
                continue
            with contextlib.suppress(queue.Empty):
                return self.address.get(timeout=0.1)
        raise BenchError("\n".join([f"{self.name} did not say where it listens; its last lines:", *self.last_lines]))

    def worker_pid(self):
        """The process that does the work: the only child where there is one, as with nginx, else the server itself."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0]) if len(children) == 1 else self.process.pid


def listens(address):
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
        return True
    return False


def free_address():
    """An address that nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


def read_floor_address(line):
    """What the floor, and every app that says `listening ADDRESS`, says on standard output."""
    word, _, address = line.strip().partition(" ")
    return address if word == "listening" else None


def read_gateway_address(line):
    """What the gateway says in its log."""
    try:
        record = json.loads(line)
    except ValueError:
        return None
    if not isinstance(record, dict) or record.get("event") != "listening":
        return None
    return (record.get("metadata") or {}).get("address")


def run_load(command, report, timeout_s):
    """Runs the load generator and returns its report and exit code, also when deliveries went wrong.

    The code 1 says that something is wrong with the server, which is a finding; all else, that there was no load.
    """
    command = [str(word) for word in command]
    # A session of its own, so that what wraps the generator can be stopped with it.
    load = subprocess.Popen(
        command, text=True, errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        output, _ = load.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"the load took more than {timeout_s} s") from error
    finally:
        if load.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(load.pid, signal.SIGKILL)
            load.wait()
    if load.returncode not in (0, 1) or not report.exists():
        lines = output.splitlines()[-LINES_SHOWN:]
        raise BenchError("\n".join([f"the load failed with {load.returncode}; its last lines:", *lines]))
    try:
        return json.loads(report.read_text()), load.returncode
    except ValueError as error:
        raise BenchError(f"the load generator's report is no JSON: {error}") from error


def raise_descriptor_limit():
    """As many files as we may have, for us and our children."""
    _, files_max = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files_max, files_max))


def machine():
    """What a reader has to know of this machine."""
    model = platform.machine()
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores ({model}), {gib:.0f} GiB, Linux {platform.release().split('-')[0]}"


def positive(kind):
    """An argument type: a number above 0."""

    def parse(text):
        value = kind(text)
        if not value > 0:
            raise ValueError
        return value

    parse.__name__ = f"positive {kind.__name__}"
    return parse
