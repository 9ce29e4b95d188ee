"""A real terminal for commands: Terminal, a pseudo-terminal with a program on it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

HOME = b"\x1b[H"
WITHIN_S = 60.0


@dataclass
class Terminal:
    """`read` is all that the program has written so far."""

    process: subprocess.Popen[bytes]
    master: int
    slave: int
    was: list[int | list[bytes | int]]
    read: bytes = b""
    frames_seen: int = field(default=0)

    @property
    def settings(self) -> list[int | list[bytes | int]]:
        """Of the line: echo and the like."""
        return termios.tcgetattr(self.slave)

    @property
    def frame(self) -> str:
        """What was drawn last."""
        return self.read.split(HOME)[-1].decode(errors="replace")

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def until(self, true: Callable[[], object], what: str) -> None:
        """Read on until it is true."""
        ends = time.monotonic() + WITHIN_S
        while not true():
            assert time.monotonic() < ends, f"not {what}: {self.read[-2000:]!r}"
            self._take(0.05)

    def ended(self) -> int:
        """The status that it ends with; what it has written by then is read."""
        self.until(lambda: self.process.poll() is not None, "ended")
        while self._take(0.0):
            pass
        return self.process.wait()

    def _take(self, seconds: float) -> bool:
        ready, _, _ = select.select([self.master], [], [], seconds)
        if ready:
            self.read += os.read(self.master, 65_536)
        return bool(ready)


@contextmanager
def terminal(
    *command: str, rows: int = 24, columns: int = 120, **environ: str
) -> Iterator[Terminal]:
    """`python -m gateway …` on a terminal of its own."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    was = termios.tcgetattr(slave)
    left_out = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TERM")
    usual = {name: value for name, value in os.environ.items() if name not in left_out}
    process = subprocess.Popen(
        [sys.executable, "-c", _OWN_TERMINAL, *command],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**usual, "TERM": "xterm-256color", **environ},
        start_new_session=True,
    )
    try:
        yield Terminal(process, master, slave, was)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        os.close(master)
        os.close(slave)


# Only a session's own terminal makes Ctrl-C a signal.
_OWN_TERMINAL = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from gateway.cli import main
main(sys.argv[1:], prog_name="gateway")
"""
