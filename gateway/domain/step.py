"""A piece of a call's way that takes time of its own, before a replica is asked: Step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from gateway.domain.errors import GatewayError

Fact = str | bool | int | float
# Before the kind of what was taken out of the material: the fact is how many.
REDACTED = "gw.redacted."


@dataclass(frozen=True, slots=True)
class Step:
    """`began` and `ended` in monotonic seconds; `facts` are names and numbers, never content;
    `error` is the code of what ended it, "" for none."""

    name: str
    began: float
    ended: float
    facts: Mapping[str, Fact] = field(default_factory=dict)
    error: str = ""


Told = Callable[[Step], None]


def untold(step: Step) -> None:
    """For who does not want to know."""


@contextmanager
def stepping(name: str, clock: Callable[[], float], told: Told) -> Iterator[dict[str, Fact]]:
    """What happens inside is one step, told at its end, with the facts that are put into what this
    gives."""
    began, error = clock(), ""
    facts: dict[str, Fact] = {}
    try:
        yield facts
    except GatewayError as raised:
        error = raised.code
        raise
    except BaseException as raised:
        error = type(raised).__name__
        raise
    finally:
        told(Step(name, began, clock(), facts, error))
