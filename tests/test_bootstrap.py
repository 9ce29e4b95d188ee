"""Which models there are, what `gateway check` finds, and a server that comes up late."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from gateway import bootstrap
from gateway.adapters.litellm_config import LiteLLMConfig
from gateway.bootstrap import Fleet, Gateway, check, fleet_of, keys_of, open_gateway, timeouts_of
from gateway.client import LLMError, chat
from gateway.domain.document import ConfigError
from gateway.settings import KeyHash, Paths, PolicyEntry, Settings, Team
from gateway.testing.mock_vllm import MockVLLM
from gateway.testing.served import fleet_on
from gateway.web.ops import readiness

MESSAGES = [{"role": "user", "content": "hi"}]
MODELS = """
model_list:
  - model_name: m
    litellm_params: {model: hosted_vllm/m, api_base: http://127.0.0.1:9/v1}
  - model_name: m
    litellm_params: {model: hosted_vllm/m, api_base: http://127.0.0.1:10/v1}
"""


def with_models(tmp_path: Path, text: str = MODELS, *, given: bool = False) -> Settings:
    file = tmp_path / "litellm_config.yaml"
    file.write_text(text)
    return Settings(paths=Paths(litellm_config=file, litellm_config_given=given))


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.01)


def test_with_nothing_configured_the_embedded_model_is_the_fleet() -> None:
    fleet = fleet_of(Settings(), "http://127.0.0.1:5/v1")
    assert (fleet.source, fleet.base_url, fleet.config) == (
        "embedded",
        "http://127.0.0.1:5/v1",
        None,
    )


def test_a_server_in_the_environment_is_the_fleet_and_its_key_is_not_shown() -> None:
    upstream = {"base_url": "http://gpu:8001/v1", "api_key": SecretStr("sk-up")}
    fleet = fleet_of(Settings(upstream=upstream))  # type: ignore[arg-type]
    assert (fleet.source, fleet.base_url, fleet.key) == ("upstream", "http://gpu:8001/v1", "sk-up")
    assert "sk-up" not in repr(fleet)


def test_a_file_with_models_wins_over_the_environment(tmp_path: Path) -> None:
    file = with_models(tmp_path)
    settings = Settings(paths=file.paths, upstream={"base_url": "http://gpu/v1"})  # type: ignore[arg-type]
    fleet = fleet_of(settings)
    assert fleet.source == "file"
    assert fleet.config is not None
    assert len(fleet.config.model_list) == 2


def test_a_named_file_without_models_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        fleet_of(with_models(tmp_path, "model_list: []\n", given=True))


def test_keys_become_callers_by_their_hash() -> None:
    team = Team(name="ide", keys=(KeyHash(id="ide-1", sha256="a" * 64),))
    (caller,) = keys_of(Settings(teams=(team,))).values()
    assert (caller.team, caller.key_id) == ("ide", "ide-1")


def test_settings_reach_the_rooms() -> None:
    settings = Settings(timeouts={"total_s": 7, "idle_s": 3})  # type: ignore[arg-type]
    assert (timeouts_of(settings).total, timeouts_of(settings).idle) == (7, 3)


@pytest.mark.parametrize(("theirs", "limit"), [(None, 3), (0, 0), (1, 1), (9, 3)])
def test_litellms_num_retries_can_only_lower_the_limit(theirs: int | None, limit: int) -> None:
    router = {} if theirs is None else {"num_retries": theirs}
    fleet = Fleet("file", LiteLLMConfig(router_settings=router))
    assert bootstrap._retry_limit(fleet, 3) == limit


def test_check_says_a_line_for_each_thing_that_is_fine(tmp_path: Path) -> None:
    report = check(with_models(tmp_path))
    assert report.problems == []
    assert report.lines[0] == "models: 1 (m) on 2 replica(s)"
    assert any(line.startswith("prompts: 2 (code/explain") for line in report.lines)


def test_check_finds_all_problems_at_once(tmp_path: Path) -> None:
    (tmp_path / "prompts" / "code").mkdir(parents=True)
    (tmp_path / "prompts" / "code" / "x.prompt.j2").write_text("no front matter")
    broken = with_models(tmp_path, "model_list: [{model_name: m}]\n").paths
    settings = Settings(
        server={"host": "0.0.0.0"},  # type: ignore[arg-type]
        paths=Paths(litellm_config=broken.litellm_config, prompts_dir=tmp_path / "prompts"),
        policies=(PolicyEntry(use="alowlist"),),
    )
    found = " ".join(str(problem) for problem in check(settings).problems)
    for words in ("0.0.0.0 can be reached", "litellm_params", "x.prompt.j2", "alowlist"):
        assert words in found


def test_check_needs_no_litellm() -> None:
    code = (
        "import sys; from gateway.bootstrap import check; from gateway.settings import Settings;"
        "assert not check(Settings()).problems; sys.exit('litellm' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_a_gateway_without_http_answers(mock_vllm: MockVLLM) -> None:
    async with open_gateway(Settings(), fleet_on([mock_vllm.base_url], model="mock")) as gateway:
        answer = await chat(gateway.answers, MESSAGES, model="mock")
    assert answer.text
    assert answer.finish_reason == "stop"


async def test_a_server_that_comes_up_late_is_found(
    mock_vllm: MockVLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "_ASK_AGAIN_SECONDS", 0.02)
    mock_vllm.refuse()
    gateway = Gateway(Settings(), Fleet("upstream", None, mock_vllm.base_url))
    async with gateway.running():
        assert gateway.router.models() == ()
        assert "cannot be reached" in gateway.trouble
        with pytest.raises(LLMError):
            await chat(gateway.answers, MESSAGES, model="mock")
        mock_vllm.accept()
        await until(lambda: gateway.router.models() == ("mock",))
        assert gateway.trouble == ""
        assert (await chat(gateway.answers, MESSAGES, model="mock")).text


async def test_names_that_change_are_taken_over_and_a_server_that_is_gone_keeps_them(
    mock_vllm_factory: Callable[..., MockVLLM], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "_LOOK_AGAIN_SECONDS", 0.02)
    monkeypatch.setattr(bootstrap, "_ASK_AGAIN_SECONDS", 0.02)
    mock = mock_vllm_factory(model="old")
    gateway = Gateway(Settings(), Fleet("upstream", None, mock.base_url))
    async with gateway.running():
        assert gateway.router.models() == ("old",)
        assert (await readiness(gateway)).ready
        mock.refuse()
        await until(lambda: gateway.trouble != "")
        assert gateway.router.models() == ("old",)
        gone = await readiness(gateway)
        assert not gone.ready
        assert "cannot be reached" in gone.reason
        mock.accept()
        await until(lambda: gateway.trouble == "")
        assert (await readiness(gateway)).ready
        mock.script({"path": "/v1/models", "body": '{"data": [{"id": "new"}]}'})
        await until(lambda: gateway.router.models() == ("new",))
