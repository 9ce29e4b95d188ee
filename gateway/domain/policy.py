"""One rule about calls and answers: Policy, Delta; its place in the chain: Link, When."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict

from gateway.domain.call import Call, Outcome
from gateway.domain.errors import GatewayError
from gateway.domain.scope import covers
from gateway.domain.tools import Tools as Tools

Moment = Literal["before", "during", "after"]
MOMENTS: tuple[Moment, ...] = ("before", "during", "after")


@dataclass(frozen=True, slots=True)
class Delta:
    """Text of an answer that has not left yet, in one field of one choice.

    `text` is what was held back before plus what has just come; all of it at once when the
    answer does not stream. `before` is what left directly before it, at most 64 characters, for
    rules that look back. `field` says where it stands: "content", "text", "reasoning_content",
    "tool_calls.0.function.arguments". `final`: nothing follows in this field.

    Return it, or `dataclasses.replace` it: `text` to change what leaves, `hold` to say how many
    of its last characters stay back this time (None: the policy's `window`).
    """

    text: str
    choice: int = 0
    final: bool = False
    field: str = "content"
    before: str = ""
    hold: int | None = None


class Policy:
    """One rule. Override the moments it needs; one that nobody overrides costs nothing.

    One object serves all calls at once: what belongs to a call stays out of `self`, or is keyed by
    the call and dropped in `after`.
    """

    class Settings(BaseModel):
        """What `with:` in config/policies.yaml may say: no other keys."""

        model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    window: int = 0
    """Characters of a stream that are held back, so that what `during` looks for cannot straddle
    two deltas: at least as long as the longest match, less one."""

    def __init__(self, settings: Settings, tools: Tools) -> None:
        self.settings = settings
        self.tools = tools

    async def before(self, call: Call) -> None:
        """Before a replica is chosen: edit `call.body`, or raise Refusal."""

    async def during(self, call: Call, delta: Delta) -> Delta:
        """On each piece of the answer: return what may leave, or raise Refusal, after which
        nothing more leaves. Text that was held back comes again as it was returned, so an edit
        must leave its own result alone."""
        return delta

    async def after(self, call: Call, outcome: Outcome) -> None:
        """Exactly once for each call that reached this policy, in reverse order, whatever
        happened. Too late to refuse."""

    def remarks(self, models: Collection[str]) -> Iterable[str]:
        """What an operator should know before serving: `gateway check` shows it. `models` are
        those that this policy is for."""
        return ()

    @classmethod
    def overrides(cls, moment: Moment) -> bool:
        """Whether this class does anything at that moment."""
        return getattr(cls, moment) is not getattr(Policy, moment)


class PolicyFailed(GatewayError):
    """A policy crashed, took too long or could not read the answer: our fault, so a 503."""

    status = 503
    code = "policy_failed"
    default_public = "A policy of this gateway could not do its work; the operator's log says why."


class Verdict(StrEnum):
    """What came of one policy at one moment. The words are metric labels and log fields."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    FAILED = "failed"
    SKIPPED = "skipped"
    WOULD_REFUSE = "would_refuse"


@dataclass(frozen=True, slots=True)
class When:
    """Which calls a policy is for: exact names or globs; an empty tuple means any. What
    is said of a model holds for its aliases; what is said of an alias, for that alone."""

    models: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    def covers(self, call: Call) -> bool:
        """All three must agree. `paths` are the client's own: /v1/chat/completions, /api/ai/*."""
        if not (self.models or self.teams or self.paths):
            return True
        return (
            (self.names(call.model) or self.names(call.group))
            and covers(self.teams, call.caller.team)
            and covers(self.paths, call.path)
        )

    def names(self, model: str) -> bool:
        """Whether calls of that model may be meant."""
        return covers(self.models, model)


@dataclass(frozen=True, slots=True)
class Link:
    """A policy at its place in the chain. `on_error`: what a failure of its own does to the call;
    `mode` shadow: it runs and is counted, but neither refuses nor edits; `budget_s` for a moment.
    """

    policy: Policy
    name: str
    when: When = When()
    on_error: Literal["refuse", "skip"] = "refuse"
    mode: Literal["enforce", "shadow"] = "enforce"
    budget_s: float = 1.0

    @property
    def shadow(self) -> bool:
        """Only watched: what it says is not done."""
        return self.mode == "shadow"

    @property
    def tolerant(self) -> bool:
        """A failure of this policy passes the call on."""
        return self.shadow or self.on_error == "skip"
