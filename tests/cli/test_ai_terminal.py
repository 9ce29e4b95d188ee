"""What is shown: colours on a terminal alone, and no text that steers it."""

from __future__ import annotations

import io
import threading

import pytest

from gateway.cli.ai_terminal import Progress, Screen, harmless, wants_color

DIFF = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-한\n+\x1b[2J\r\n"


class Terminal(io.TextIOWrapper):
    """Standard output as a terminal, or not."""

    def __init__(self, *, tty: bool) -> None:
        super().__init__(io.BytesIO(), "utf-8", newline="\n", write_through=True)
        self._tty = tty
        self.wrote = threading.Event()

    def isatty(self) -> bool:
        return self._tty

    def write(self, text: str) -> int:
        count = super().write(text)
        self.wrote.set()
        return count

    @property
    def raw(self) -> bytes:
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue()


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> type[Terminal]:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal


def shown(terminal: Terminal, monkeypatch: pytest.MonkeyPatch, *, color: bool = True) -> bytes:
    monkeypatch.setattr("sys.stdout", terminal)
    screen = Screen(color=color)
    screen.diff(DIFF, "cp949")
    return terminal.raw


def test_programs_get_the_bytes_that_git_applies(
    on: type[Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shown(on(tty=False), monkeypatch) == DIFF.encode("cp949")


def test_people_get_colours_and_no_control_character(
    on: type[Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = shown(on(tty=True), monkeypatch).decode()
    assert "\x1b[32m+^[[2J^M\x1b[0m\n" in raw
    assert "\x1b[31m-한\x1b[0m\n" in raw
    assert "\x1b[2J" not in raw


def test_no_color_is_heeded(on: type[Terminal], monkeypatch: pytest.MonkeyPatch) -> None:
    assert b"\x1b" not in shown(on(tty=True), monkeypatch, color=False)
    monkeypatch.setenv("NO_COLOR", "1")
    assert b"\x1b" not in shown(on(tty=True), monkeypatch)
    monkeypatch.setenv("NO_COLOR", "")
    assert wants_color(on(tty=True), allowed=True)
    monkeypatch.setenv("TERM", "dumb")
    assert not wants_color(on(tty=True), allowed=True)


def test_streamed_text_cannot_steer_a_terminal(
    on: type[Terminal], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = on(tty=True)
    monkeypatch.setattr("sys.stdout", terminal)
    screen = Screen()
    screen.text("a\x1b[2J")
    screen.line("b\x07")
    assert terminal.raw == b"a^[[2Jb^G\n"


def test_text_is_ended_once(on: type[Terminal], monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = on(tty=False)
    monkeypatch.setattr("sys.stdout", terminal)
    screen = Screen()
    for piece in ("a", "", "\x07"):
        screen.text(piece)
    screen.end()
    screen.end()
    assert terminal.raw == b"a\x07\n"


def test_control_characters_are_spelled_out() -> None:
    assert harmless("a\tb\nc\x1b]0;x\x07\x9b\u202e한") == "a\tb\nc^[]0;x^G<U+009B><U+202E>한"


def test_progress_is_seconds_and_tokens(on: type[Terminal]) -> None:
    now = [0.0]
    progress = Progress(on(tty=True), lambda: now[0])
    now[0] = 3.0
    assert progress.line.endswith(" 3 s")
    progress.count()
    progress.count()
    progress.note("asked again")
    assert progress.line.endswith(" 3 s, 2 tokens, asked again")


def test_progress_is_for_terminals_and_goes_away(on: type[Terminal]) -> None:
    terminal = on(tty=True)
    with Progress(terminal):
        assert terminal.wrote.wait(20)
    assert terminal.raw.endswith(b"\r\x1b[K")
    silent = on(tty=False)
    with Progress(silent) as progress:
        assert not progress.shown
    assert silent.raw == b""


def test_what_the_encoding_of_the_output_lacks_does_not_end_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, "euc-kr", write_through=True))
    Screen().text("한 \U0001f642 é")
    assert raw.getvalue().decode("euc-kr") == "한 ? ?"
