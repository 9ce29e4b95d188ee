"""Unified diffs on bytes in git's format, and the applier that proves each before it leaves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from gateway.domain import lines
from gateway.domain.errors import GatewayError


class DiffBroken(GatewayError):
    """A diff does not fit its file. From `compare` it is our own fault: nothing is returned."""

    status = 500
    code = "diff_broken"
    default_public = "The gateway could not compute a diff that applies."


@dataclass(frozen=True, slots=True)
class Hunk:
    """The numbers of one `@@` line as git writes them: 1-based starts, line counts, lines changed.

    A start is the line before the hunk when its count is 0 (so 0 for an empty file).
    """

    old_start: int
    old_lines: int
    new_start: int
    new_lines: int
    added: int
    removed: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """A diff proved to turn `before` into `after`, and its hunks; both empty when equal."""

    diff: bytes
    hunks: tuple[Hunk, ...]

    @property
    def added(self) -> int:
        """Lines that only the new text has."""
        return sum(hunk.added for hunk in self.hunks)

    @property
    def removed(self) -> int:
        """Lines that only the old text has."""
        return sum(hunk.removed for hunk in self.hunks)


class _Change(NamedTuple):
    """Lines `old:old_end` of the one text become lines `new:new_end` of the other, 0-based."""

    old: int
    old_end: int
    new: int
    new_end: int


def compare(path: str, before: bytes, after: bytes, *, context: int = 3) -> Comparison:
    """The diff from `before` to `after` with its hunks, with `context` >= 0 unchanged lines around.

    `git apply` takes it as it is (with `context=0` it wants `--unidiff-zero`). The header is ASCII;
    the bytes below it are the file's own, so that the diff decodes in the file's own encoding.
    Raises `DiffBroken` rather than return a diff that does not reproduce `after`.
    """
    old, new = lines.split(before), lines.split(after)
    body = bytearray()
    found = []
    for group in _groups(_changes(old, new), context):
        hunk, text = _hunk(group, old, new, context)
        found.append(hunk)
        body += text
    diff = _header(path) + bytes(body) if found else b""
    _prove(path, diff, before, after)
    return Comparison(diff, tuple(found))


def creation(path: str, content: bytes) -> bytes:
    """The diff that creates a file of `content`, which must not be empty. `git apply` takes it
    where there is no file of that name. Raises `DiffBroken` as `compare` does."""
    rows = lines.split(content)
    old, new = _quoted(f"a/{path}"), _quoted(f"b/{path}")
    head = b"diff --git %s %s\nnew file mode 100644\n--- /dev/null\n+++ %s%s\n" % (
        *(old, new, new),
        _tab(path),
    )
    hunk = b"@@ -0,0 +%s @@\n" % _numbers(0, len(rows))
    diff = head + hunk + b"".join(_line(b"+", row) for row in rows)
    _prove(path, diff, b"", content)
    return diff


def unified_diff(path: str, before: bytes, after: bytes, *, context: int = 3) -> bytes:
    """The diff of `compare` alone; `b""` when the texts are equal."""
    return compare(path, before, after, context=context).diff


def hunks(before: bytes, after: bytes, *, context: int = 3) -> tuple[Hunk, ...]:
    """The hunks of `compare` alone."""
    return compare("", before, after, context=context).hunks


def apply(diff: bytes, before: bytes) -> bytes:
    """`before` with a diff of one file applied, exactly: no fuzz, no offset. `b""` changes nothing.

    Raises `DiffBroken` where a line of context or a removed line differs, or a count is wrong.
    """
    patch = lines.split(diff)
    old = lines.split(before)
    result: list[bytes] = []
    done, index = 0, 0
    while index < len(patch) and not patch[index].startswith(b"@@ "):
        index += 1
    while index < len(patch):
        start, expected, replaced, index = _read_hunk(patch, index)
        if start < done or old[start : start + len(expected)] != expected:
            raise DiffBroken(detail=f"the hunk at old line {start + 1} does not match the file")
        result += old[done:start]
        result += replaced
        done = start + len(expected)
    return b"".join(result + old[done:])


def _prove(path: str, diff: bytes, before: bytes, after: bytes) -> None:
    try:
        proved = apply(diff, before) == after
    except DiffBroken as broken:
        raise DiffBroken(detail=f"the diff of {path!r} does not apply: {broken.detail}") from broken
    if not proved:
        raise DiffBroken(detail=f"the diff of {path!r} does not reproduce the new text")


_HUNK = re.compile(rb"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


def _read_hunk(patch: list[bytes], index: int) -> tuple[int, list[bytes], list[bytes], int]:
    """(first old line from 0, old lines, new lines, index after it) of the hunk at `index`."""
    match = _HUNK.match(patch[index])
    if match is None:
        raise DiffBroken(detail=f"line {index + 1} of the diff is no hunk")
    old_lines = int(match[2] or 1)
    start = int(match[1]) - (1 if old_lines else 0)
    wanted = {b" ": (True, True), b"-": (True, False), b"+": (False, True)}
    old: list[bytes] = []
    new: list[bytes] = []
    index += 1
    while len(old) < old_lines or len(new) < int(match[4] or 1):
        sign = patch[index][:1] if index < len(patch) else b""
        if sign not in wanted:
            raise DiffBroken(detail=f"line {index + 1} of the diff is cut off or has no sign")
        line = patch[index][1:]
        index += 1
        if index < len(patch) and patch[index].startswith(b"\\"):
            line = line[:-1]
            index += 1
        in_old, in_new = wanted[sign]
        old += [line] * in_old
        new += [line] * in_new
    return start, old, new, index


def _changes(old: list[bytes], new: list[bytes]) -> list[_Change]:
    found = []
    a = b = 0
    for run in [*lines.runs(old, new), lines.Run(len(old), len(new), 0)]:
        if run.old > a or run.new > b:
            found.append(_Change(a, run.old, b, run.new))
        a, b = run.old + run.size, run.new + run.size
    return found


def _groups(changes: list[_Change], context: int) -> list[list[_Change]]:
    """Changes whose contexts touch, together: one group is one hunk."""
    groups: list[list[_Change]] = []
    for change in changes:
        if groups and change.old - groups[-1][-1].old_end <= 2 * context:
            groups[-1].append(change)
        else:
            groups.append([change])
    return groups


def _hunk(
    group: list[_Change], old: list[bytes], new: list[bytes], context: int
) -> tuple[Hunk, bytes]:
    first, last = group[0], group[-1]
    lead = min(context, first.old)
    tail = min(context, len(old) - last.old_end)
    at, new_at = first.old - lead, first.new - lead
    count, new_count = last.old_end + tail - at, last.new_end + tail - new_at
    parts = [b"@@ -%s +%s @@\n" % (_numbers(at, count), _numbers(new_at, new_count))]
    for change in group:
        parts += [_line(b" ", line) for line in old[at : change.old]]
        parts += [_line(b"-", line) for line in old[change.old : change.old_end]]
        parts += [_line(b"+", line) for line in new[change.new : change.new_end]]
        at = change.old_end
    parts += [_line(b" ", line) for line in old[at : at + tail]]
    return Hunk(
        old_start=first.old - lead + bool(count),
        old_lines=count,
        new_start=new_at + bool(new_count),
        new_lines=new_count,
        added=sum(change.new_end - change.new for change in group),
        removed=sum(change.old_end - change.old for change in group),
    ), b"".join(parts)


def _numbers(start: int, count: int) -> bytes:
    if count == 1:
        return b"%d" % (start + 1)
    return b"%d,%d" % (start + bool(count), count)


def _line(sign: bytes, line: bytes) -> bytes:
    if line.endswith(b"\n"):
        return sign + line
    return sign + line + b"\n\\ No newline at end of file\n"


def _header(path: str) -> bytes:
    old, new = _quoted(f"a/{path}"), _quoted(f"b/{path}")
    tab = _tab(path)
    return b"diff --git %s %s\n--- %s%s\n+++ %s%s\n" % (old, new, old, tab, new, tab)


def _tab(path: str) -> bytes:
    """git ends a name that has a space with a tab, or older `patch` programs cut it at the space"""
    return b"\t" if " " in path else b""


_ESCAPES = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r", 34: '"', 92: "\\"}


def _quoted(name: str) -> bytes:
    """A path as git prints it: in C quotes when a byte is a control, a quote, `\\` or not ASCII."""
    raw = name.encode()
    if all(32 <= byte < 127 and byte not in _ESCAPES for byte in raw):
        return raw
    return b'"' + b"".join(_quoted_byte(byte) for byte in raw) + b'"'


def _quoted_byte(byte: int) -> bytes:
    if byte in _ESCAPES:
        return b"\\" + _ESCAPES[byte].encode()
    return bytes([byte]) if 32 <= byte < 127 else b"\\%03o" % byte
