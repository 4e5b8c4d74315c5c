"""Counts the instructions of the benchmarks' cases, and reads and writes the baseline. Used by bench-gate and
bench-baseline.

Counts are those of valgrind, which runs one instruction after the other on a processor that it makes up itself, so
neither other processes nor the machine's speed matter. What is left is taken care of here: the seeds of hash tables
are fixed (benches/fixed_random.c), addresses are too (the runner switches their randomisation off), incremental
compilation is off, and what else the counts depend on is recorded beside them.
"""

import collections
import datetime
import json
import os
import pathlib
import platform
import re
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BASELINE = ROOT / "benches" / "baseline.json"
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").absolute()
TOOLS = TARGET / "tools"
# Those that change which code libraries choose at run time, as far as valgrind lets a program see them.
CPU_FEATURES = ("sse4_2", "avx", "avx2", "bmi2", "fma", "rdrand", "rdseed")
LINES_SHOWN = 30


class CountError(Exception):
    """Something that makes counting impossible."""


def run(command, **options):
    """Runs a command and returns what it printed; a failure is an error that says what it said."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    except OSError as error:
        raise CountError(f"cannot run {words[0]}: {error.strerror}; scripts/setup installs what is needed") from error
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).splitlines()[-LINES_SHOWN:]
        raise CountError("\n".join([f"{' '.join(words)} failed with {done.returncode}:", *lines]))
    return done.stdout


def locked_version(package):
    """The version of a package that the lock file names."""
    found = re.search(rf'name = "{package}"\nversion = "([^"]+)"', (ROOT / "Cargo.lock").read_text())
    if not found:
        raise CountError(f"Cargo.lock names no {package}")
    return found[1]


def ensure_runner():
    """Installs the program that the benchmarks hand their cases to; it must be of the library's version."""
    version = locked_version("gungraun")
    runner = TOOLS / "bin" / "gungraun-runner"
    if runner.exists() and version in run([runner, "--version"]):
        return
    print(f"installing gungraun-runner {version} into {TOOLS}", flush=True)
    # Unoptimised: it has little to do, and is compiled in a third of the time.
    run(["cargo", "install", "--quiet", "--debug", "--locked", "--force", "--root", TOOLS, f"gungraun-runner@={version}"])


def build_fixed_random():
    library = TOOLS / "fixed_random.so"
    source = ROOT / "benches" / "fixed_random.c"
    if not library.exists() or library.stat().st_mtime < source.stat().st_mtime:
        library.parent.mkdir(parents=True, exist_ok=True)
        run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source])
    return library


def environment():
    """What counts depend on beside the code."""
    flags = set()
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            flags = set(line.partition(":")[2].split())
            break
    return {
        "rustc": run(["rustc", "--version"]).strip(),
        "target": platform.machine() + "-" + platform.system().lower(),
        "libc": "-".join(platform.libc_ver()),
        "valgrind": run(["valgrind", "--version"]).strip(),
        "gungraun": locked_version("gungraun"),
        "cpu_features": " ".join(feature for feature in CPU_FEATURES if feature in flags),
    }


def count():
    """Builds the benchmarks, runs each case once, and returns the instructions by case."""
    ensure_runner()
    library = build_fixed_random()
    variables = dict(os.environ, CARGO_INCREMENTAL="0", PATH=f"{TOOLS / 'bin'}{os.pathsep}{os.environ['PATH']}")
    bench = ["cargo", "bench", "--quiet", "--locked", "-p", "roomcast-benches", "--bench", "instructions"]
    run([*bench, "--no-run"], env=variables)
    with tempfile.TemporaryDirectory(prefix="roomcast-instructions-") as home:
        # Its memory is its own, so that no earlier run is compared with.
        options = ["--output-format=json", "--parallel=auto", f"--home={home}", f"--envs=LD_PRELOAD={library}"]
        printed = run([*bench, "--", *options], env=variables)
    return dict(sorted(read_counts(printed).items()))


def read_counts(printed):
    counts = {}
    for line in printed.splitlines():
        if line.startswith("{"):
            name, instructions = read_count(json.loads(line))
            counts[name] = instructions
    if not counts:
        raise CountError("\n".join(["no counts were printed:", *printed.splitlines()[-LINES_SHOWN:]]))
    return counts


def read_count(result):
    """Name and instructions of a case, from what the runner printed of it."""
    try:
        metrics = [part["metrics"]["Ir"]["values"]["new"] for part in result["profiles"][0]["data"]["parts"]]
        return f"{result['function_name']}/{result['id']}", sum(metrics)
    except (KeyError, IndexError, TypeError) as error:
        raise CountError(f"the runner's result lacks the instructions: {error!r}") from error


def read_baseline():
    try:
        baseline = json.loads(BASELINE.read_text())
        return {"environment": dict(baseline["environment"]), "instructions": dict(baseline["instructions"])}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CountError(f"{BASELINE}: {error!r}; scripts/bench-baseline writes it") from error


def write_baseline(counts, reason):
    """Writes the baseline; the reason goes with it into the commit."""
    date = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    baseline = {"reason": reason, "date": date, "environment": environment(), "instructions": counts}
    BASELINE.write_text(json.dumps(baseline, indent=2) + "\n")


class Row(collections.namedtuple("Row", "name before now tolerance")):
    """One case, compared. Either count may be missing."""

    @property
    def change(self):
        return None if not self.before or self.now is None else self.now / self.before - 1

    @property
    def verdict(self):
        if self.before is None:
            return "not in the baseline"
        if self.now is None:
            return "not counted"
        if self.change > self.tolerance:
            return "REGRESSION"
        return "improvement" if self.change < -self.tolerance else ""

    @property
    def fails(self):
        return self.verdict not in ("", "improvement")


def compare(before, now, tolerance):
    """All cases of both, in the order of their names."""
    return [Row(name, before.get(name), now.get(name), tolerance) for name in sorted(before.keys() | now.keys())]


def print_table(rows):
    number = lambda count: "-" if count is None else f"{count:,}"
    width = max(len(row.name) for row in rows)
    print(f"{'case':{width}} {'baseline':>12} {'now':>12} {'change':>8}")
    for row in rows:
        change = "" if row.change is None else f"{row.change:+.2%}"
        print(f"{row.name:{width}} {number(row.before):>12} {number(row.now):>12} {change:>8}  {row.verdict}".rstrip())


def print_differences(recorded):
    """Says what else than the code may have changed the counts."""
    for name, value in environment().items():
        if recorded.get(name) != value:
            print(f"warning: {name} is {value!r} here and {recorded.get(name)!r} in the baseline; counts may differ for that")
