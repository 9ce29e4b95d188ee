"""What is wrong with a litellm_config.yaml: each thing at its line, all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.adapters.litellm_config import LiteLLMConfig, read
from gateway.domain.document import ConfigError, Problem

GOOD = "{model: hosted_vllm/m, api_base: 'http://gpu:8000/v1'}"


def read_text(folder: Path, text: str, environ: dict[str, str] | None = None) -> LiteLLMConfig:
    file = folder / "models.yaml"
    file.write_text(text, encoding="utf-8")
    return read(file, environ or {})


def problems_of(folder: Path, text: str, environ: dict[str, str] | None = None) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        read_text(folder, text, environ)
    return list(caught.value.problems)


def with_router(settings: str) -> str:
    return (
        f"model_list:\n  - {{model_name: a, litellm_params: {GOOD}}}\n"
        f"router_settings:\n  {settings}\n"
    )


@pytest.mark.parametrize(
    ("text", "line", "message", "fix"),
    [
        ("- a\n", 0, "should be keys and values", "model_list"),
        ("model_lst: []\n", 1, "unknown key 'model_lst'", "did you mean 'model_list'?"),
        ("include: [more.yaml]\n", 1, "later version", "paste"),
        ("model_list: 3\n", 1, "should be a list", "model_list"),
        ("model_list:\n  - a\n", 2, "should be keys and values", "model_list"),
        ("router_settings: 3\n", 1, "should be keys and values", "LiteLLM's"),
        ("environment_variables: [a]\n", 1, "should be keys and values", "NAME: value"),
        (f"model_list:\n  - litellm_params: {GOOD}\n", 2, "has no 'model_name'", "clients ask"),
        ("model_list:\n  - model_name: a\n", 2, "has no 'litellm_params'", "hosted_vllm/NAME"),
        (
            f"model_list:\n  - model_name: a\n    litelm_params: {GOOD}\n",
            3,
            "unknown key 'model_list.0.litelm_params'",
            "did you mean 'litellm_params'?",
        ),
        (
            "model_list:\n  - model_name: a\n    litellm_params:\n      api_base: http://g/v1\n",
            3,
            "has no 'model'",
            "hosted_vllm/NAME",
        ),
        (
            f"model_list:\n  - {{model_name: '*', litellm_params: {GOOD}}}\n",
            2,
            "wildcard",
            "one item for each model",
        ),
        (
            "model_list:\n  - model_name: a\n    litellm_params:\n      model: hosted_vllm/m\n",
            3,
            "no api_base for 'hosted_vllm/m'",
            "add api_base: http://HOST:8000/v1",
        ),
        (
            "model_list:\n  - model_name: a\n    litellm_params:\n      model: hosted_vllm/m\n"
            "      api_base: gpu:8000\n",
            5,
            "not a URL that starts with http",
            "api_base: http://HOST:8000/v1",
        ),
        (
            "model_list:\n  - {model_name: a, litellm_params: {model: antropic/claude}}\n",
            2,
            "the provider 'antropic' is none that LiteLLM knows",
            "did you mean 'anthropic'?",
        ),
        (
            "model_list:\n  - {model_name: a, litellm_params: {model: Qwen/Qwen3}}\n",
            2,
            "the provider 'Qwen' is none that LiteLLM knows",
            "hosted_vllm/Qwen/Qwen3",
        ),
        (
            "model_list:\n  - {model_name: a, litellm_params: {model: anthropic/}}\n",
            2,
            "names a provider alone",
            "anthropic/NAME",
        ),
        (
            "model_list:\n  - {model_name: a, litellm_params: {model: hosted_vlm/m}}\n",
            2,
            "the provider 'hosted_vlm'",
            "did you mean 'hosted_vllm'?",
        ),
        (
            "model_list:\n  - {model_name: a, litellm_params: {model: gpt-4o}}\n",
            2,
            "the model 'gpt-4o' names no provider",
            "hosted_vllm/gpt-4o",
        ),
        (
            "model_list:\n  - {model_name: a, litellm_params: {model: hosted_vllm/}}\n",
            2,
            "names a provider alone",
            "hosted_vllm/NAME",
        ),
        (
            "model_list:\n  - model_name: a\n    litellm_params:\n      model: m\n"
            "      custom_llm_provider: bedrok\n",
            5,
            "the provider 'bedrok'",
            "did you mean 'bedrock'?",
        ),
        (
            "model_list:\n  - model_name: a\n    litellm_params:\n      model: hosted_vllm/m\n"
            "      api_base: http://g/v1\n      litellm_credential_name: shared\n",
            6,
            "credential_list is carried in a later version",
            "write api_base and api_key here",
        ),
        (
            "model_list:\n  - model_name: a\n    litellm_params:\n      model: hosted_vllm/m\n"
            "      api_base: http://g/v1\n      max_parallel_requests: 0\n",
            6,
            "greater than or equal to 1",
            "max_parallel_requests: 64",
        ),
        (with_router("num_retry: 3"), 4, "unknown key", "did you mean 'num_retries'?"),
        (with_router("model_list: []"), 4, "unknown key", "did you mean"),
        (with_router("num_retries: many"), 4, "valid integer", "num_retries: 3"),
        (with_router("routing_strategy: round-robin"), 4, "'simple-shuffle'", "routing_strategy: "),
        (with_router("fallbacks: [{a: [b]}]"), 4, "no model 'b'", "known here: a"),
        (with_router("fallbacks: [{b: [a]}]"), 4, "no model 'b'", "known here: a"),
        (with_router("fallbacks: [{a: [{model: b}]}]"), 4, "no model 'b'", "known here: a"),
        (with_router("fallbacks: {a: [a]}"), 4, "should be a list", "fallbacks: ["),
        (with_router("default_fallbacks: [b]"), 4, "no model 'b'", "known here: a"),
        (with_router("model_group_alias: {x: b}"), 4, "alias 'x' stands for 'b'", "known here: a"),
        (with_router("model_group_alias: {x: {mdel: a}}"), 4, "model_group_alias", "ALIAS"),
        (with_router("redis_url: os.environ/REDIS"), 4, "REDIS is not set", "export REDIS="),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_its_fix(
    tmp_path: Path, text: str, line: int, message: str, fix: str
) -> None:
    problems = problems_of(tmp_path, text)

    hit = [one for one in problems if message in one.message and one.line == line]
    assert hit, problems
    assert fix in hit[0].fix
    assert hit[0].file.endswith("models.yaml")
    assert all(problem.fix for problem in problems)


def test_everything_that_is_wrong_is_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = f"""\
model_list:
  - model_name: a
    litellm_params: {{model: hosted_vllm/m}}
  - model_name: b
    litellm_params:
      model: hosted_vllm/m
      api_base: os.environ/NOWHERE
      api_key: os.environ/NO_KEY
  - {{model_name: c, litellm_params: {GOOD}, model_info: {{id: same}}}}
  - model_name: d
    litellm_params: {GOOD}
    model_info:
      id: same
