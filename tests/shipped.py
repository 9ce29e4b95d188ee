"""The prompts that are shipped, in all their languages, and inputs with a text for each place."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway.adapters.prompts import load

FOLDER = Path(__file__).parents[1] / "prompts"
PROMPTS = load(FOLDER)
ROLES = ["system", "user"]
# Every text of every prompt: by what it is called here, the key that it is served by.
FACES = {
    name + (f".{locale}" if locale else ""): loaded.prompt.ref.key
    for name in PROMPTS.names()
    for (locale, _), loaded in PROMPTS.family(name).working.faces.items()
}
# Fields that a prompt takes, since each file comes with them, but has no use for.
HIDDEN = {
    ("code/commit-message", "file", field) for field in ("path", "language", "before", "after")
}

# One value for each shipped input, each leaf with a text of its own to be found again.
FULL: dict[str, Any] = {
    "rules": "RULES",
    "related": [{"path": "RELATED-PATH", "reason": "RELATED-REASON", "text": "RELATED-TEXT"}],
    "file": {
        "path": "FILE-PATH",
        "language": "FILE-LANGUAGE",
        "before": "FILE-BEFORE\n",
        "selected": "FILE-SELECTED\n",
        "after": "FILE-AFTER\n",
    },
    "diagnostics": [{"line": "LINE", "severity": "SEVERITY", "message": "MESSAGE"}],
    "conversation": [
        {"role": "user", "content": "TURN-ONE"},
        {"role": "assistant", "content": "TURN-TWO"},
    ],
    "answer_language": "ANSWER-IN",
    "instruction": "INSTRUCTION",
}


def inputs_of(key: str) -> dict[str, Any]:
    return {name: copy.deepcopy(FULL[name]) for name in PROMPTS.get(key).inputs}


def is_shown(key: str, path: tuple[str | int, ...]) -> bool:
    return (PROMPTS.get(key).ref.name, *path) not in HIDDEN


def leaves(inputs: dict[str, Any]) -> Iterator[tuple[str | int, ...]]:
    """Where texts stand in `inputs`; not the role of a turn, which is one of two words."""
    for key, value in inputs.items():
        if isinstance(value, str):
            yield (key,)
        elif isinstance(value, dict):
            yield from ((key, field) for field in value)
        else:
            for number, item in enumerate(value):
                yield from ((key, number, field) for field in item if field != "role")


def put(inputs: dict[str, Any], path: tuple[str | int, ...], text: str) -> dict[str, Any]:
    changed: Any = copy.deepcopy(inputs)
    place = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = text
    return dict(changed)


def at(inputs: dict[str, Any], path: tuple[str | int, ...]) -> object:
    value: Any = inputs
    for step in path:
        value = value[step]
    return value
