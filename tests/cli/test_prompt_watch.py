"""`gateway prompts watch`: what it says at once, after a save, and while files are gone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.cli import prompt_watch
from tests.adapters.prompt_folders import BODY, folder
from tests.cli.conftest import CommandLine

BROKEN = BODY.replace("{{ code }}", "{{ cod }}")


class Author:
    """Works while the command waits: one step each time, then Ctrl-C."""

    def __init__(self, steps: list[Callable[[], object]]) -> None:
        self._steps = iter(steps)

    def sleep(self, seconds: float) -> None:
        assert 0 < seconds <= 0.2
        step = next(self._steps, None)
        if step is None:
            raise KeyboardInterrupt
        step()


@pytest.fixture
def watched(
    gateway_command: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[str]]:
    """What `gateway prompts watch OPTIONS` prints, by line, while an author takes these steps."""

    def run(*options: str, steps: list[Callable[[], object]]) -> list[str]:
        monkeypatch.setattr(prompt_watch.time, "sleep", Author(steps).sleep)
        result = gateway_command("prompts", "watch", *options)
        assert result.exit_code == 0, result.output
        return result.output.splitlines()

    folder(gateway_command.folder / "prompts")
    return run


def rest() -> None:
    """Nothing is done for the length of one look."""


def save(body: str) -> Callable[[], object]:
    # The content is of another length: two saves may fall into one tick of the file's clock.
    return lambda: folder(Path("prompts"), body=body)


def test_it_tells_at_once_and_after_each_save(watched: Callable[..., list[str]]) -> None:
    lines = watched(steps=[save(BROKEN), rest, rest, save(BODY), rest])

    verdicts = [line[9:] for line in lines if "passed" in line]
    assert verdicts == [
        "0 errors, 0 warnings, 1 passed",
        "1 errors, 0 warnings, 0 passed",
        "0 errors, 0 warnings, 1 passed",
    ]
    assert any("E110 'cod' is not declared" in line for line in lines)


def test_it_waits_until_a_save_is_over(watched: Callable[..., list[str]]) -> None:
    lines = watched(steps=[save(BROKEN), save(BODY + "\n"), rest])

    assert [line[9:] for line in lines] == ["0 errors, 0 warnings, 1 passed"] * 2


def test_it_says_nothing_where_nothing_changes(watched: Callable[..., list[str]]) -> None:
    assert len(watched(steps=[rest, rest, rest])) == 1


def test_it_waits_for_a_file_that_is_not_there_yet(watched: Callable[..., list[str]]) -> None:
    file = Path("prompts", "code", "x.prompt.j2")

    lines = watched("code/x", steps=[file.unlink, rest, save(BODY), rest])

    assert lines[1] == "gateway: There is no prompt 'code/x'; nothing is known here"
    assert lines[2].endswith("1 passed")


def test_it_shows_the_messages_where_asked(watched: Callable[..., list[str]]) -> None:
    lines = watched("code/x", "--render", steps=[])

    assert {"CODE", "ASK"} <= set(lines)
    assert any(line.startswith("tokens   about ") for line in lines)
