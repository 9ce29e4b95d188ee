"""What each model costs: from section prices, else from what litellm_config.yaml says of tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from gateway.adapters.litellm_config import Deployment, LiteLLMConfig
from gateway.domain.document import ConfigError, Problem, did_you_mean
from gateway.domain.prices import MILLION, Price, Prices
from gateway.settings import Settings
from gateway.settings.prices import ModelPrice

_INPUT = "input_cost_per_token"
_OUTPUT = "output_cost_per_token"
_CACHED = "cache_read_input_token_cost"
_MOST = 1.0  # of the currency, for one token


def prices_of(settings: Settings, config: LiteLLMConfig | None) -> Prices:
    """The price of each model that has one, under each name that a client may ask for. Of several
    replicas of a model the dearest counts: nobody is to spend more than was reserved.
    ConfigError names prices that are none, and models that do not exist."""
    problems: list[Problem] = []
    found: dict[str, Price] = {}
    for deployment in config.model_list if config is not None else ():
        price = _said(deployment, config.file if config is not None else "", problems)
        if price is not None:
            found[deployment.model_name] = _dearest(found.get(deployment.model_name), price)
    own = settings.prices.models
    found |= {name: _own(price) for name, price in own.items()}
    if config is not None:
        problems += _strangers(settings, config)
        for alias, model in aliases_of(config).items():
            if alias not in own and model in found:
                found[alias] = found[model]
    if problems:
        raise ConfigError(problems)
    return Prices(found)


def about_prices(prices: Prices) -> list[str]:
    """What `gateway check` says of them."""
    named = [name for name, price in prices.models.items() if not price.free]
    return [f"prices: {', '.join(named)}"] if named else []


def _own(price: ModelPrice) -> Price:
    cached = price.cached_per_million
    return Price(
        _micro(price.input_per_million),
        _micro(price.output_per_million),
        _micro(price.input_per_million if cached is None else cached),
    )


def _micro(money: float) -> int:
    return round(money * MILLION)


def _dearest(one: Price | None, other: Price) -> Price:
    if one is None:
        return other
    return Price(
        max(one.prompt, other.prompt),
        max(one.completion, other.completion),
        max(one.cached, other.cached),
    )


def _said(deployment: Deployment, file: str, problems: list[Problem]) -> Price | None:
    """What the file says of a deployment, None where it says nothing; LiteLLM reads both places."""
    said = {**deployment.info, **deployment.params}
    costs: dict[str, int] = {}
    for name in (_INPUT, _OUTPUT, _CACHED):
        if said.get(name) is None:
            continue
        cost = _cost(said, name)
        if cost is None:
            message = f"{name} of {deployment.model_name!r}: should be the price of one token"
            fix = f"{name}: 0.000003, for 3 a million"
            problems.append(Problem(file, deployment.line, message, fix))
        else:
            costs[name] = cost
    if not costs:
        return None
    prompt = costs.get(_INPUT, 0)
    return Price(prompt, costs.get(_OUTPUT, 0), costs.get(_CACHED, prompt))


def _cost(said: Mapping[str, Any], name: str) -> int | None:
    """Micro-units for a million tokens."""
    value = said[name]
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        cost = float(value)  # YAML reads 3e-6 as a text
    except ValueError:
        return None
    if not math.isfinite(cost) or not 0 <= cost <= _MOST:
        return None
    return round(cost * MILLION * MILLION)


def aliases_of(config: LiteLLMConfig) -> dict[str, str]:
    """Other names of models; LiteLLM writes them as text or as {model: NAME}."""
    rows = config.as_router_kwargs().get("model_group_alias") or {}
    return {
        alias: row["model"] if isinstance(row, dict) else str(row) for alias, row in rows.items()
    }


def _strangers(settings: Settings, config: LiteLLMConfig) -> list[Problem]:
    names = {deployment.model_name for deployment in config.model_list} | set(aliases_of(config))
    place = settings.origin("prices", "models")
    return [
        Problem(
            place.file,
            place.line,
            f"prices.models: there is no model {name!r} in litellm_config.yaml",
            did_you_mean(name, names),
        )
        for name in settings.prices.models
        if name not in names
    ]
