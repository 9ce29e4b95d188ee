"""Programs of npm that look at deploy/: fetched once into the user's cache, by a lock of hashes.

python -m tests.live.node_tools
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.live.environments import ProvisionError, announce, cache_folder, fingerprint

TOOLS = Path(__file__).parents[1] / "deploy" / "tools"
FILES = ("package.json", "package-lock.json")
LIMIT_S = 300.0


def fetched() -> Path:
    """The folder that holds `node_modules`, downloaded first where it is missing; no script of a
    package is run. Raises ProvisionError."""
    folder = (
        cache_folder() / f"node-{fingerprint(*((TOOLS / name).read_bytes() for name in FILES))}"
    )
    if folder.exists():
        return folder
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise ProvisionError("no node and npm on PATH: install them (Debian: nodejs, npm)")
    announce("packages of npm, 34 MB, the first time")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as other:
        half = Path(other) / "tools"
        half.mkdir()
        for name in FILES:
            shutil.copy(TOOLS / name, half)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        try:
            ran = subprocess.run(
                command, cwd=half, capture_output=True, text=True, timeout=LIMIT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise ProvisionError(f"npm ci: not done within {LIMIT_S:g} s. Run it again.") from error
        if ran.returncode:
            raise ProvisionError(f"npm ci:\n{ran.stdout}{ran.stderr}\nIt needs npm's registry.")
        # Whole or absent; where another was quicker, its folder is the same.
        if not folder.exists():
            half.rename(folder)
    return folder


def main() -> int:
    """Fetch them, and say where they are; 1 and a reason where that can't be done."""
    try:
        print(fetched())
    except ProvisionError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
