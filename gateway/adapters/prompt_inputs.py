"""The typed inputs of a prompt: what a type in the front matter means, and values checked by it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.domain.document import did_you_mean

TYPE_PATTERN = (
    r"^(text|integer|boolean|conversation"
    r"|(choice|items|code)\[ *[a-z][a-z0-9_-]*\??( *, *[a-z][a-z0-9_-]*\??)* *\])$"
)
_SPLIT = re.compile(r"^(?P<kind>\w+)(?:\[(?P<names>.*)\])?$")
_SPEAKERS = ("user", "assistant")


@dataclass(frozen=True, slots=True)
class InputType:
    """`text`, `integer`, `boolean`, `conversation`; `choice[a,b]` one of these words;
    `code[f,g?]` one record of text fields, `items[f,g?]` a list of them; `?` marks a field that
    may be missing and is then empty.
    """

    kind: str
    names: tuple[str, ...] = ()
    optional: frozenset[str] = frozenset()

    @classmethod
    def read(cls, text: str) -> InputType:
        """From a text that matches TYPE_PATTERN."""
        found = _SPLIT.match(text)
        if found is None:
            raise ValueError(f"{text!r} is not a type")
        if found["kind"] == "conversation":
            return cls("conversation", ("role", "content"))
        words = [word.strip() for word in (found["names"] or "").split(",") if word.strip()]
        return cls(
            kind=found["kind"],
            names=tuple(word.rstrip("?") for word in words),
            optional=frozenset(word.rstrip("?") for word in words if word.endswith("?")),
        )

    def check(self, value: object) -> Any:
        """`value` as plain str, int, bool, dict and list, with the declared fields only.
        ValueError says what does not fit; its text never quotes the value."""
        match self.kind:
            case "text":
                return _text(value)
            case "integer":
                if isinstance(value, int) and not isinstance(value, bool):
                    return int(value)
                raise ValueError("must be a whole number")
            case "boolean":
                if isinstance(value, bool):
                    return value
                raise ValueError("must be true or false")
            case "choice":
                if isinstance(value, str) and value in self.names:
                    return value
                raise ValueError(f"must be one of {', '.join(self.names)}")
            case "code":
                return self._record(value)
            case _:
                return self._records(value)

    def _records(self, value: object) -> list[dict[str, Any]]:
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise ValueError("must be a list")
        records = []
        for number, item in enumerate(value):
            try:
                records.append(self._record(item))
            except ValueError as error:
                raise ValueError(f"item {number}: {error}") from None
        return records

    def _record(self, value: object) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise ValueError(f"must be an object with the fields {', '.join(self.names)}")
        for key in value:
            if key not in self.names:
                raise ValueError(f"unknown field {key!r}; {did_you_mean(str(key), self.names)}")
        record = {}
        for name in self.names:
            if name not in value and name not in self.optional:
                raise ValueError(f"the field {name!r} is missing")
            record[name] = _scalar(name, value.get(name, ""))
        if self.kind == "conversation" and record["role"] not in _SPEAKERS:
            raise ValueError(f"'role' must be one of {', '.join(_SPEAKERS)}")
        return record


def _scalar(name: str, value: object) -> Any:
    if isinstance(value, bool | int | float) and math.isfinite(value):
        return value
    try:
        return _text(value)
    except ValueError as error:
        raise ValueError(f"the field {name!r} {error}") from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("has a lone surrogate, which is not a character") from None
    # A subclass of str may answer differently each time it is asked.
    return str.__str__(value)


def texts(value: object) -> Iterator[str]:
    """Every text inside a checked value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from texts(part)
