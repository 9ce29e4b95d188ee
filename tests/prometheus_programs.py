"""Prometheus, Alertmanager and their tools: of PATH, else Debian's packages in the user's cache.

    python -m tests.prometheus_programs

`make test` uses what is there and skips the rest; `make live` fetches what is missing, and needs no
root for it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("prometheus", "prometheus-alertmanager")
NAMES = ("prometheus", "promtool", "prometheus-alertmanager", "amtool")
# Upstream's archives call it so.
OTHER_NAMES = {"prometheus-alertmanager": "alertmanager"}
LIMIT_S = 300.0
TEMPLATE = Path("/usr/share/prometheus/alertmanager/default.tmpl")


@dataclass(frozen=True, slots=True)
class Programs:
    """Where each of them lies."""

    prometheus: Path
    promtool: Path
    alertmanager: Path
    amtool: Path


class MissingPrograms(RuntimeError):
    """They are not here and cannot be fetched; the text says what to do."""


def cached() -> Path:
    """The folder of Debian's packages, unpacked, whether it is there or not."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "vllm-gateway" / "prometheus"


def found() -> Programs | None:
    """All four, or None."""
    paths = [_found(name) for name in NAMES]
    whole = [path for path in paths if path is not None]
    return Programs(*whole) if len(whole) == len(NAMES) else None


def _found(name: str) -> Path | None:
    for other in (name, OTHER_NAMES.get(name, name)):
        if path := shutil.which(other):
            return Path(path)
    path_ = cached() / "usr" / "bin" / name
    return path_ if path_.exists() else None


def alertmanager_of(programs: Programs) -> list[str | Path]:
    """The command that starts it. Debian's looks for a file of its package where packages are
    installed: one that was only unpacked sees its own /usr/share there, and nobody else does."""
    share = cached() / "usr" / "share"
    if TEMPLATE.exists() or not programs.alertmanager.is_relative_to(cached()):
        return [programs.alertmanager]
    own = ["--user", "--map-root-user"] if os.geteuid() else []
    script = 'mount --bind "$0" /usr/share && exec "$@"'
    return ["unshare", *own, "--mount", "sh", "-c", script, share, programs.alertmanager]


def fetched() -> Programs:
    """All four, downloaded first where they are missing. Raises MissingPrograms."""
    if (there := found()) is not None:
        return there
    target = cached()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        _unpack(Path(folder))
        shutil.rmtree(target, ignore_errors=True)
        # Whole or absent, and whoever was quicker has the same.
        (Path(folder) / "unpacked").rename(target)
    if (there := found()) is None:
        raise MissingPrograms(f"{', '.join(PACKAGES)} of this system have not {NAMES}")
    return there


def _unpack(folder: Path) -> None:
    """Into `unpacked`. apt keeps its lists here: neither root nor fresh lists are needed."""
    for name in ("lists/partial", "cache/archives/partial", "unpacked"):
        (folder / name).mkdir(parents=True)
    # Root's apt would download as another user, who may not write here.
    places = [f"Dir::State::lists={folder}/lists", f"Dir::Cache={folder}/cache"]
    mine = [*places, "APT::Sandbox::User="]
    options = [part for one in mine for part in ("-o", one)]
    _run(folder, "apt-get", "--quiet", *options, "update")
    _run(folder, "apt-get", "--quiet", *options, "download", *PACKAGES)
    for package in folder.glob("*.deb"):
        _run(folder, "dpkg-deb", "--extract", package.name, "unpacked")


def _run(folder: Path, *command: str) -> None:
    advice = f"Install {' and '.join(PACKAGES)}, or put their programs on PATH."
    try:
        ran = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingPrograms(f"{command[0]}: {error}\n{advice}") from error
    if ran.returncode:
        raise MissingPrograms(f"{' '.join(command)}:\n{ran.stdout}{ran.stderr}\n{advice}")


def main() -> int:
    """Fetch them, and say where they are; 1 and a reason where that can't be done."""
    try:
        print(fetched())
    except MissingPrograms as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
