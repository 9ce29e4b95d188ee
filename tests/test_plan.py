"""Which models there are, and what `gateway check` finds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from gateway.adapters.litellm_config import LiteLLMConfig
from gateway.domain.call import Usage
from gateway.domain.document import ConfigError
from gateway.plan import (
    Fleet,
    check,
    fleet_of,
    places,
    plan_of,
    read,
    retry_limit,
)
from gateway.settings import Paths, PolicyEntry, Settings
from gateway.settings.limits import Limits
from gateway.testing.served import fleet_on

MODELS = """
model_list:
  - model_name: m
    litellm_params: {model: hosted_vllm/m, api_base: http://127.0.0.1:9/v1}
  - model_name: m
    litellm_params: {model: hosted_vllm/m, api_base: http://127.0.0.1:10/v1}
"""


POLICY = """
from gateway import Call, Policy

class Mine(Policy):
    async def before(self, call: Call) -> None:
        pass
"""


def with_models(tmp_path: Path, text: str = MODELS, *, given: bool = False) -> Settings:
    file = tmp_path / "litellm_config.yaml"
    file.write_text(text)
    return Settings(paths=Paths(litellm_config=file, litellm_config_given=given))


def keys_line(settings: Settings) -> str:
    return next(line for line in read(settings)[1].lines if line.startswith("keys:"))


def test_the_check_tells_who_gets_in_without_a_key(tmp_path: Path) -> None:
    settings = with_models(tmp_path)
    assert "every caller on loopback is let in" in keys_line(settings)
    required = settings.identity.model_copy(update={"required": True})
    settings = settings.model_copy(update={"identity": required})
    assert keys_line(settings) == "keys: none here; calls need one all the same (identity)"


def test_the_check_tells_of_metrics_that_other_machines_may_read(tmp_path: Path) -> None:
    def lines(host: str) -> list[str]:
        settings = with_models(tmp_path)
        server = settings.server.model_copy(update={"host": host})
        every = read(settings.model_copy(update={"server": server}))[1].lines
        return [line for line in every if line.startswith("metrics:")]

    assert lines("127.0.0.1") == []
    [line] = lines("0.0.0.0")
    assert "0.0.0.0" in line


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


@pytest.mark.parametrize(("theirs", "limit"), [(None, 3), (0, 0), (1, 1), (9, 3)])
def test_litellms_num_retries_can_only_lower_the_limit(theirs: int | None, limit: int) -> None:
    router = {} if theirs is None else {"num_retries": theirs}
    fleet = Fleet("file", LiteLLMConfig(router_settings=router))
    assert retry_limit(fleet, 3) == limit


def test_check_says_a_line_for_each_thing_that_is_fine(tmp_path: Path) -> None:
    report = check(with_models(tmp_path))
    assert report.problems == []
    assert report.lines[0] == "models: 1 (m) on 2 replica(s)"
    assert any(line.startswith("prompts: 9 (code/chat") for line in report.lines)


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
        "import sys; from gateway.plan import check; from gateway.settings import Settings;"
        "assert not check(Settings()).problems; sys.exit('litellm' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_policies_that_have_not_changed_are_kept_with_what_they_remember(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(POLICY)
    settings = Settings(
        paths=Paths(policies_dir=tmp_path), policies=(PolicyEntry(use="mine", line=3),)
    )
    before = plan_of(settings, fleet_on(["http://127.0.0.1:9/v1"]))
    same, _ = read(settings, before)
    assert same is not None
    assert same.chain is before.chain
    (tmp_path / "mine.py").write_text(POLICY + "# edited")
    other, _ = read(settings, before)
    assert other is not None
    assert other.chain is not before.chain


def test_all_files_that_matter_are_watched(tmp_path: Path) -> None:
    settings = Settings(paths=Paths(config_dir=tmp_path))
    watched = places(settings)
    for name in ("gateway.yaml", "teams.yaml", "policies.yaml"):
        assert tmp_path / name in watched
    paths = settings.paths
    assert {paths.litellm_config, paths.prompts_dir, paths.policies_dir} <= set(watched)


def test_limits_for_a_model_that_does_not_exist_are_a_problem(tmp_path: Path) -> None:
    settings = with_models(tmp_path, MODELS.replace("model_name: m", "model_name: coder"))
    for name, fine in (("coder", True), ("codr", False)):
        limits = Limits.model_validate({"models": {name: {"n": 3}}})
        problems = check(settings.model_copy(update={"limits": limits})).problems
        assert not problems if fine else "did you mean 'coder'?" in str(problems[0])


def test_records_in_redis_are_told_without_the_password() -> None:
    records = {"redis_url": "redis://:hunter2@cache:7000/1"}
    report = check(Settings(records=records))  # type: ignore[arg-type]
    assert "records: the newest 10000 in redis://cache:7000" in report.lines
    assert "hunter2" not in str(report)


def test_records_in_redis_without_its_package_are_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    records = {"redis_url": "redis://:hunter2@cache"}
    (problem,) = check(Settings(records=records)).problems  # type: ignore[arg-type]
    assert problem.file == "records.redis_url"
    assert "pip install 'vllm-gateway[redis]'" in str(problem)
    assert "hunter2" not in str(problem)
    assert not check(Settings()).problems


def test_prices_are_part_of_a_plan_and_told() -> None:
    settings = Settings(prices={"models": {"m": {"input_per_million": 2}}})  # type: ignore[arg-type]
    plan, report = read(settings)
    assert plan is not None
    assert plan.prices.cost("m", Usage(prompt=10)) == 20
    assert "prices: m" in report.lines


def test_shared_counters_are_told_without_the_password() -> None:
    state = {"redis_url": "redis://:hunter2@cache:7000/1"}
    report = check(Settings(state=state))  # type: ignore[arg-type]
    assert "counters: redis://cache:7000" in report.lines
    assert "hunter2" not in str(report)
