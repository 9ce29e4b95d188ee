"""What settled calls have used: Spent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spent:
    """Of some calls together; `cost` in micro-units."""

    requests: int = 0
    tokens: int = 0
    cost: int = 0
