"""`gateway why` through a real gateway: what it tells of a call, and how it ends without one."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from gateway.settings import KeyHash, PolicyEntry, Team, hash_key
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.served import ServedGateway, fleet_on
from tests.client.contract_server import closed_port
from tests.served_command import until
from tests.shared_gateway import forgetful

ASKED = {"model": "m", "messages": [{"role": "user", "content": "the question"}]}
TEAMS = (
    Team(name="ide", keys=(KeyHash(id="ide-1", sha256=hash_key("sk-ide")),)),
    Team(name="web", keys=(KeyHash(id="web-1", sha256=hash_key("sk-web")),)),
    Team(name="ops", keys=(KeyHash(id="ops-1", sha256=hash_key("sk-ops"), roles=("operator",)),)),
)
CHAIN = (PolicyEntry(use="allowlist", settings={"parameters": ["stream"]}),)


@pytest.fixture(scope="module")
def replicas() -> Iterator[list[MockVLLM]]:
    with MockVLLM.start(model="m") as broken, MockVLLM.start(model="m") as well:
        yield [broken, well]


@pytest.fixture(scope="module")
def gateway(replicas: list[MockVLLM]) -> Iterator[ServedGateway]:
    settings = forgetful(
        teams=TEAMS,
        policies=CHAIN,
        identity={"failures": 0},
        prices={"models": {"m": {"input_per_million": 1_000, "output_per_million": 2_000}}},
    )
    with ServedGateway(fleet_on([one.base_url for one in replicas]), settings) as served:
        yield served


def why(gateway: ServedGateway, *arguments: str, key: str = "sk-ide") -> Result:
    environ = {"GATEWAY_URL": gateway.url, "GATEWAY_API_KEY": key}
    return CliRunner().invoke(main, ["why", *arguments], env=environ)


def ask(gateway: ServedGateway, call_id: str, **more: object) -> None:
    headers = {"authorization": "Bearer sk-ide", "x-request-id": call_id}
    url = f"{gateway.url}/v1/chat/completions"
    httpx.post(url, json=ASKED | more, headers=headers, timeout=30)
    until(lambda: ": running" not in why(gateway, call_id).output, 20, "settled")


def test_a_retried_call_is_told_with_what_failed_what_decided_and_what_it_cost(
    gateway: ServedGateway, replicas: list[MockVLLM]
) -> None:
    replicas[0].script(Behaviour(status=500))
    told = ""
    for number in range(30):
        ask(gateway, f"r{number}")
        told = why(gateway, f"r{number}").output
        if "server_error" in told:
            break
    replicas[0].renew()
    lines = told.splitlines()
    assert lines[0].startswith(f"r{number}: completed (200); ")
    assert "  by        team ide, key ide-1" in lines
    assert "policy allowlist: allowed" in told
    assert "chose r0 for m of " in told
    assert "  1  r0  " in told
    assert "server_error: had an error of its own (5xx)" in told
    assert "  2  r1  " in told
    assert "Tokens: " in told
    assert "Cost: 0.0" in told
    assert "trace     " in told
    assert "the question" not in told


def test_a_call_that_a_policy_refused_says_which(gateway: ServedGateway) -> None:
    ask(gateway, "refused", max_tokens=1_000)
    told = why(gateway, "refused").output
    assert told.startswith("refused: refused (4")
    assert "policy allowlist: refused (" in told
    assert "No replica was tried." in told


def test_a_call_that_runs_says_where_it_stands(
    gateway: ServedGateway, replicas: list[MockVLLM]
) -> None:
    for one in replicas:
        one.script(Behaviour(tokens=400, delay_between=0.05))
    headers = {"authorization": "Bearer sk-ide", "x-request-id": "runs"}
    url, asked = f"{gateway.url}/v1/chat/completions", ASKED | {"stream": True}
    with httpx.stream("POST", url, json=asked, headers=headers) as answer:
        pieces = answer.iter_raw()
        next(pieces)
        told = why(gateway, "runs").output
    for one in replicas:
        one.renew()
    assert told.startswith("runs: running; ")
    assert "  now       the answer is on its way\n" in told


def test_calls_that_share_an_id_are_all_told(gateway: ServedGateway) -> None:
    ask(gateway, "same")
    ask(gateway, "same")
    told = why(gateway, "same").output
    assert told.count("same: completed") == 2
    assert told.endswith("2 calls bear that id, the newest first: clients choose ids.\n")


def test_programs_get_json(gateway: ServedGateway) -> None:
    ask(gateway, "a")
    (record,) = json.loads(why(gateway, "a", "--json").output)
    assert (record["request_id"], record["outcome"]) == ("a", "completed")


def test_who_may_not_see_a_call_hears_the_same_as_of_one_that_never_was(
    gateway: ServedGateway,
) -> None:
    ask(gateway, "mine")
    assert why(gateway, "mine", key="sk-ops").output.startswith("mine: completed")
    others = why(gateway, "mine", key="sk-web")
    never = why(gateway, "never")
    assert (others.exit_code, never.exit_code) == (1, 1)
    assert never.output.startswith("gateway: nobody here knows a call never. ")
    assert others.output == never.output.replace("never", "mine")


def test_without_a_good_key_it_is_refused(gateway: ServedGateway) -> None:
    result = why(gateway, "a", key="sk-wrong")
    assert result.exit_code == 3
    assert "That key is not known here. Here: set GATEWAY_API_KEY." in result.output


def test_an_id_may_be_anything_and_reaches_nothing_else(gateway: ServedGateway) -> None:
    for name in ("../admin/keys", "a/b", "a?running=false", "한", "\x1b[2J"):
        result = why(gateway, name, key="sk-ops")
        assert result.exit_code in (1, 3), name
        assert "\x1b" not in result.output


def test_where_nothing_is_kept_or_nobody_is_there_it_says_so(replicas: list[MockVLLM]) -> None:
    with ServedGateway(fleet_on([replicas[1].base_url]), forgetful(records={"keep": 0})) as forgets:
        result = why(forgets, "a")
    assert result.exit_code == 1
    assert "keeps no records of calls: records.keep is 0" in result.output
    gone = CliRunner().invoke(main, ["why", "a", "--url", f"http://127.0.0.1:{closed_port()}"])
    assert gone.exit_code == 3
    assert "is the gateway running at" in gone.output
