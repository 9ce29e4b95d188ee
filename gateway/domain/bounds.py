"""How much a client's request may ask for: Bounds of one model, JsonBounds before any is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class JsonBounds:
    """`depth` is how many objects and lists may be inside each other, `values` how many there may
    be of all kinds."""

    depth: int = 64
    values: int = 1_000_000


USUAL_JSON = JsonBounds()


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one request for a model may ask for. Each name is that of a setting in `limits`, where
    its unit is told; `allow` names parameters that are refused otherwise."""

    messages: int = 4096
    parts: int = 4096
    n: int = 16
    best_of: int = 16
    max_tokens: int = 131_072
    logprobs: int = 20
    prompt_logprobs: int = 1
    stop: int = 16
    stop_chars: int = 256
    logit_bias: int = 1024
    tools: int = 128
    tools_bytes: int = 524_288
    prompts: int = 128
    inputs: int = 2048
    schema_bytes: int = 65_536
    schema_depth: int = 32
    pattern_chars: int = 1024
    grammar_bytes: int = 16_384
    choices: int = 1024
    media_parts: int = 64
    media_bytes: int = 20_971_520
    media_hosts: tuple[str, ...] = ()
    window: bool = True
    unknown_parameters: Literal["refuse", "pass"] = "refuse"
    allow: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class InputLimits:
    """The bounds of every model: `usual`, but for those in `models`."""

    json: JsonBounds = JsonBounds()
    usual: Bounds = Bounds()
    models: Mapping[str, Bounds] = field(default_factory=dict)

    def of(self, *names: str) -> Bounds:
        """Those of a model that goes by these names: the first that has any of its own counts."""
        return next((self.models[name] for name in names if name in self.models), self.usual)
