"""Environments for other people's programs, built once into the user's cache from hashed locks.

Each build has a folder of its own, named after its pins: change one, and a new folder is built
beside the old one. A stage that was cut short starts again from nothing; a finished one is never
touched.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

COMMAND_LIMIT_S = 1800.0
PEER_LIMIT_S = 3600.0
HEARTBEAT_S = 10.0

Report = Callable[[str], None]


class ProvisionError(RuntimeError):
    """A real program can't be had here; the text says what is missing and what to do about it."""


def announce(line: str) -> None:
    """Print one progress line at once, pipes included."""
    print(f"[live] {line}", flush=True)


def fingerprint(*parts: bytes) -> str:
    """Twelve hex digits that change when any part, or the order of the parts, does."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:12]


def cache_folder() -> Path:
    """Where the builds of live tests lie, each in a folder of its own."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "vllm-gateway" / "live"


def this_python() -> str:
    """The version that environments are built with: `3.11`."""
    return "{}.{}".format(*sys.version_info)


def tail(log: Path | None, lines: int = 25) -> str:
    """The last lines of a log, or a word that there is none."""
    if log is None or not log.exists():
        return "(nothing was logged)"
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def check_space(root: Path, gib: float, advice: str) -> None:
    """Refuse a disk that is too full, before anything is downloaded."""
    existing = next(folder for folder in (root, *root.parents) if folder.exists())
    free = shutil.disk_usage(existing).free / 2**30
    if free < gib:
        raise ProvisionError(
            f"{existing} has {free:.1f} GiB free, {gib:.0f} are needed. Free some, or point "
            f"XDG_CACHE_HOME at a larger disk.\n{advice}"
        )


def locked(descriptor: int) -> bool:
    """Take the lock of an open file if nobody else has it; the system drops it with the file."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def exclusive(lock: Path, report: Report) -> Iterator[int]:
    """Hold `lock` alone; whoever comes second waits, up to an hour. Yields its descriptor."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + PEER_LIMIT_S
    with lock.open("w") as handle:
        while not locked(handle.fileno()):
            if time.monotonic() > deadline:
                raise ProvisionError(f"another process has held {lock} for too long")
            report("another process builds the same; waiting for it")
            time.sleep(HEARTBEAT_S)
        yield handle.fileno()


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment; nothing of the gateway is in it."""

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.program("python")

    def program(self, name: str) -> Path:
        """One of its commands."""
        return self.folder / "bin" / name

    @property
    def site_packages(self) -> Path:
        """Where its packages lie; it must exist."""
        [found] = self.folder.glob("lib/python3.*/site-packages")
        return found

    @property
    def finished(self) -> Path:
        """The file that is there once all is installed."""
        return self.folder / "finished"


@dataclass(frozen=True, slots=True)
class Builder:
    """Carries the stages out, with a log of every command in `root` and a line now and then on
    `report`. `advice` ends the text of each error."""

    root: Path
    lock_descriptor: int
    report: Report
    advice: str

    @property
    def log(self) -> Path:
        """Where the output of every command goes."""
        return self.root / "build.log"

    def create(self, environment: Environment) -> None:
        """An empty one in the place of whatever was there."""
        shutil.rmtree(environment.folder, ignore_errors=True)
        command = [sys.executable, "-m", "venv", str(environment.folder)]
        self.run("a virtual environment", command)

    def install(self, what: str, environment: Environment, *wanted: str) -> None:
        """Wheels alone, by pip and its own settings."""
        pip = [str(environment.python), "-m", "pip", "install", "--no-input"]
        self.run(what, [*pip, "--progress-bar=off", "--only-binary=:all:", *wanted])

    def install_lock(self, what: str, environment: Environment, lock: Path) -> None:
        """What the lock names, byte for byte, and nothing else."""
        self.install(what, environment, "--no-deps", "--require-hashes", "-r", str(lock))

    def run(self, what: str, command: Sequence[str]) -> None:
        """Run one command to its end; `ProvisionError` with the end of its log when it fails."""
        start = time.monotonic()
        self.report(f"{what} …")
        with self.log.open("a") as log:
            # The descriptor is passed on so that the lock outlives us while the command runs: a
            # second build must not sweep away what an orphaned pip is still writing.
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[self.lock_descriptor],
                env={**os.environ, "HF_HUB_OFFLINE": "1"},
            )
        try:
            self.await_end(what, process)
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            raise self.failure(what, f"failed with exit status {process.returncode}")
        self.report(f"{what}: done in {time.monotonic() - start:.0f} s")

    def await_end(self, what: str, process: subprocess.Popen[bytes]) -> None:
        """Return when the process has ended, with a sign of life every `HEARTBEAT_S`."""
        for beats in range(1, int(COMMAND_LIMIT_S / HEARTBEAT_S) + 1):
            with suppress(subprocess.TimeoutExpired):
                process.wait(HEARTBEAT_S)
                return
            self.report(f"{what}: {beats * HEARTBEAT_S:.0f} s so far")
        raise self.failure(what, f"took more than {COMMAND_LIMIT_S:.0f} s")

    def failure(self, what: str, how: str) -> ProvisionError:
        """What to raise when a command went wrong: how, what to do, the end of the log."""
        return ProvisionError(
            f"{what} {how}.\n{self.advice}\nThe end of {self.log}:\n{tail(self.log)}"
        )
