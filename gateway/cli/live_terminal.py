"""The keyboard of a live view: keys unseen and at once, and the terminal as it was afterwards."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import time
from types import FrameType, TracebackType
from typing import NoReturn, Self

_QUIT = b"qQ\x04"
_TERMINATED = 128 + signal.SIGTERM


class Keyboard:
    """Use as a `with` block: inside it keys are not shown, Ctrl-Z does nothing (it would leave the
    view standing), and SIGTERM ends the program as an exception does, so that all is put back."""

    def __init__(self) -> None:
        self._fd = sys.stdin.fileno() if sys.stdin.isatty() else None
        self._was: list[int | list[bytes | int]] | None = None

    def __enter__(self) -> Self:
        self._handler = signal.signal(signal.SIGTERM, _terminated)
        if self._fd is not None:
            self._was = termios.tcgetattr(self._fd)
            bare = termios.tcgetattr(self._fd)
            flags, characters = bare[3], bare[6]
            assert isinstance(flags, int)  # by termios' promise, as is the next
            assert isinstance(characters, list)
            bare[3] = flags & ~(termios.ICANON | termios.ECHO)
            characters[termios.VSUSP] = bytes([os.fpathconf(self._fd, "PC_VDISABLE") & 0xFF])
            termios.tcsetattr(self._fd, termios.TCSADRAIN, bare)
        return self

    def wait(self, seconds: float) -> bool:
        """Whether the user wants to leave, asked for so long."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            if self._fd is None:
                time.sleep(left)
                return False
            ready, _, _ = select.select([self._fd], [], [], left)
            if ready:
                pressed = os.read(self._fd, 64)
                if not pressed or set(pressed) & set(_QUIT):
                    return True
        return False

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._fd is not None and self._was is not None:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._was)
        signal.signal(signal.SIGTERM, self._handler)


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(_TERMINATED)
