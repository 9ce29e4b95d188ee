"""Where the words are in an OpenAI answer: each text that a client could read, and its place."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import orjson

Path = tuple[str | int, ...]
Place = tuple[int, Path]

# Under these, and nowhere else in a choice, the model speaks: stream, plain answer, completions.
_SPOKEN = ("delta", "message", "text")
# Strings that say what a part is. The replica writes them, not the model.
_STRUCTURE = frozenset({"role", "type", "id"})


class Unreadable(Exception):
    """An answer that is not shaped like OpenAI's, so that nobody can say what it tells."""


@dataclass(slots=True)
class Text:
    """One text in an answer; `path` leads to it from its choice. Set `value` to change it."""

    choice: int
    path: Path
    _holder: Any
    _key: str | int

    @property
    def value(self) -> str:
        """What it says now."""
        return str(self._holder[self._key])

    @value.setter
    def value(self, text: str) -> None:
        self._holder[self._key] = text

    @property
    def place(self) -> Place:
        """The same for all pieces of one text of a stream."""
        return (self.choice, self.path)

    @property
    def whole(self) -> bool:
        """A name, of a tool say: it comes in one piece, and clients need it that way."""
        return self.path[-1] == "name"


def read(payload: bytes) -> dict[str, Any]:
    """The JSON object of an answer; Unreadable when it is none."""
    try:
        answer = orjson.loads(payload)
    except orjson.JSONDecodeError:
        answer = _lenient(payload)
    if not isinstance(answer, dict):
        raise Unreadable("an answer that is no JSON object")
    return answer


def _lenient(payload: bytes) -> Any:
    # Half of a surrogate pair may be in one delta and half in the next; orjson takes neither.
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        raise Unreadable(f"{len(payload)} bytes that are not JSON") from None


def write(answer: dict[str, Any]) -> bytes:
    """The JSON of an answer, without line breaks."""
    try:
        return orjson.dumps(answer)
    except TypeError:
        return json.dumps(answer, separators=(",", ":")).encode()


def choices(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The choices of an answer, none for an error object; Unreadable where it has none at all."""
    found = answer.get("choices")
    if found is None and answer.get("error"):
        return []
    if not isinstance(found, list) or not all(isinstance(choice, dict) for choice in found):
        raise Unreadable("an answer without a list of choices")
    return found


def index_of(choice: dict[str, Any], position: int) -> int:
    """The number of a choice: its own word, else where it stands."""
    index = choice.get("index")
    return index if isinstance(index, int) else position


def texts(choice: dict[str, Any], index: int) -> Iterator[Text]:
    """Every text of a choice, tool arguments and reasoning included: whatever string is not known
    to be structure counts as text, so that a field nobody has heard of is no way out."""
    for root in _SPOKEN:
        value = choice.get(root)
        if isinstance(value, str):
            yield Text(index, (root,), choice, root)
        elif value:
            yield from _inside(value, index, (root,))


def _inside(node: Any, index: int, path: Path) -> Iterator[Text]:
    for key, value, name in _items(node):
        if isinstance(value, str):
            if name not in _STRUCTURE:
                yield Text(index, (*path, name), node, key)
        elif isinstance(value, dict | list):
            yield from _inside(value, index, (*path, name))


def _items(node: Any) -> Iterable[tuple[str | int, Any, str | int]]:
    """Key, value, and the name that stays the same from delta to delta: parts of a list are known
    by their `index`, if they have one."""
    if isinstance(node, dict):
        return [(key, value, key) for key, value in node.items()]
    if isinstance(node, list):
        return [
            (position, value, index_of(value, position) if isinstance(value, dict) else position)
            for position, value in enumerate(node)
        ]
    return ()


def field_name(path: Path) -> str:
    """How a policy knows a text: "content", "text", "tool_calls.0.function.arguments"."""
    return ".".join(str(step) for step in (path[1:] or path))


def conceal(answer: dict[str, Any]) -> bool:
    """Take out what repeats the text in other words, log probabilities and token ids; True when
    there was any."""
    found = False
    for choice in answer.get("choices") or ():
        if choice.get("logprobs") is not None:
            choice["logprobs"] = None
            found = True
        if choice.pop("token_ids", None) is not None:
            found = True
    return found


def speaking(
    answer: dict[str, Any], index: int, said: Iterable[tuple[Path, str]]
) -> dict[str, Any]:
    """An event like `answer` in which choice `index` says just this, and does not finish."""
    choice: dict[str, Any] = {"index": index, "finish_reason": None}
    for path, text in said:
        _put(choice, path, text)
    event = {**answer, "choices": [choice]}
    if "usage" in event:
        event["usage"] = None
    return event


def _put(choice: dict[str, Any], path: Path, text: str) -> None:
    node: Any = choice
    for step, following in pairwise(path):
        node = _child(node, step, [] if isinstance(following, int) else {})
    if isinstance(path[-1], int):
        node.append(text)
    else:
        node[path[-1]] = text


def _child(node: Any, step: str | int, empty: Any) -> Any:
    if isinstance(node, dict):
        return node.setdefault(step, empty)
    for part in node:
        if isinstance(part, dict) and part.get("index") == step:
            return part
    part = {"index": step, **empty} if isinstance(empty, dict) else empty
    node.append(part)
    return part
