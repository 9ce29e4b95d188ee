"""A rule of a limit: whom it counts together (Quota), how much for whom (Amounts); tokens used."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from gateway.domain.call import Call, Outcome, OutcomeKind, Usage
from gateway.domain.policy import Policy
from gateway.domain.tools import Reach, WhenUnavailable

Part = Literal["key", "team", "model", "user"]
Number = TypeVar("Number", int, float)
_DEFAULT = "default"


def _spread(value: object) -> dict[str, float | None]:
    if not isinstance(value, dict):
        return {_DEFAULT: _number(value)}
    if _DEFAULT not in value:
        raise ValueError("add `default:`, the number for all others; null for no limit")
    return {str(name): None if one is None else _number(one) for name, one in value.items()}


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError("must be a number from 0, or one for each name: {ide: 100, default: 20}")
    return value


def _whole(value: object) -> dict[str, float | None]:
    found = _spread(value)
    if any(one is not None and one != int(one) for one in found.values()):
        raise ValueError("must be a whole number")
    return found


Amounts = Annotated[dict[str, float | None], BeforeValidator(_spread)]
"""A number, or one for each name (of a team, say; globs too) and `default` for all others; null is
no limit. Of several `per`, a name is all of them: `ide/qwen-*`."""

Counts = Annotated[dict[str, int | None], BeforeValidator(_whole)]
"""The same in whole numbers."""


def _parts(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class Quota(BaseModel):
    """One rule: inherit it, and add what is limited. All calls with the same `per` share a count;
    `per: []` is one count for all."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    per: Annotated[tuple[Part, ...], BeforeValidator(_parts)] = ("key",)
    """whom to count together: key, team, model, user, or several: [team, model]"""

    def names(self, call: Call) -> tuple[str, ...]:
        """Of whom this call is. A call whose user nobody vouches for is its key's; one of an
        alias is its model's."""
        return tuple([_NAMES[part](call) for part in self.per])

    def account(self, purpose: str, names: tuple[str, ...]) -> str:
        """The account of `purpose` (policy, unit, length) for them; no two share one."""
        return _account(purpose, self.per, names)

    def kinds(self) -> Iterable[tuple[object, ...]]:
        """What this rule limits, each in a form that no other rule of a policy may have too."""
        fields = dict(self)
        amounts = [name for name, value in fields.items() if isinstance(value, dict)]
        rest = tuple(v for name, v in fields.items() if v is not None and name not in amounts)
        return [(name, *rest) for name in amounts]

    def whose(self, names: tuple[str, ...]) -> str:
        """For people: "team ide, model qwen"."""
        parts = (f"{part} {name}" for part, name in zip(self.per, names, strict=True))
        return ", ".join(parts) or "all"

    def ledger_words(self, names: tuple[str, ...]) -> dict[str, str] | None:
        """What to ask the ledger for theirs; None where it cannot tell: it names no users."""
        if "user" in self.per:
            return None
        words = ("key_id" if part == "key" else part for part in self.per)
        return dict(zip(words, names, strict=True))

    @property
    def scope(self) -> str:
        """As logs, metrics and refusals say it: "team and model"."""
        return " and ".join(self.per) or "all"


_NAMES: Mapping[Part, Any] = {
    "key": lambda call: call.caller.key_id,
    "team": lambda call: call.caller.team,
    "model": lambda call: call.group,
    "user": lambda call: getattr(call.caller, "user", "") or f"key {call.caller.key_id}",
}


class LimitSettings(Policy.Settings):
    """What every policy that counts may be told; `rules` are of a Quota of its own."""

    rules: tuple[Quota, ...] = Field(min_length=1)
    """limits that must all hold"""

    when_unavailable: WhenUnavailable = "refuse"
    """what becomes of a call while nobody can tell what is used: refuse or allow"""

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        kinds = [kind for rule in self.rules for kind in rule.kinds()]
        if len(set(kinds)) < len(kinds):
            raise ValueError("two rules limit the same, of the same `per`; make them one")
        return self


