"""Turns the chain of config/policies.yaml into policies, or into all that is wrong with it."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from gateway.adapters.policy_shelf import Shelf, Unusable
from gateway.domain.document import ConfigError, Problem, did_you_mean
from gateway.domain.policy import MOMENTS, Link, Policy, Tools, When
from gateway.settings.policies import PolicyEntry


def load(
    entries: Sequence[PolicyEntry],
    folder: Path,
    tools: Tools,
    *,
    file: str = "config/policies.yaml",
    shipped: Path | None = None,
) -> list[Link]:
    """The chain in its order, each policy built with its settings and a log of its own; files are
    read anew each time, those that `folder` lacks from `shipped`. ConfigError with everything that
    is wrong, at the line of its entry."""
    shelf = Shelf(folder, shipped)
    links: list[Link] = []
    problems: list[Problem] = []
    used: Counter[str] = Counter()
    for entry in entries:
        used[entry.use] += 1
        name = entry.use if used[entry.use] == 1 else f"{entry.use}#{used[entry.use]}"
        try:
            links.append(_link(entry, name, shelf, tools))
        except Unusable as error:
            problems += [Problem(file, entry.line, says, fix) for says, fix in error.faults]
    if problems:
        raise ConfigError(problems)
    return links


def available(folder: Path, shipped: Path | None = None) -> tuple[str, ...]:
    """What `use:` can say without a dot, sorted: files of both, installed entry points."""
    return Shelf(folder, shipped).names()


def _link(entry: PolicyEntry, name: str, shelf: Shelf, tools: Tools) -> Link:
    cls = shelf.find(entry.use)
    _check_moments(cls)
    policy = _build(cls, entry, replace(tools, log=tools.log.getChild(name), name=name))
    when = When(entry.when.models, entry.when.teams, entry.when.paths)
    seconds = entry.budget_ms / 1000
    return Link(policy, name, when, entry.on_error, entry.mode, seconds)


def _check_moments(cls: type[Policy]) -> None:
    overridden = [moment for moment in MOMENTS if cls.overrides(moment)]
    if not overridden:
        message = f"{cls.__name__} has none of before, during, after: it would do nothing"
        raise Unusable((message, "add `async def before(self, call)`, or another of them"))
    faults = [
        (f"{cls.__name__}.{moment} does not say async", f"write `async def {moment}(self, …)`")
        for moment in overridden
        if not inspect.iscoroutinefunction(getattr(cls, moment))
    ]
    if faults:
        raise Unusable(*faults)


def _build(cls: type[Policy], entry: PolicyEntry, tools: Tools) -> Policy:
    try:
        policy = cls(cls.Settings.model_validate(entry.settings), tools)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        raise Unusable(*(_fault(cls, entry.use, each) for each in details)) from None
    except Exception as error:  # the edge: the policy's own constructor
        message = f"{entry.use} cannot be built: {type(error).__name__}: {error}"
        raise Unusable((message, "see what its file says of `with:`")) from None
    if type(policy.window) is not int or policy.window < 0:
        message = f"{entry.use}: window must be a whole number from 0, not {policy.window!r}"
        raise Unusable((message, "set `window` to the characters to hold back on a stream"))
    return policy


def _fault(cls: type[Policy], use: str, error: ErrorDetails) -> tuple[str, str]:
    steps, last = error["loc"], str(error["loc"][-1]) if error["loc"] else ""
    where = ".".join(["with", *(str(step) for step in steps)])
    fields = _fields(cls.Settings, steps[:-1])
    if error["type"] == "extra_forbidden":
        fix = did_you_mean(last, fields) if fields else "see what its file says of `with:`"
        return f"{use}: unknown key {where!r}", fix
    about = _about(cls, steps)
    if error["type"] == "missing":
        return f"{use}: {where} is missing", f"{last}: {about}" if about else f"add `{last}:`"
    return f"{use}: {where}: {error['msg'].removeprefix('Value error, ')}", about


def _fields(model: type[BaseModel], steps: Sequence[int | str]) -> Mapping[str, FieldInfo]:
    """Those of the model that `steps` lead to, through lists and tuples of models; none where they
    lead to something else."""
    for step in steps:
        if isinstance(step, int):
            continue
        inner = model.model_fields[step].annotation if step in model.model_fields else None
        found = [one for one in (inner, *get_args(inner)) if _is_model(one)]
        if not found:
            return {}
        model = found[0]
    return model.model_fields


def _is_model(one: object) -> bool:
    return inspect.isclass(one) and issubclass(one, BaseModel)


def _about(cls: type[Policy], steps: Sequence[int | str]) -> str:
    """What the author says of the field where the mistake is, or of the nearest around it."""
    for end in range(len(steps), 0, -1):
        fields = _fields(cls.Settings, steps[: end - 1])
        if (name := str(steps[end - 1])) in fields:
            return fields[name].description or ""
    return ""
