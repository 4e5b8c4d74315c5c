"""Gets peers from the package registries into a cache folder, without installing anything into the system."""

import json
import pathlib
import shutil
import subprocess

from measuring import BenchError


class Cache:
    """Where peers are kept: a folder of the checkout that is not committed."""

    def __init__(self, root, folder):
        self.root, self.folder = root, folder
        self.apps = root / "benches" / "peers"

    def node_apps(self):
        """The apps that run on npm's packages, beside those packages, so that their imports are found."""
        folder = self.folder / "node"
        folder.mkdir(parents=True, exist_ok=True)
        lock = self.apps / "package-lock.json"
        stamp = folder / "lock.stamp"
        if not stamp.exists() or stamp.read_bytes() != lock.read_bytes():
            for name in ("package.json", "package-lock.json"):
                shutil.copy(self.apps / name, folder / name)
            # Bun's package fetches nothing else: its binary is a package of its own.
            run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", cwd=folder)
            shutil.copy(lock, stamp)
        shutil.copy(self.apps / "message.js", folder / "message.js")
        for name in ("bun", "ws", "socketio"):
            shutil.copytree(self.apps / name, folder / name, dirs_exist_ok=True)
        return folder

    def debian(self, *packages):
        """The root of the files of these Debian packages, and their versions; unpacked, not installed."""
        folder = self.folder / "debian"
        folder.mkdir(parents=True, exist_ok=True)
        versions = {}
        for package in packages:
            found = sorted(folder.glob(f"{package}_*.deb"))
            if not found:
                # The user that apt drops to may not write here.
                run("apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", package, cwd=folder)
                found = sorted(folder.glob(f"{package}_*.deb"))
            if not found:
                raise BenchError(f"apt-get brought no {package}")
            run("dpkg-deb", "-x", found[-1], folder / "root")
            versions[package] = run("dpkg-deb", "-f", found[-1], "Version").strip()
        return folder / "root", versions

    def cargo(self, name):
        """The release binary of a cargo project under benches/peers."""
        target = self.folder / name
        manifest = self.apps / name / "Cargo.toml"
        run("cargo", "build", "--release", "--locked", "--quiet", "--manifest-path", manifest, "--target-dir", target)
        return target / "release" / f"roomcast-peer-{name}"


def run(*command, cwd=None):
    """Runs a command to its end and returns what it printed."""
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, cwd=cwd, text=True, errors="replace", capture_output=True)
    except OSError as error:
        raise BenchError(f"{words[0]} is needed: {error.strerror}") from error
    if done.returncode != 0:
        lines = (done.stdout + done.stderr).strip().splitlines()[-5:]
        raise BenchError("\n".join([f"`{' '.join(words[:4])} …` failed with {done.returncode}:", *lines]))
    return done.stdout


def package_version(folder, package):
    """The version of an npm package that was installed."""
    return json.loads(pathlib.Path(folder, "node_modules", package, "package.json").read_text())["version"]
