"""What models cost, from both files: which goes before, and what is wrong with them, by line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.adapters.litellm_config import LiteLLMConfig, read
from gateway.adapters.model_prices import about_prices, prices_of
from gateway.domain.document import ConfigError
from gateway.domain.prices import Price
from gateway.settings import Settings

MODEL = """\
  - model_name: {name}
    litellm_params: {{model: hosted_vllm/m, api_base: "http://h:{port}/v1"{params}}}
    model_info: {{id: "{port}"{info}}}
"""
OPENAI = "input_cost_per_token: 0.0000025, output_cost_per_token: 1e-5"


def fleet(tmp_path: Path, *models: dict[str, str], more: str = "") -> LiteLLMConfig:
    file = tmp_path / "litellm_config.yaml"
    text = "model_list:\n"
    for port, model in enumerate(models, 1):
        said = {"params": "", "info": "", **model}
        said = {
            key: f", {value}" if value and key != "name" else value for key, value in said.items()
        }
        text += MODEL.format(port=port, **said)
    file.write_text(text + more)
    return read(file, {})


def priced(**models: dict[str, Any]) -> Settings:
    return Settings(prices={"models": models})  # type: ignore[arg-type]


def test_what_litellm_says_of_a_token_is_told_by_the_million(tmp_path: Path) -> None:
    cached = f"{OPENAI}, cache_read_input_token_cost: 1.25e-06"
    config = fleet(tmp_path, {"name": "a", "params": OPENAI}, {"name": "b", "info": cached})
    prices = prices_of(Settings(), config)
    assert prices.of("a") == Price(2_500_000, 10_000_000, 2_500_000)
    assert prices.of("b") == Price(2_500_000, 10_000_000, 1_250_000)
    assert about_prices(prices) == ["prices: a, b"]


def test_section_prices_goes_before_it_as_a_whole(tmp_path: Path) -> None:
    config = fleet(tmp_path, {"name": "a", "params": OPENAI}, {"name": "b"})
    own = priced(a={"input_per_million": 1.5}, b={"output_per_million": 2, "cached_per_million": 0})
    prices = prices_of(own, config)
    assert prices.of("a") == Price(1_500_000, 0, 1_500_000)
    assert prices.of("b") == Price(0, 2_000_000, 0)


def test_of_several_replicas_the_dearest_counts(tmp_path: Path) -> None:
    config = fleet(
        tmp_path,
        {"name": "a", "params": "input_cost_per_token: 0.000002"},
        {"name": "a", "params": "output_cost_per_token: 0.000003"},
        {"name": "a"},
    )
    assert prices_of(Settings(), config).of("a") == Price(2_000_000, 3_000_000, 2_000_000)


def test_another_name_of_a_model_costs_the_same(tmp_path: Path) -> None:
    aliases = (
        "router_settings:\n  model_group_alias: {gpt: a, own: a, h: {model: a, hidden: true}}\n"
    )
    config = fleet(tmp_path, {"name": "a", "params": OPENAI}, more=aliases)
    prices = prices_of(priced(own={"input_per_million": 1}), config)
    assert prices.of("gpt") == prices.of("h") == prices.of("a")
    assert prices.of("own") == Price(1_000_000, 0, 1_000_000)


def test_a_model_of_which_nobody_says_a_price_has_none(tmp_path: Path) -> None:
    config = fleet(tmp_path, {"name": "a"})
    assert prices_of(Settings(), config).of("a") is None
    assert prices_of(Settings(), None).of("a") is None
    assert about_prices(prices_of(priced(a={}), config)) == []


@pytest.mark.parametrize("wrong", ["-1", "much", "2", ".nan", "[1]", "true"])
def test_what_is_no_price_is_refused_with_its_line(tmp_path: Path, wrong: str) -> None:
    cost = f"input_cost_per_token: {wrong}"
    config = fleet(tmp_path, {"name": "b"}, {"name": "a", "params": cost})
    with pytest.raises(ConfigError) as caught:
        prices_of(Settings(), config)
    (problem,) = caught.value.problems
    assert problem.line == 5
    assert "input_cost_per_token of 'a'" in problem.message


def test_a_price_of_a_model_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        prices_of(priced(coder2={}), fleet(tmp_path, {"name": "coder"}))
    (problem,) = caught.value.problems
    assert "no model 'coder2'" in problem.message
    assert "coder" in problem.fix
