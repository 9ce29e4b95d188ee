"""A JSON object out of a model's answer: whole, or as far as it goes where it was cut."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import islice
from typing import Any

import orjson

_SPACE = re.compile(r"\s*")
_BEGUN = re.compile(r'\{\s*"')
_MOST_BEGUN = 32
"""Objects that begin as one and come to nothing, before it is given up: each may be read to the end
of the text, and so may all that are inside it."""


def _refused(constant: str) -> None:
    raise ValueError(f"JSON has no {constant}")


_STRICT = json.JSONDecoder(parse_constant=_refused)


@dataclass(frozen=True, slots=True)
class Found:
    """The object's fields; `whole` is False where its end is missing. Of a list that was cut, the
    items that came whole are there."""

    fields: dict[str, Any]
    whole: bool


def find(text: str) -> Found | None:
    """The first object in `text`, whatever stands around it; None where there is none.

    What UTF-8 cannot say is replaced, so that every value can be written again.
    """
    # Prose before an object is short.
    for begun in islice(_BEGUN.finditer(text, 0, 10_000), _MOST_BEGUN):
        try:
            found = _object(text, begun.start())
        except RecursionError:  # too deep for anybody to have meant it
            return None
        if found is not None:
            return found
    return None


def _object(text: str, start: int) -> Found | None:
    """The object whose brace is at `start`; None where it has not even one field."""
    fields: dict[str, Any] = {}
    at = _space(text, start + 1)
    while text[at : at + 1] != "}":
        try:
            key, at = _STRICT.raw_decode(text, at)
            at = _space(text, at)
            if not isinstance(key, str) or text[at : at + 1] != ":":
                break
            at = _space(text, at + 1)
            if text[at : at + 1] == "[":
                fields[key], at, closed = _list(text, at)
                if not closed:
                    break
            else:
                value, at = _STRICT.raw_decode(text, at)
                fields[key] = _plain(value)
        except ValueError:
            break
        at = _space(text, at)
        if text[at : at + 1] != ",":
            break
        at = _space(text, at + 1)
    whole = text[at : at + 1] == "}"
    return Found(fields, whole) if fields else None


def _list(text: str, start: int) -> tuple[list[Any], int, bool]:
    """The whole items of the list whose bracket is at `start`, where it ends, whether it does."""
    items: list[Any] = []
    at = _space(text, start + 1)
    while text[at : at + 1] not in ("]", ""):
        try:
            item, at = _STRICT.raw_decode(text, at)
            items.append(_plain(item))
        except ValueError:
            return items, at, False
        at = _space(text, at)
        if text[at : at + 1] != ",":
            break
        at = _space(text, at + 1)
    closed = text[at : at + 1] == "]"
    return items, at + closed, closed


def _plain(value: Any) -> Any:
    """The value as it can be sent on."""
    said = json.dumps(value, ensure_ascii=False)
    return orjson.loads(said.encode("utf-8", "replace"))


def _space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