router_settings:
  fallbacks: [{{a: [nobody]}}]
  retries: 1
litellm_settings:
  context_window_fallbacks: [{{nobody: [a]}}]
extra: 1
"""
    assert [one.line for one in problems_of(tmp_path, text)] == [3, 7, 8, 13, 15, 16, 18, 19]


def test_an_unset_variable_is_one_problem_and_not_two(tmp_path: Path) -> None:
    text = (
        "model_list:\n  - model_name: a\n    litellm_params:\n"
        "      model: hosted_vllm/m\n      api_base: os.environ/GPU\n"
    )

    [problem] = problems_of(tmp_path, text)

    assert problem.message == "api_base: the environment variable GPU is not set"
    assert problem.fix == "export GPU=…, or write the value here"


def test_values_of_keys_are_never_repeated(tmp_path: Path) -> None:
    text = (
        "model_list:\n  - model_name: a\n    litellm_params:\n      model: hosted_vllm/m\n"
        "      api_base: http://user:sk-secret@gpu/v1\n      api_key: [sk-secret]\n"
    )

    problems = problems_of(tmp_path, text)

    assert [one.line for one in problems] == [5, 6]
    assert "sk-secret" not in "".join(str(one) for one in problems)


def test_variables_that_the_file_sets_serve_the_file(tmp_path: Path) -> None:
    text = (
        "environment_variables: {GPU: 'http://file:8000/v1'}\n"
        "model_list:\n  - model_name: a\n    litellm_params:\n"
        "      model: hosted_vllm/m\n      api_base: os.environ/GPU\n"
    )

    config = read_text(tmp_path, text, {"GPU": "http://environment:8000/v1"})

    assert config.model_list[0].params["api_base"] == "http://file:8000/v1"


def test_fallbacks_may_name_aliases_replicas_and_any_model(tmp_path: Path) -> None:
    text = (
        f"model_list:\n  - {{model_name: a, litellm_params: {GOOD}, model_info: {{id: 7}}}}\n"
        "router_settings:\n"
        "  model_group_alias: {x: {model: a, hidden: true}}\n"
        "  fallbacks: [{'*': [x]}, {a: ['7']}]\n"
    )

    config = read_text(tmp_path, text)

    assert config.model_list[0].id == "7"
    assert config.router_settings["model_group_alias"] == {"x": {"model": "a", "hidden": True}}


def test_fallbacks_wait_for_models(tmp_path: Path) -> None:
    text = "model_list: []\nrouter_settings: {fallbacks: [{a: [b]}]}\n"

    assert read_text(tmp_path, text).configured is False


def test_sections_of_the_proxy_are_accepted_and_listed(tmp_path: Path) -> None:
    text = "general_settings: {master_key: sk-1, alerting: [slack]}\nguardrails: [a]\nprompts:\n"

    config = read_text(tmp_path, text)

    assert config.ignored == (
        "general_settings.master_key",
        "general_settings.alerting",
        "guardrails",
    )
