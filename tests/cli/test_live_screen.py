"""Where the picture is drawn: see test_top.py for a real terminal; here, what counts as one."""

from __future__ import annotations

import io

import pytest

from gateway.cli.live_screen import draw, is_terminal
from gateway.cli.live_view import Shown
from tests.cli.test_live_view import a_replica
from tests.domain.test_live import live, worker


class Out(io.TextIOWrapper):
    """Standard output, as a terminal or not."""

    def __init__(self, *, tty: bool, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding, write_through=True)
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty

    @property
    def text(self) -> str:
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode(self.encoding)


SHOWN = Shown("u", live(worker(1), replicas=[a_replica("한 \U0001f642", why="w" * 90)]))


@pytest.fixture(autouse=True)
def usual(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def test_a_terminal_is_one_that_can_be_drawn_on_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", Out(tty=True))
    assert is_terminal()
    monkeypatch.setenv("TERM", "dumb")
    assert not is_terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout", Out(tty=False))
    assert not is_terminal()


def test_a_file_gets_no_colour_and_wide_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Out(tty=False)
    monkeypatch.setattr("sys.stdout", out)
    draw(SHOWN)
    assert "\x1b" not in out.text
    assert "w" * 90 in out.text
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("sys.stdout", narrow := Out(tty=False))
    draw(SHOWN)
    assert max(map(len, narrow.text.splitlines())) <= 60


def test_colours_are_for_terminals_unless_they_are_not_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for no_color, coloured in ((False, True), (True, False)):
        monkeypatch.setattr("sys.stdout", out := Out(tty=True))
        draw(SHOWN, no_color)
        assert ("\x1b[32m" in out.text) is coloured


def test_what_the_encoding_lacks_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", out := Out(tty=False, encoding="euc-kr"))
    draw(SHOWN)
    assert "한 ?" in out.text
