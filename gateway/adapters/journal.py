"""Lines on disk that wait for the database: Journal. They outlive the process that wrote them.

A journal is a file of its process alone, locked while that lives; files of those that are gone are
taken over by whoever sees them first. A line may thus be read twice, never not at all.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_log = logging.getLogger("gateway.journal")

_SUFFIX = ".journal"
# A file that has become as long is followed by another: it is deleted once it has been read.
_SEGMENT = 1 << 20
_READ = 1 << 18
MOST_LINES = 200


@dataclass(slots=True, eq=False)
class Segment:
    """One file: `size` bytes were written, `read` of them are in the database; `lines` are not."""

    path: Path
    descriptor: int
    size: int = 0
    read: int = 0
    lines: int = 0

    @property
    def left(self) -> int:
        return self.size - self.read


@dataclass(frozen=True, slots=True)
class Batch:
    """Lines that come next, and where they end: in a segment, or in memory (None)."""

    lines: list[bytes]
    segment: Segment | None
    end: int = 0


class Journal:
    """`folder` None: all in memory. On disk at most `most_bytes`; in memory at most `most_lines`,
    where the disk is full or broken. Past both, lines are lost, and counted. `bytes` are those on
    disk that wait; `trouble` says why nothing can be written there."""

    def __init__(
        self, folder: Path | None, most_bytes: int = 1 << 30, most_lines: int = 20_000
    ) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._most_lines = most_lines
        self._segments: deque[Segment] = deque()
        self._active: Segment | None = None
        self._memory: deque[bytes] = deque()
        self.bytes = 0
        self.lost = 0
        self.trouble = ""

    def __len__(self) -> int:
        """Lines that wait; of files that were taken over, as many as have been seen of them."""
        return sum(one.lines for one in self._segments) + len(self._memory)

    @property
    def waiting(self) -> bool:
        """Whether anything does."""
        return bool(self._memory) or any(one.left for one in self._segments)

    @property
    def in_memory(self) -> int:
        """Lines that would die with this process."""
        return len(self._memory)

    def put(self, line: bytes) -> None:
        """Add a line, its line end included. Never raises. One write, and no fsync: it survives
        this process, though not a power cut."""
        if self._folder is not None:
            try:
                self._write(self._folder, line)
            except OSError as error:
                self._fail(error.strerror or type(error).__name__)
            else:
                if self.trouble:
                    _log.info("the journal is on disk again")
                    self.trouble = ""
                return
        if len(self._memory) >= self._most_lines:
            self.lost += 1
            if self.lost == 1 or self.lost % 1000 == 0:
                _log.error("%d lines of the journal are lost: disk and memory are full", self.lost)
            return
        self._memory.append(line)

    def _write(self, folder: Path, line: bytes) -> None:
        active = self._active
        if self.bytes + len(line) > self._most_bytes:
            raise OSError(0, f"{self.bytes} bytes of it wait: see state.journal_max_bytes")
        if active is None or active.size >= _SEGMENT:
            self._active = active = _create(folder)
            self._segments.append(active)
        written = os.write(active.descriptor, line)
        if written == len(line):
            active.size += written
            active.lines += 1
            self.bytes += written
            return
        # Half a line must not stay, or the next one would be glued to it.
        try:
            os.ftruncate(active.descriptor, active.size)
        except OSError:
            self._active = None  # that half is the end of this file; readers stop before it
        raise OSError(0, "the disk is full")

    def _fail(self, why: str) -> None:
        if not self.trouble:
            _log.error("the journal cannot be written (%s): kept in memory", why)
        self.trouble = why

    def next(self) -> Batch | None:
        """The next lines to store, the oldest file first; None when nothing waits."""
        if self._memory:
            return Batch([self._memory[n] for n in range(min(MOST_LINES, len(self._memory)))], None)
        for segment in list(self._segments):
            if batch := self._read(segment):
                return batch
        return None

    def _read(self, segment: Segment) -> Batch | None:
        if not segment.left:
            return None
        found = os.pread(segment.descriptor, min(segment.left, _READ), segment.read)
        if b"\n" not in found:  # a very long line, or a spoilt one, before others that are whole
            found = os.pread(segment.descriptor, segment.left, segment.read)
        lines = found.splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):
            lines.pop()
        if lines:
            lines = lines[:MOST_LINES]
            return Batch(lines, segment, segment.read + sum(map(len, lines)))
        # Its writer died within a line, whose call has had no end that a client could see.
        _log.warning("%s ends within a line, which is left out", segment.path.name)
        self.done(Batch([], segment, segment.size))
        return None

    def done(self, batch: Batch) -> None:
        """These are in the database."""
        segment = batch.segment
        if segment is None:
            for _ in batch.lines:
                self._memory.popleft()
            return
        self.bytes -= batch.end - segment.read
        segment.read = batch.end
        segment.lines = max(0, segment.lines - len(batch.lines)) if segment.left else 0
        if segment.left:
            return
        if segment is self._active:
            # Nothing was written since: this is the thread that writes.
            try:
                os.ftruncate(segment.descriptor, 0)
                segment.size = segment.read = 0
                return
            except OSError:
                self._active = None
        self._remove(segment)

    def _remove(self, segment: Segment) -> None:
        self._segments.remove(segment)
        with suppress(FileNotFoundError):
            segment.path.unlink()
        os.close(segment.descriptor)

    def orphans(self) -> list[Segment]:
        """The files of processes that are gone, ours from now on. May run in any thread: they
        count once `take` has them."""
        if self._folder is None:
            return []
        own = {one.path for one in list(self._segments)}
        every = sorted(self._folder.glob(f"*{_SUFFIX}"))
        return [found for path in every if path not in own and (found := _taken(path)) is not None]

    def take(self, found: list[Segment]) -> None:
        """They are read before our own."""
        self._segments.extendleft(reversed(found))
        self.bytes += sum(one.left for one in found)

    def every(self) -> list[bytes]:
        """All lines that wait. May run in any thread, as long as none is `done` meanwhile."""
        found = list(self._memory)
        for segment in list(self._segments):
            at, end = segment.read, segment.size
            found += os.pread(segment.descriptor, end - at, at).splitlines(keepends=True)
        return found

    def close(self) -> None:
        """Let go of all files. Those with anything left stay for the next process."""
        for segment in list(self._segments):
            if segment.left:
                os.close(segment.descriptor)
            else:
                self._remove(segment)
        self._segments.clear()
        self._active = None
        self.bytes = 0


def _create(folder: Path) -> Segment:
    """A new file, locked before it has the name by which others find it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"{os.getpid()}-{secrets.token_hex(8)}"
    draft = folder / f"{name}.new"
    descriptor = os.open(draft, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        draft.rename(folder / f"{name}{_SUFFIX}")
    except OSError:
        os.close(descriptor)
        raise
    return Segment(folder / f"{name}{_SUFFIX}", descriptor)


def _taken(path: Path) -> Segment | None:
    """The file, if whoever wrote it is gone and nobody else has taken it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        found = os.fstat(descriptor)
        # Between our look and our lock another process may have read and deleted it.
        if found.st_nlink:
            size = found.st_size
            return Segment(path, descriptor, size, lines=_lines(descriptor))
    except OSError:
        pass
    os.close(descriptor)
    return None


def _lines(descriptor: int) -> int:
    count, at = 0, 0
    while chunk := os.pread(descriptor, _READ, at):
        count, at = count + chunk.count(b"\n"), at + len(chunk)
    return count
