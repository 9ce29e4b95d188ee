"""The picture of a gateway: what is in it, what is left out of a small one, nothing that steers."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from gateway.cli.live_view import Shown, picture
from gateway.domain.live import LiveQueue, LiveTeam, Rates
from tests.domain.test_live import call, count, live, replica, worker

RATES = Rates(
    requests=12.34,
    refused=0.0,
    cancelled=0.5,
    failed=1.0,
    prompt_tokens=250.4,
    completion_tokens=1203.0,
)


def a_replica(name: str, state: str = "healthy", **more: Any) -> dict[str, Any]:
    fault = {"last_fault": None, "last_fault_seconds": None, "seconds": 90.0, "states": {state: 1}}
    return replica(state, **{"id": name, "why": "", **fault, **more})


def drawn(shown: Shown, *, width: int = 120, height: int | None = None) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(picture(shown, height))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def busy(**parts: Any) -> Shown:
    usual: dict[str, Any] = {
        "replicas": [
            a_replica("gpu-1", in_flight=3, waiting=2.0, kv=0.5),
            a_replica("gpu-2", "cooling", why="server_error", last_fault="timeout",
                      last_fault_seconds=4.0, states={"cooling": 1, "healthy": 3}),
        ],
        "queues": [LiveQueue(model="coder", running=4, slots=8, waiting=2)],
        "phases": {"answering": 3, "queued": 2, "handing_over": 1},
        "slowest": [call(f"req-{number}", 40.0 - number) for number in range(30)],
        "teams": [LiveTeam(team="ide", running=6, queued=2)],
    }  # fmt: skip
    told = live(worker(1, 7300.0, ide=count()), **{**usual, **parts})
    return Shown("http://gateway.test", told, (RATES, {"ide": RATES}))


def test_everything_is_in_it() -> None:
    lines = drawn(busy())
    assert lines[0] == "vllm-gateway 1 at http://gateway.test, up 2 h"
    assert lines[1].split("   ") == [
        "12.3 requests/s",
        "tokens/s: 1203 out, 250 in",
        *("1.0 failed/s", "0 refused/s", "0.5 cancelled/s"),
    ]
    assert lines[2] == "6 running: 3 answering, 2 queued, 1 handing over"
    told = [" ".join(line.split()) for line in lines]
    assert "gpu-2 m cooling (1 of 4) 90 s 0 - - server_error, timeout 4.0 s ago" in told
    assert "gpu-1 m healthy 90 s 3 2 50%" in told
    assert "coder 4 8 2" in told
    assert "40 s answering m ide r0 - 1 req-0" in told
    assert "ide 6 2 12.3 1203 1.0 0" in told
    assert sum("req-" in line for line in lines) == 30


def test_who_is_in_trouble_comes_first() -> None:
    lines = drawn(busy())
    assert [line[:5] for line in lines if line.startswith("gpu-")] == ["gpu-2", "gpu-1"]


@pytest.mark.parametrize("height", [14, 16, 20, 24, 40, 60])
def test_it_fits_the_screen_and_says_what_is_left_out(height: int) -> None:
    many = [a_replica(f"gpu-{number}") for number in range(20)]
    lines = drawn(busy(replicas=many), height=height)
    shown = sum(line.startswith("gpu-") for line in lines)
    assert len(lines) <= height or height < 20
    assert any(f"… {20 - shown} more" in line for line in lines) == (shown < 20)
    if height >= 20:
        assert height - len(lines) <= 1, "no line is wasted"


@pytest.mark.parametrize("width", [80, 100, 160])
def test_a_request_id_is_whole_where_names_are_cut(width: int) -> None:
    name = "req-0123456789abcdef0123456789abcdef"
    long = call(name, 1.0) | {"model": "organisation/" + "x" * 80, "team": "a-team-of-many"}
    lines = drawn(busy(slowest=[long]), width=width)
    assert any(line.endswith(name) for line in lines)
    assert all(len(line) <= width for line in lines)


def test_workers_that_do_not_answer_and_trouble_are_told() -> None:
    three = drawn(busy(workers=[worker(1), worker(2)], silent=1))
    assert three[0].endswith(", 2 of 3 workers answer")
    assert drawn(busy(workers=[worker(1), worker(2)]))[0].endswith(", 2 workers")
    gone = drawn(Shown("u", live(worker(1)), None, "No answer for 3 s"))
    assert gone[3] == "No answer for 3 s"
    assert gone[1].startswith("- requests/s   tokens/s: - out, - in")
    assert gone[-1] == "No request runs."


def test_no_name_can_steer_the_terminal_or_the_style() -> None:
    evil = [a_replica("\x1b[2Jgpu", why="[bold]b[/bold]\r\x07")]
    text = "\n".join(drawn(busy(replicas=evil, slowest=[call("\x1b]0;x\x07", 1.0)])))
    assert "\x1b" not in text
    assert "^[[2Jgpu" in text
    assert "[bold]b[/bold]^M^G" in text