# Every call asks for those of its own key and team.
@lru_cache(maxsize=4096)
def _account(purpose: str, per: tuple[Part, ...], names: tuple[str, ...]) -> str:
    parts = (f"{part}={len(name)}:{name}" for part, name in zip(per, names, strict=True))
    return "|".join([purpose, *parts])


def amount_for(amounts: Mapping[str, Number | None], names: tuple[str, ...]) -> Number | None:
    """The number for these: by their very name, else the first glob that fits, else the default;
    None for no limit."""
    if len(amounts) == 1:
        return amounts[_DEFAULT]
    name = "/".join(names)
    if name in amounts:
        return amounts[name]
    for glob, amount in amounts.items():
        if fnmatchcase(name, glob):
            return amount
    return amounts[_DEFAULT]


# What of a request a model reads.
_READ = ("messages", "prompt", "input", "tools")


def expected(call: Call, answer_tokens: int) -> Usage:
    """The tokens that a call may use: its prompt, guessed from its length rather too high than too
    low, and for each answer the most that it asks for by any name, or `answer_tokens`."""
    body, total = call.body, 0
    waiting: list[object] = [body[name] for name in _READ if name in body]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            # Four letters of English are a token, and so is one of Korean, of three bytes.
            total += len(value) if value.isascii() else len(value.encode("utf-8", "replace"))
        elif isinstance(value, dict):
            waiting += value.values()
            total += 12
        elif isinstance(value, list):
            waiting += value
        elif value is not None:
            total += 3
    if not call.endpoint.streams:
        return Usage(prompt=math.ceil(total / 3))
    most = _longest(call, answer_tokens)
    return Usage(prompt=math.ceil(total / 3), completion=most * _answers(body))


async def at_most(call: Call, reach: Reach, answer_tokens: int) -> Usage:
    """As `expected`; an answer that the request does not bound is so long as the windows of the
    models that may give it allow, and `answer_tokens` only where nobody knows those."""
    if bounded(call):
        return expected(call, answer_tokens)
    return expected(call, await reach.window(call.model) or answer_tokens)


def bounded(call: Call) -> bool:
    """Whether the request says how long its answer may be, by a name that every engine heeds."""
    return not call.endpoint.streams or any(
        isinstance(one := call.body.get(name), int) and one >= 0 for name in _heeded(call)
    )


def _heeded(call: Call) -> tuple[str, ...]:
    chat = "messages" in call.endpoint.required
    return ("max_tokens", "max_completion_tokens") if chat else ("max_tokens",)


def _longest(call: Call, usual: int) -> int:
    """Tokens that one answer may have. Engines do not agree which bound counts: the largest does
    here, and one that not all of them know makes nothing smaller than `usual`."""
    named = [
        one
        for name in ("max_tokens", "max_completion_tokens", "n_predict", "min_tokens")
        if isinstance(one := call.body.get(name), int) and one >= 0
    ]
    return max([*named, *([] if bounded(call) else [usual])])


def _answers(body: Mapping[str, Any]) -> int:
    many = [one for name in ("n", "best_of") if name in body and isinstance(one := body[name], int)]
    prompts = body.get("prompt")
    if not many and not isinstance(prompts, list):
        return 1
    # A list of numbers is one prompt, in tokens.
    batch = isinstance(prompts, list) and prompts and not isinstance(prompts[0], int)
    return max([1, *many]) * (len(prompts) if isinstance(prompts, list) and batch else 1)


def counted(outcome: Outcome, reserved: Usage) -> Usage:
    """The tokens that a call has used. Where a replica answered and nobody can even guess how many,
    all that was reserved: a limit that is passed is worse than one that is reached too soon."""
    if outcome.usage is not None:
        return outcome.usage
    answered = outcome.kind is OutcomeKind.COMPLETED and outcome.attempts
    if answered or any(attempt.result == "ok" for attempt in outcome.attempts):
        return reserved
    return Usage()


def reached(outcome: Outcome) -> bool:
    """Whether the call counts as one: a policy that refused it later takes it back."""
    return outcome.kind is not OutcomeKind.REFUSED or bool(outcome.attempts)
