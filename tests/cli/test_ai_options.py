"""How a command of `gateway ai` ends, and the options that they share."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.cli.ai_options import ending
from gateway.cli.ai_writing import NotWritten
from gateway.client import (
    ConnectionFailed,
    NothingToApply,
    StaleFile,
    StatusError,
    StreamTruncated,
    UnusableFile,
)
from gateway.client.errors import Trouble


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NothingToApply("x"), 1),
        (StaleFile("a", "b"), 1),
        (NotWritten("x"), 1),
        (UnusableFile("x"), 2),
        (FileNotFoundError(2, "No such file", "x"), 2),
        (StatusError(503, Trouble("x")), 3),
        (ConnectionFailed("x"), 3),
        (StreamTruncated("x"), 3),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_failure_has_its_status(
    error: BaseException, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught, ending():
        raise error
    assert caught.value.code == status
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("gateway: ") is (status != 130)


def test_a_mistake_of_ours_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), ending():
        raise ZeroDivisionError
    with pytest.raises(BrokenPipeError), ending():
        raise BrokenPipeError


def test_what_a_gateway_says_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), ending():
        raise StatusError(400, Trouble("\x1b[2J"))
    assert "^[[2J" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "has", "lacks"),
    [
        ("explain", ("--related", "--no-rules", "--encoding", "--json"), ("--apply",)),
        ("rewrite", ("--apply", "--repair", "--related"), ("--diagnostics",)),
        ("docstring", ("--apply",), ()),
        ("fix", ("--apply", "--diagnostics"), ()),
        ("review", ("--related",), ("--apply",)),
        ("tests", ("--apply", "--output"), ("--repair",)),
        ("commit-message", ("--instruction", "--url"), ("--related", "--apply")),
        ("chat", ("--file", "--related"), ("--apply",)),
    ],
)
def test_each_command_has_its_options(
    command: str, has: tuple[str, ...], lacks: tuple[str, ...]
) -> None:
    shown = CliRunner().invoke(main, ["ai", command, "--help"]).output
    for option in (*has, "--url", "--key", "--model", "--language", "--no-color", "--timeout"):
        assert option in shown
    for option in lacks:
        assert option not in shown
