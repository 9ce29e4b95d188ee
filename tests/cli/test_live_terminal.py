"""The keyboard of a live view: see test_top.py for all of it on a terminal; here, without one."""

from __future__ import annotations

import io
import os
import pty
import signal
import termios
import time
from contextlib import suppress

import pytest

from gateway.cli.live_terminal import Keyboard


class Line(io.StringIO):
    """Standard input on this descriptor."""

    def __init__(self, descriptor: int, *, tty: bool = True) -> None:
        super().__init__()
        self._descriptor, self._tty = descriptor, tty

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return self._tty


@pytest.mark.parametrize(
    ("pressed", "leaves"), [(b"q", True), (b"Q", True), (b"\x04", True), (b"xyz ", False)]
)
def test_q_leaves_and_other_keys_do_nothing(
    monkeypatch: pytest.MonkeyPatch, pressed: bytes, leaves: bool
) -> None:
    master, slave = pty.openpty()
    monkeypatch.setattr("sys.stdin", Line(slave))
    try:
        with Keyboard() as keyboard:
            os.write(master, pressed)
            assert keyboard.wait(10.0 if leaves else 0.1) is leaves
    finally:
        os.close(master)
        os.close(slave)


def test_an_error_inside_leaves_the_line_and_the_signal_as_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    master, slave = pty.openpty()
    was, handler = termios.tcgetattr(slave), signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("sys.stdin", Line(slave))
    try:
        with suppress(ZeroDivisionError), Keyboard():
            assert termios.tcgetattr(slave) != was
            raise ZeroDivisionError
        assert termios.tcgetattr(slave) == was
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        os.close(master)
        os.close(slave)


def test_without_a_terminal_it_only_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Line(-1, tty=False))
    began = time.monotonic()
    with Keyboard() as keyboard:
        assert keyboard.wait(0.05) is False
    assert time.monotonic() - began >= 0.05
