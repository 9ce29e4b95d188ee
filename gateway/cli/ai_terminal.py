"""What `gateway ai` shows: text that cannot steer a terminal, coloured diffs, progress."""

from __future__ import annotations

import io
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

import click

# All control characters but tab and line feed, and those that change the order of what is seen.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_CLEAR = "\r\x1b[K"
_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_EVERY_S = 0.1


def harmless(text: str) -> str:
    """`text` with its control characters spelled out: a model's answer is not the user's own."""
    return _CONTROLS.sub(_spelled, text)


def _spelled(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20 or code == 0x7F:
        return "^" + chr(code ^ 0x40)
    return f"<U+{code:04X}>"


def wants_color(stream: TextIO, *, allowed: bool) -> bool:
    """Whether to colour: on a terminal, unless --no-color, NO_COLOR or TERM=dumb says no."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return allowed and stream.isatty() and not plain


class Screen:
    """Standard output. On a terminal text is made harmless; elsewhere it passes as it is."""

    def __init__(self, *, color: bool = True) -> None:
        self._terminal = sys.stdout.isatty()
        if isinstance(sys.stdout, io.TextIOWrapper):
            # A model may say what the encoding of this terminal or pipe lacks.
            sys.stdout.reconfigure(errors="replace")
        self.color = wants_color(sys.stdout, allowed=color)
        self._last = "\n"

    def text(self, piece: str) -> None:
        """A piece of text, at once."""
        self._last = piece[-1:] or self._last
        click.echo(harmless(piece) if self._terminal else piece, nl=False, color=self.color)

    def end(self) -> None:
        """End the last line, if it is not."""
        if self._last != "\n":
            self.text("\n")

    def line(self, text: str, **style: bool | str) -> None:
        """A line of our own, styled where colours are wanted."""
        shown = harmless(text) if self._terminal else text
        click.echo(click.style(shown, **style) if self.color and style else shown, color=self.color)  # type: ignore[arg-type]

    def diff(self, diff: str, encoding: str) -> None:
        """A diff: coloured for people, and for programs byte for byte what `git apply` takes."""
        if not self._terminal:
            sys.stdout.flush()
            sys.stdout.buffer.write(diff.encode(encoding))
            return
        for row in diff.split("\n")[: -1 if diff.endswith("\n") else None]:
            self.line(row, **_style(row))


def _style(row: str) -> dict[str, bool | str]:
    if row.startswith(("diff ", "--- ", "+++ ", "new file ", "index ")):
        return {"bold": True}
    colors = {"@": "cyan", "+": "green", "-": "red"}
    return {"fg": colors[row[0]]} if row[:1] in colors else {}


class Progress:
    """Seconds and tokens so far, in one line that goes away. Shown on a terminal only."""

    def __init__(
        self,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream or sys.stderr
        self._clock = clock
        self._began = clock()
        self._tokens = 0
        self._note = ""
        self._gone = threading.Event()
        self._thread: threading.Thread | None = None
        self.shown = self._stream.isatty() and os.environ.get("TERM") != "dumb"

    def __enter__(self) -> Self:
        if self.shown:
            self._thread = threading.Thread(target=self._turn, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.hide()

    def count(self) -> None:
        """One more token."""
        self._tokens += 1

    def note(self, text: str) -> None:
        """What else to say from now on."""
        self._note = f", {text}"

    def hide(self) -> None:
        """For good: text is about to come."""
        if self._thread is not None:
            self._gone.set()
            self._thread.join()
            self._thread = None
            self._write(_CLEAR)

    @property
    def line(self) -> str:
        """What it says now."""
        seconds = self._clock() - self._began
        frame = _FRAMES[int(seconds / _EVERY_S) % len(_FRAMES)]
        tokens = f", {self._tokens} tokens" if self._tokens else ""
        return f"{frame} {seconds:.0f} s{tokens}{self._note}"

    def _turn(self) -> None:
        while not self._gone.wait(_EVERY_S):
            self._write(_CLEAR + self.line)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
