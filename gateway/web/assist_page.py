"""docs/reference/actions.md, whole: the page of the actions, with the fields of a body."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from gateway.domain import actions_page
from gateway.web.assist_body import SHAPES

_RANGES = ("start", "end")


def reference() -> str:
    """The page, in Markdown."""
    rows: dict[str, None] = {}
    for shape in (SHAPES["file"], SHAPES["diff"]):
        schema = shape.model_json_schema()
        for row in _rows(schema, schema["$defs"], ""):
            rows[row] = None
    return actions_page.reference(rows)


def _rows(schema: dict[str, Any], definitions: dict[str, Any], before: str) -> Iterator[str]:
    """A row for each field, and after a group one for each field in it."""
    for name, field in schema["properties"].items():
        path = before + name
        # What the body itself must hold is each action's own.
        needed = bool(before) and name in schema.get("required", ())
        kind, inside = _kind(field, definitions)
        about = field.get("description") or (inside or {}).get("description", "")
        cells = (f"`{path}`", kind + _limits(field), _default(field, needed), about)
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
        if inside is not None and kind.removeprefix("array of ") != "range":
            more = "[]." if kind.startswith("array") else "."
            yield from _rows(inside, definitions, path + more)


def _kind(field: dict[str, Any], definitions: dict[str, Any]) -> tuple[str, dict[str, Any] | None]:
    """The type in words, and the group that it is."""
    if "anyOf" in field:
        found = [_kind(one, definitions) for one in field["anyOf"] if one.get("type") != "null"]
        return " or ".join(kind for kind, _ in found), found[0][1]
    if "$ref" in field:
        group = definitions[field["$ref"].rsplit("/", 1)[1]]
        return ("range" if tuple(group["properties"]) == _RANGES else "object"), group
    if "enum" in field:
        return ", ".join(f"`{word}`" for word in field["enum"]), None
    if field["type"] == "array":
        kind, group = _kind(field["items"], definitions)
        return f"array of {kind}", group
    return str(field["type"]), None


_SAY = {
    "maxLength": "at most {} characters",
    "maxItems": "at most {}",
    "minimum": "from {}",
    "exclusiveMinimum": "above {}",
    "maximum": "to {}",
}


def _limits(field: dict[str, Any]) -> str:
    every = [field, *field.get("anyOf", ())]
    found = [say.format(one[key]) for key, say in _SAY.items() for one in every if key in one]
    return f"; {', '.join(found)}" if found else ""


def _default(field: dict[str, Any], needed: bool) -> str:
    if needed:
        return "needed"
    value = field.get("default")
    empty = value is None or value in ("", []) or isinstance(value, dict)
    return "" if empty else f"`{json.dumps(value)}`"


if __name__ == "__main__":
    print(reference(), end="")
