"""litellm_config.yaml: what is read, what is passed on to LiteLLM's Router, which source wins."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.adapters.litellm_config import LiteLLMConfig, from_upstream, read, source
from gateway.adapters.litellm_router import LiteLLMRouter
from gateway.domain.document import ConfigError
from gateway.settings import shipped

TWO_REPLICAS = """\
model_list:
  - model_name: coder
    litellm_params:
      model: hosted_vllm/Qwen/Qwen3
      api_base: http://gpu-1:8000/v1/
      api_key: os.environ/GPU_KEY
      temperature: 0.2
      max_parallel_requests: 8
    model_info: {id: gpu-1, max_input_tokens: 4096}
  - model_name: coder
    litellm_params: {model: openai/qwen, base_url: "http://gpu-2:8000/v1", weight: 2}
  - model_name: coder
    litellm_params: {model: hosted_vllm/other, api_base: "http://gpu-2:8000/v1", timeout: 5}
router_settings:
  routing_strategy: least-busy
  timeout: os.environ/TIMEOUT
  cache_responses: true
  model_group_alias: {gpt-4o: coder}
litellm_settings:
  num_retries: 2
  request_timeout: 90
  drop_params: true
  default_fallbacks: [gpt-4o]
general_settings:
  master_key: sk-master
"""
ENVIRON = {"GPU_KEY": "sk-gpu", "TIMEOUT": "30"}


@pytest.fixture
def config(tmp_path: Path) -> LiteLLMConfig:
    file = tmp_path / "litellm_config.yaml"
    file.write_text(TWO_REPLICAS)
    return read(file, ENVIRON)


def test_a_deployment_is_read_whole_with_its_variables(config: LiteLLMConfig) -> None:
    first = config.model_list[0]

    assert config.configured is True
    assert (first.model_name, first.id, first.line) == ("coder", "gpu-1", 2)
    assert (first.provider, first.upstream_model) == ("hosted_vllm", "Qwen/Qwen3")
    assert first.params == {
        "model": "hosted_vllm/Qwen/Qwen3",
        "api_base": "http://gpu-1:8000/v1",
        "api_key": "sk-gpu",
        "temperature": 0.2,
        "max_parallel_requests": 8,
        "timeout": 30.0,
    }
    assert first.as_dict()["model_info"] == {"id": "gpu-1", "max_input_tokens": 4096}


def test_a_deployment_without_an_id_is_known_by_where_it_is(config: LiteLLMConfig) -> None:
    assert [one.id for one in config.model_list] == [
        "gpu-1",
        "gpu-2:8000/coder",
        "gpu-2:8000/coder-2",
    ]


def test_base_url_is_another_word_for_api_base(config: LiteLLMConfig) -> None:
    assert config.model_list[1].params["api_base"] == "http://gpu-2:8000/v1"
    assert "base_url" not in config.model_list[1].params


def test_the_routers_timeout_holds_where_a_deployment_has_none(config: LiteLLMConfig) -> None:
    assert [one.params["timeout"] for one in config.model_list] == [30, 30, 5]


def test_the_router_is_given_both_sections_and_router_settings_win(config: LiteLLMConfig) -> None:
    kwargs = config.as_router_kwargs()

    assert len(kwargs.pop("model_list")) == 3
    assert kwargs == {
        "routing_strategy": "least-busy",
        "timeout": 30.0,
        "model_group_alias": {"gpt-4o": "coder"},
        "num_retries": 2,
        "default_fallbacks": ["gpt-4o"],
    }


def test_what_has_no_effect_is_listed(config: LiteLLMConfig) -> None:
    assert set(config.ignored) == {
        "general_settings.master_key",
        "router_settings.cache_responses",
        "litellm_settings.drop_params",
    }


def test_secrets_are_not_in_the_repr(config: LiteLLMConfig) -> None:
    assert "sk-" not in repr(config)


def test_the_shipped_file_is_valid_and_names_no_models() -> None:
    config = read(shipped("litellm_config.yaml"), {})

    assert config.configured is False
    assert config.ignored == ()
    assert config.router_settings["routing_strategy"] == "simple-shuffle"


def test_the_example_of_the_shipped_file_works_when_it_is_uncommented(tmp_path: Path) -> None:
    text = shipped("litellm_config.yaml").read_text(encoding="utf-8")
    lines = text.replace("model_list: []", "model_list:").splitlines()
    example = [
        line[:1].replace("#", "") + line[1:]
        if line.startswith("#  ")
        else line.replace("  #", "  ", 1)
        if line.startswith("  #") and line[3] != " "
        else line
        for line in lines
    ]
    file = tmp_path / "litellm_config.yaml"
    file.write_text("\n".join(example), encoding="utf-8")

    config = read(file, {"VLLM_API_KEY": "sk-up", "ANTHROPIC_API_KEY": "sk-ant"})

    assert [one.id for one in config.model_list] == ["gpu-1", "gpu-2", "gpu-3", "anthropic/claude"]
    assert config.router_settings["model_group_alias"] == {"gpt-4o": "qwen-coder"}
    assert config.model_list[0].params["timeout"] == 60


@pytest.mark.parametrize("text", ["", "model_list:\n", "model_list: []\n", "# nothing\n"])
def test_a_file_without_models_is_fine_unless_it_was_asked_for(tmp_path: Path, text: str) -> None:
    file = tmp_path / "litellm_config.yaml"
    file.write_text(text)

    assert read(file, {}).configured is False
    with pytest.raises(ConfigError, match="names no models"):
        read(file, {}, required=True)


def test_one_vllm_makes_a_replica_for_each_of_its_models() -> None:
    config = from_upstream("http://gpu:8000/v1", "sk-up", ["Qwen/Qwen3", "adapter"])

    kwargs = config.as_router_kwargs()

    assert kwargs["disable_cooldowns"] is True
    assert kwargs["model_list"][0] == {
        "model_name": "Qwen/Qwen3",
        "litellm_params": {
            "model": "hosted_vllm/Qwen/Qwen3",
            "api_base": "http://gpu:8000/v1",
            "api_key": "sk-up",
        },
        "model_info": {"id": "gpu:8000/Qwen/Qwen3"},
    }
    assert [one.upstream_model for one in config.model_list] == ["Qwen/Qwen3", "adapter"]
    assert "sk-up" not in repr(config)


def test_one_vllm_without_a_key_has_none() -> None:
    [only] = from_upstream("http://gpu/v1", None, ["m"]).model_list

    assert "api_key" not in only.params


@pytest.mark.parametrize(
    ("given", "configured", "upstream", "expected"),
    [
        (True, True, True, "file"),
        (True, False, True, "file"),
        (False, True, True, "file"),
        (False, True, False, "file"),
        (False, False, True, "upstream"),
        (False, False, False, "embedded"),
    ],
)
def test_a_file_wins_over_the_environment_over_the_embedded_model(
    given: bool, configured: bool, upstream: bool, expected: str
) -> None:
    assert source(given=given, configured=configured, upstream=upstream) == expected


def test_reading_the_file_does_not_import_litellm(tmp_path: Path) -> None:
    file = tmp_path / "litellm_config.yaml"
    file.write_text(TWO_REPLICAS)
    code = (
        "import sys, pathlib; from gateway.adapters.litellm_config import read; "
        f"read(pathlib.Path({str(file)!r}), {ENVIRON!r}); "
        "sys.exit('litellm' in sys.modules or 'aiohttp' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# LiteLLM's own types make pydantic say so when its Router is first built.
router_warns = pytest.mark.filterwarnings("ignore:.*`ReadOnly` qualifier:UserWarning")


@pytest.fixture
def router() -> Iterator[LiteLLMRouter]:
    router = LiteLLMRouter(time.monotonic)
    yield router
    router.close()


@router_warns
async def test_litellms_router_takes_what_it_is_given_and_keeps_the_ids(
    config: LiteLLMConfig, router: LiteLLMRouter
) -> None:
    router.load(config.as_router_kwargs())

    replicas = router.replicas("coder")
    assert [one.id for one in replicas] == [one.id for one in config.model_list]
    assert [one.upstream_model for one in replicas] == ["Qwen/Qwen3", "qwen", "other"]
    assert [one.timeout for one in replicas] == [30, 30, 5]
    assert replicas[0].base_url == "http://gpu-1:8000/v1"
    assert replicas[0].api_key == "sk-gpu"
    assert replicas[0].params == {"temperature": 0.2}


@router_warns
async def test_litellms_router_takes_the_one_vllm(router: LiteLLMRouter) -> None:
    config = from_upstream("http://gpu:8000/v1", None, ["a", "b"])

    router.load(config.as_router_kwargs())

    assert router.models() == ("a", "b")
    assert [one.id for one in router.replicas("b")] == ["gpu:8000/b"]


def test_providers_need_no_address_and_are_known_by_their_name(tmp_path: Path) -> None:
    path = tmp_path / "litellm_config.yaml"
    path.write_text(
        "model_list:\n"
        "  - {model_name: c, litellm_params: {model: anthropic/claude, api_key: os.environ/K}}\n"
        "  - {model_name: c, litellm_params: {model: vertex_ai/g, vertex_project: p}}\n"
        "  - {model_name: d, litellm_params: {model: hosted_vllm/m, api_base: 'http://g:1/v1'}}\n"
        "router_settings: {default_fallbacks: [c]}\n"
    )
    first, second, third = read(path, {"K": "sk-up"}).model_list
    assert (first.id, second.id, third.id) == ("anthropic/c", "vertex_ai/c", "g:1/d")
    assert (first.translated, third.translated) == (True, False)
    assert first.params["api_key"] == "sk-up"
    assert second.params["vertex_project"] == "p"
    assert "sk-up" not in repr(first)
