"""`gateway top` with a real gateway: once, as JSON, on a real terminal, and where it may not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator

import httpx
import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.settings import KeyHash, Team, hash_key
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.served import ServedGateway, fleet_on
from tests.cli.terminals import terminal
from tests.client.contract_server import closed_port
from tests.shared_gateway import forgetful

TEAMS = (
    Team(name="ide", keys=(KeyHash(id="ide-1", sha256=hash_key("sk-ide")),)),
    Team(name="ops", keys=(KeyHash(id="ops-1", sha256=hash_key("sk-ops"), roles=("operator",)),)),
)
ON, OFF = b"\x1b[?1049h", b"\x1b[?1049l"
COLOUR = b"\x1b[32m"


@pytest.fixture(scope="module")
def gateway() -> Iterator[ServedGateway]:
    """With one stream that runs for as long as the tests do."""
    with MockVLLM.start(model="m") as mock:
        mock.script(Behaviour(tokens=5_000, delay_between=0.1))
        settings = forgetful(teams=TEAMS, identity={"failures": 0})
        body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
        headers = {"authorization": "Bearer sk-ide", "x-request-id": "the-long-one"}
        with ServedGateway(fleet_on([mock.base_url]), settings) as served:
            url = f"{served.url}/v1/chat/completions"
            with httpx.stream("POST", url, json=body, headers=headers, timeout=60) as answer:
                pieces = answer.iter_raw()
                next(pieces)
                yield served


@pytest.fixture
def environ(gateway: ServedGateway, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr(sys.modules["gateway.cli.top"], "_ONCE_SECONDS", 0.3)
    return {"GATEWAY_URL": gateway.url, "GATEWAY_API_KEY": "sk-ops"}


def test_once_is_one_picture_with_rates(environ: dict[str, str]) -> None:
    result = CliRunner().invoke(main, ["top", "--once", "--interval", "0.3"], env=environ)
    assert result.exit_code == 0, result.output
    told = [" ".join(line.split()) for line in result.output.splitlines()]
    assert "- requests/s" not in result.output
    assert "1 running: 1 answering" in told
    assert any(line.startswith("r0 m healthy ") for line in told)
    assert any("answering m ide r0" in line and "the-long-one" in line for line in told)
    assert any(line.startswith("ide 1 0 0 ") for line in told)
    assert "\x1b" not in result.output


def test_json_is_for_programs_and_has_the_rates_too(environ: dict[str, str]) -> None:
    asked = ["top", "--once", "--json", "--interval", "0.3"]
    told = json.loads(CliRunner().invoke(main, asked, env=environ).output)
    assert told["slowest"][0]["id"] == "the-long-one"
    assert told["rates"]["completion_tokens"] > 0
    assert told["team_rates"]["ide"] == told["rates"]


def test_json_without_an_end_is_a_line_at_each_look(environ: dict[str, str]) -> None:
    command = [sys.executable, "-m", "gateway", "top", "--json", "--interval", "0.2"]
    given = {"GATEWAY_URL": environ["GATEWAY_URL"], "GATEWAY_API_KEY": "sk-ops"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=_with(given)) as process:
        assert process.stdout is not None
        lines = [json.loads(process.stdout.readline()) for _ in range(3)]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert all(line["slowest"] for line in lines)


def test_who_may_not_and_where_nobody_is_are_told(environ: dict[str, str]) -> None:
    run = CliRunner().invoke
    asked = ["top", "--once"]
    no_role = run(main, asked, env=environ | {"GATEWAY_API_KEY": "sk-ide"})
    assert no_role.exit_code == 3
    assert "This needs a key with the role operator" in no_role.output
    no_key = run(main, asked, env=environ | {"GATEWAY_API_KEY": ""})
    assert (no_key.exit_code, "set GATEWAY_API_KEY" in no_key.output) == (3, True)
    nobody = run(main, asked, env=environ | {"GATEWAY_URL": f"http://127.0.0.1:{closed_port()}"})
    assert (nobody.exit_code, "is the gateway running at" in nobody.output) == (3, True)
    assert run(main, ["top", "--interval", "0"], env=environ).exit_code == 2


# ---- On a terminal -------------------------------------------------------------------------------


def _with(given: dict[str, str]) -> dict[str, str]:
    return {**os.environ, **given}


def test_it_draws_again_and_again_and_q_leaves_the_terminal_as_it_was(
    environ: dict[str, str],
) -> None:
    with terminal("top", "--interval", "0.2", **environ) as screen:
        screen.until(lambda: screen.read.count(b"the-long-one") >= 3, "drawn three times")
        assert not screen.settings[3] & termios.ECHO  # type: ignore[operator]
        assert COLOUR in screen.read
        screen.type(b"x\x1aq")  # Ctrl-Z would leave the view standing
        assert screen.ended() == 0
        assert screen.settings == screen.was
    assert (screen.read.count(ON), screen.read.count(OFF)) == (1, 1)
    assert screen.read.rstrip().endswith(OFF) or screen.read.rfind(OFF) > screen.read.rfind(ON)
    assert screen.read.count(b"\x1b[?25h") >= 1


@pytest.mark.parametrize(
    ("how", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
def test_ending_it_leaves_the_terminal_as_it_was(
    environ: dict[str, str], how: signal.Signals, status: int
) -> None:
    with terminal("top", **environ) as screen:
        screen.until(lambda: b"the-long-one" in screen.read, "drawn")
        if how is signal.SIGINT:
            screen.type(b"\x03")
        else:
            screen.process.send_signal(how)
        assert screen.ended() == status
        assert screen.settings == screen.was
    assert (screen.read.count(ON), screen.read.count(OFF)) == (1, 1)
    assert b"Traceback" not in screen.read


def test_a_window_that_changes_its_size_is_drawn_anew_at_once(environ: dict[str, str]) -> None:
    with terminal("top", "--interval", "3600", rows=24, columns=120, **environ) as screen:
        screen.until(lambda: b"the-long-one" in screen.read, "drawn")
        drawn = len(screen.read)
        screen.resize(14, 90)
        screen.until(lambda: b"the-long-one" in screen.read[drawn:], "drawn anew")
        lines = screen.frame.split("\r\n")
        screen.type(b"q")
        assert screen.ended() == 0
    assert len(lines) <= 14


def test_no_color_is_heeded(environ: dict[str, str]) -> None:
    with terminal("top", **environ, NO_COLOR="1") as screen:
        screen.until(lambda: b"the-long-one" in screen.read, "drawn")
        screen.type(b"q")
        screen.ended()
    assert b"\x1b[1m" not in screen.read
    assert COLOUR not in screen.read


def test_a_terminal_that_can_do_nothing_gets_one_picture(environ: dict[str, str]) -> None:
    with terminal("top", "--interval", "0.2", **environ, TERM="dumb") as screen:
        assert screen.ended() == 0
    assert b"the-long-one" in screen.read
    assert b"\x1b" not in screen.read
