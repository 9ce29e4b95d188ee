"""Tokens of a model's window: what is kept for the answer, what is left, and how parts share it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.domain.errors import InvalidRequest

SHARES = {"diagnostics": 0.05, "file": 0.50, "related": 0.25, "rules": 0.10, "history": 0.10}
"""What each class may take of the tokens that the required parts leave, most important first.

Diagnostics belong to the file. What a class does not need goes to the others, in this order.
"""


class ContextTooLarge(InvalidRequest):
    """What must be sent does not fit. All numbers are tokens; nothing was cut in silence."""

    status = 413
    code = "context_too_large"

    def __init__(self, needed: int, budget: Budget, parts: Mapping[str, int]) -> None:
        self.needed = needed
        self.available = budget.available
        self.window = budget.window
        self.reserve = budget.reserve
        named = ", ".join(f"{name} {size}" for name, size in parts.items())
        super().__init__(
            f"The request needs {needed} tokens ({named}), but the model has {budget.available}: "
            f"its window of {budget.window} less {budget.reserve} for the answer. "
            "Select less, or use a model with a larger window.",
            param="selection",
        )


@dataclass(frozen=True, slots=True)
class Budget:
    """A model's `window` and the `reserve` that is kept of it for the answer, in tokens."""

    window: int
    reserve: int

    @property
    def available(self) -> int:
        """Tokens that the whole prompt may have, chat template included; never negative."""
        return max(self.window - self.reserve, 0)


def rewrite_reserve(selection: int, limit: int) -> int:
    """Tokens to keep for a rewrite of `selection` tokens: 1.3 of it and 128 more, at least 256.

    Never more than `limit`, the most that the model may say.
    """
    return min(max(math.ceil(1.3 * selection) + 128, 256), limit)


def explain_reserve(window: int, wanted: int = 1024) -> int:
    """Tokens to keep for an explanation: `wanted`, and in a small window a quarter at most."""
    return min(wanted, window // 4)


def share_out(demands: Mapping[str, int], free: int) -> dict[str, int]:
    """What each class of `SHARES` gets of `free`: its demand up to its share, then what is left."""
    found = {
        name: min(demands.get(name, 0), math.floor(share * free)) for name, share in SHARES.items()
    }
    left = free - sum(found.values())
    for name in found:
        more = min(demands.get(name, 0) - found[name], left)
        found[name] += more
        left -= more
    return found


def level(demands: Sequence[int], room: int) -> list[int]:
    """`room` dealt evenly: nobody gets more than asked, and who asks little leaves it to others."""
    found = [0] * len(demands)
    waiting = sorted(range(len(demands)), key=lambda index: demands[index])
    for served, index in enumerate(waiting):
        found[index] = min(demands[index], room // (len(demands) - served))
        room -= found[index]
    return found
