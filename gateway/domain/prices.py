"""What models cost: Price in micro-units for a million tokens, Prices of them all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gateway.domain.call import Call, Outcome, Usage

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """Micro-units (1e-6 of the currency) for each MILLION tokens of prompt, of completion, and of
    prompt that came from the replica's cache."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0

    @property
    def free(self) -> bool:
        """Whether nothing of it costs anything."""
        return not (self.prompt or self.completion or self.cached)

    def of(self, usage: Usage) -> int:
        """Micro-units for these tokens, rounded up: many small calls are not free."""
        cached = min(max(0, usage.cached), max(0, usage.prompt))
        total = (
            (max(0, usage.prompt) - cached) * self.prompt
            + cached * self.cached
            + max(0, usage.completion) * self.completion
        )
        return -(-total // MILLION)


@dataclass(frozen=True, slots=True)
class Prices:
    """The price of each model that has one, by the name that a client asks for."""

    models: Mapping[str, Price] = field(default_factory=dict)

    def of(self, model: str) -> Price | None:
        """None for a model that has no price."""
        return self.models.get(model)

    def cost(self, model: str, usage: Usage) -> int:
        """Micro-units for these tokens; 0 for a model that has no price."""
        price = self.models.get(model)
        return price.of(usage) if price is not None else 0

    def most(self, models: Iterable[str], usage: Usage) -> int:
        """Micro-units for these tokens of the dearest."""
        return max((self.cost(model, usage) for model in models), default=0)

    def charge(self, call: Call, outcome: Outcome, usage: Usage) -> int:
        """Micro-units that `call` pays for these tokens: by the price of the fallback that answered
        it, if one did that has a price, else by that of the model that was asked for."""
        fallback = outcome.model if outcome.model != call.group else ""
        return self.cost(fallback if fallback in self.models else call.model, usage)
