"""The chain of policies as config/policies.yaml writes it: PolicyEntry, When. Loads no policy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.domain.document import Document, Problem
from gateway.settings.explanation import explain

FILE = "policies.yaml"
_USUAL_MS = 1000.0


class When(BaseModel):
    """Which calls a policy looks at; an empty tuple is every one. `paths` are routes: /v1/…"""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    models: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    use: str = Field(min_length=1)
    with_: dict[str, Any] | None = Field(default=None, alias="with")
    when: When | None = None
    on_error: Literal["refuse", "skip"] = "refuse"
    mode: Literal["enforce", "shadow"] = "enforce"
    budget_ms: float = Field(default=_USUAL_MS, ge=1, le=60_000)


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    policies: list[_Row] | None = None


class PolicyEntry(BaseModel):
    """One item of the chain. `use` names the class, `settings` is what the file has under `with`,
    `budget_ms` is what one moment may take, `line` is where the item begins."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    use: str
    settings: dict[str, Any] = Field(default_factory=dict)
    when: When = When()
    on_error: Literal["refuse", "skip"] = "refuse"
    mode: Literal["enforce", "shadow"] = "enforce"
    budget_ms: float = _USUAL_MS
    line: int = 0


_FIXES = {
    "use": "`use: NAME` for NAME.py in the policies folder, or `use: package.module:Class`",
    "with": "the policy's own settings, `name: value` each",
    "when": "`when: {models: [...], teams: [...], paths: [...]}`, any of the three",
    "models": "a list of names: `models: [qwen-coder]`",
    "teams": "a list of names: `teams: [ide]`",
    "paths": "a list of routes: `paths: [/v1/chat/completions]`",
    "on_error": "`refuse` (a call is refused when the policy breaks) or `skip`",
    "mode": "`enforce`, or `shadow` (looks and reports, changes nothing)",
    "budget_ms": "milliseconds that one moment of it may take, 1 to 60000: `budget_ms: 200`",
    "policies": "a list of items, each `- use: NAME`",
}


def _known(path: Sequence[str | int]) -> Iterable[str]:
    if len(path) <= 1:
        return ("policies",)
    if "when" in path[:-1]:
        return When.model_fields
    return ("use", "with", "when", "on_error", "mode", "budget_ms")


def _fix(path: Sequence[str | int]) -> str:
    names = [step for step in path if isinstance(step, str) and step in _FIXES]
    return _FIXES[names[-1]] if names else _FIXES["policies"]


def read_policies(document: Document) -> tuple[tuple[PolicyEntry, ...], list[Problem]]:
    """The chain of the file in its order, and what is wrong with it."""
    if document.data is None:
        return (), []
    try:
        rows = _File.model_validate(document.data).policies or []
    except ValidationError as error:
        return (), explain(document, error, known=_known, fix=_fix)
    return tuple(
        PolicyEntry(
            use=row.use,
            settings=row.with_ or {},
            when=row.when or When(),
            on_error=row.on_error,
            mode=row.mode,
            budget_ms=row.budget_ms,
            line=document.line(("policies", at)),
        )
        for at, row in enumerate(rows)
    ), []
