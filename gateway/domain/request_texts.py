"""Every text that a request asks a model to read, and its place: texts(body)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

# What a replica or the gateway goes by, and no model reads. `user` says who asks.
_NAMES = frozenset({"model", "role", "type", "id", "tool_call_id", "user", "format", "detail"})


@dataclass(frozen=True, slots=True)
class RequestText:
    """One text of a request, and how to change it. `json`: it is JSON itself, the arguments
    of a tool."""

    json: bool
    _holder: Any = field(repr=False)
    _key: Any = field(repr=False)

    @property
    def value(self) -> str:
        """What it says now."""
        return str(self._holder[self._key])

    def change(self, text: str) -> None:
        """Say this instead."""
        self._holder[self._key] = text


def texts(body: dict[str, Any]) -> Iterator[RequestText]:
    """All strings of `body` but for names, and media given as data: messages and their parts,
    arguments and descriptions of tools, prompts, inputs. In the order in which they stand."""
    waiting: list[Iterator[tuple[Any, Any, Any]]] = [_items(body)]
    while waiting:
        for holder, key, value in waiting[-1]:
            if isinstance(value, str):
                if key not in _NAMES and not _media(holder, key, value):
                    yield RequestText(key == "arguments", holder, key)
            elif isinstance(value, dict | list):
                waiting.append(_items(value))
                break
        else:
            waiting.pop()


def _items(node: Any) -> Iterator[tuple[Any, Any, Any]]:
    # A list of its own: a text may be changed while others are still to come.
    pairs = list(node.items()) if isinstance(node, dict) else list(enumerate(node))
    return ((node, key, value) for key, value in pairs)


def _media(holder: Any, key: Any, value: str) -> bool:
    return (key == "url" and value.startswith("data:")) or (key == "data" and "format" in holder)
