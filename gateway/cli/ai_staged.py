"""The change that `gateway ai commit-message` describes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import click

from gateway.cli.ai_session import read_input


def change_to_describe(source: str) -> str:
    """The diff in the file `source` (`-`: standard input); for "" what is piped in, else what is
    staged in git. Raises click's UsageError when that is nothing."""
    if source or _piped():
        diff = read_input(source or "-")
        if diff.strip() or source:
            return _some(diff, "the diff is empty")
    return _some(_staged(), "nothing is staged: run git add first, or pipe a diff in")


def _some(diff: str, otherwise: str) -> str:
    if not diff.strip():
        raise click.UsageError(otherwise)
    return diff


def _piped() -> bool:
    """Whether standard input is a pipe or a file. Editors and hooks often leave /dev/null there."""
    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError, AttributeError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


def _staged() -> str:
    # As git writes it for `git apply`, whatever the user's own settings make of a diff.
    plain = ("--no-color", "--no-ext-diff", "--no-textconv", "--no-relative")
    command = ["git", "diff", "--cached", *plain, "--src-prefix=a/", "--dst-prefix=b/"]
    try:
        ran = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        raise click.UsageError("git is not there: pipe a diff in, or name a file") from None
    if ran.returncode:
        said = ran.stderr.decode("utf-8", "replace").strip().splitlines()
        raise click.UsageError(f"git diff --cached: {said[0] if said else 'failed'}")
    return ran.stdout.decode("utf-8", "replace")
