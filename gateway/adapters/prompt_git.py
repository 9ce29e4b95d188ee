"""What git knows of prompt files: who wrote them, who asks, and how they were at a revision."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Sequence
from pathlib import Path


class NoGit(Exception):
    """git is not there, this is no repository, or it does not know the revision."""


def _git(folder: Path, *arguments: str) -> bytes:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, check=True, timeout=30
        )
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().split("\n")[-1]
        raise NoGit(said or "git failed") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoGit(f"git cannot be run: {error}") from None
    return done.stdout


def author(folder: Path, files: Sequence[Path]) -> str:
    """The e-mail of who wrote the newest commit that changed one of `files`; the present user
    where one has changes that are not committed. NoGit where nobody knows."""
    paths = [str(file.resolve()) for file in files]
    if _git(folder, "status", "--porcelain", "--", *paths).strip():
        return user(folder)
    return _git(folder, "log", "-1", "--format=%ae", "--", *paths).decode().strip()


def user(folder: Path) -> str:
    """The e-mail of who works here. NoGit where git was not told."""
    return _git(folder, "config", "user.email").decode().strip()


def export(folder: Path, revision: str, to: Path) -> Path:
    """`folder` as it was at `revision`, written below `to`. NoGit."""
    if revision.startswith("-"):
        raise NoGit(f"{revision!r} is no revision")
    inside = _git(folder, "rev-parse", "--show-prefix").decode().strip() or "."
    # From the top, or git archive would leave the path out.
    top = Path(_git(folder, "rev-parse", "--show-toplevel").decode().strip())
    packed = _git(top, "archive", "--format=tar", revision, "--", inside)
    import tarfile  # it brings compressors with it, which only `gateway prompts diff` needs

    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(to, filter="data")
    return to / inside
