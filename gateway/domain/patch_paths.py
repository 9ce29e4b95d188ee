"""The files that a unified diff is about: the names in its headers, whatever wrote it."""

from __future__ import annotations

import re
from collections.abc import Iterator

_HUNK = re.compile(r"@@ -\d+(?:,(\d{1,9}))? \+\d+(?:,(\d{1,9}))? @@")
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_GIT = re.compile(rf"diff --git ({_QUOTED}|a/.*?) ({_QUOTED}|b/.*)$")
_BARE = "diff --git "
_NAMED = re.compile(
    rf"(?:---|\+\+\+|rename from|rename to|copy from|copy to|diff --cc|diff --combined)"
    rf" ({_QUOTED}|[^\t]+)"
)
_ESCAPE = re.compile(rb'\\([0-7]{3}|["\\abfnrtv])')
_LETTERS = dict(zip(b"abfnrtv", b"\a\b\f\n\r\t\v", strict=True))
_REVISION = re.compile(r"(?<=\S)[ \t]+\((?:revision \d+|working copy|nonexistent)\)$")
"""What Subversion puts behind a name."""
_PREFIX = re.compile(r"[abciow]/")


def read(diff: str) -> tuple[str, ...] | None:
    """The paths in the headers of `diff`, in order; None where it has no header of a unified diff.

    Lines of hunks are skipped by their counts: a removed line `-- x` is no header. A name that may
    or may not bear git's prefix is there both ways: it is for rules that deny.
    """
    found: dict[str, None] = {}
    headed = False
    for line in _headers(diff):
        if line.startswith("@@"):
            headed = True
            continue
        names = _names(line)
        headed = headed or (bool(names) and line.startswith("diff "))
        for name in names:
            for path in _paths(name):
                found[path] = None
    return tuple(found) if headed else None


def _headers(diff: str) -> Iterator[str]:
    """The lines of `diff` outside its hunks, and the first line of each hunk."""
    old = new = 0
    for line in diff.split("\n"):
        line = line.rstrip("\r")
        if (old > 0 or new > 0) and line[:1] in (" ", "-", "+", "\\", ""):
            old -= line[:1] in (" ", "-", "")
            new -= line[:1] in (" ", "+", "")
            continue
        old = new = 0
        hunk = _HUNK.match(line)
        if hunk:
            old, new = (int(count) if count is not None else 1 for count in hunk.groups())
        yield line


def _names(line: str) -> tuple[str, ...]:
    """The names in a line outside of hunks, as they are written."""
    named = _GIT.match(line) or _NAMED.match(line)
    if named:
        return named.groups()
    if not line.startswith(_BARE):
        return ()
    # Another prefix than a/ and b/, or none: the two names are of one length.
    both = line.removeprefix(_BARE).rstrip()
    half = len(both) // 2
    return (both[:half], both[half + 1 :]) if both[half : half + 1] == " " else ()


def _paths(name: str) -> Iterator[str]:
    path = _unquoted(name) if name.startswith('"') else name.rstrip()
    path = _REVISION.sub("", path)
    if path != "/dev/null":
        yield path
        if _PREFIX.match(path):
            yield path[2:]


def _unquoted(name: str) -> str:
    """A path out of git's C quotes."""

    def plain(match: re.Match[bytes]) -> bytes:
        said = match[1]
        if len(said) == 3:
            return bytes([int(said, 8) & 255])
        return bytes([_LETTERS.get(said[0], said[0])])

    return _ESCAPE.sub(plain, name[1:-1].encode()).decode("utf-8", "replace")
