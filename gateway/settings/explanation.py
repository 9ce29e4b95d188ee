"""What pydantic found wrong in a file, in words for the one who wrote the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pydantic import ValidationError

from gateway.domain.document import Document, Problem, did_you_mean

Path = Sequence[str | int]

_MAPPINGS = ("model_type", "dict_type", "model_attributes_type")
_LISTS = ("tuple_type", "list_type")


def dotted(path: Path) -> str:
    """The place inside a file as one word: `teams.ide.keys.0`."""
    return ".".join(str(step) for step in path if step != "[key]") or "the file"


def reason(item: Any) -> str:
    """One of pydantic's errors as the end of a sentence, without the value (it may be secret)."""
    if item["type"] in _MAPPINGS:
        return "should be keys and values, `name: value` each"
    if item["type"] in _LISTS:
        return "should be a list"
    text = str(item["msg"]).removeprefix("Value error, ")
    return text[0].lower() + text[1:] if text.startswith(("Input ", "String ")) else text


def faults(error: ValidationError) -> list[Any]:
    """pydantic's errors, each mistake once: it also calls a list or mapping too short when it has
    left out what is wrong inside."""
    items = error.errors(include_url=False, include_input=False)
    places = [item["loc"] for item in items]
    return [
        item
        for item in items
        if item["type"] != "too_short" or not any(_inside(item["loc"], one) for one in places)
    ]


def _inside(outer: Path, place: Path) -> bool:
    return len(place) > len(outer) and place[: len(outer)] == outer


def explain(
    document: Document,
    error: ValidationError,
    *,
    known: Callable[[Path], Iterable[str]],
    fix: Callable[[Path], str],
    prefix: Path = (),
) -> list[Problem]:
    """Every error at its line. `known` gives the keys that could stand where an unknown one
    does, `fix` what to type for a value that does not fit."""
    found = []
    for item in faults(error):
        path = [*prefix, *item["loc"]]
        if item["type"] == "extra_forbidden":
            message = f"unknown key {dotted(path)!r}"
            found.append(document.problem(path, message, did_you_mean(str(path[-1]), known(path))))
        elif item["type"] == "missing":
            message = f"{dotted(path[:-1])} has no {path[-1]!r}"
            found.append(document.problem(path, message, fix(path)))
        else:
            found.append(document.problem(path, f"{dotted(path)}: {reason(item)}", fix(path)))
    return found
