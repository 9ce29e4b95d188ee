"""What binds an answer to a form: schemas, patterns, grammars, choices; and the tools."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson

from gateway.domain.bounds import Bounds
from gateway.domain.errors import InvalidRequest
from gateway.domain.pattern import check_pattern
from gateway.domain.schema_bounds import check_schemas

_FORMS = frozenset({"text", "json_object", "json_schema"})


def check_tools(name: str, tools: Any, bounds: Bounds) -> None:
    """InvalidRequest unless `tools` is a list of objects within its bounds, each function with a
    valid schema. Tools come with each request of a conversation: what has passed once, passes."""
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        raise _wrong(name, "must be a list of objects")
    if len(tools) > bounds.tools:
        raise too_many(name, len(tools), bounds.tools, "tools")
    written = orjson.dumps(tools)
    if len(written) > bounds.tools_bytes:
        raise _too_large(name, len(written), "tools_bytes", bounds.tools_bytes)
    _check_once(written, _schemas_of(name, tools), bounds)


# Only what was found to be in order is remembered, so that it changes nothing but the time.
_PASSED: dict[bytes, Bounds] = {}
_MOST_PASSED = 1024


def _check_once(written: bytes, schemas: Iterator[tuple[str, Any]], bounds: Bounds) -> None:
    """Check these schemas, unless they have passed before: `written` holds them all."""
    digest = hashlib.blake2b(written, digest_size=16).digest()
    if _PASSED.get(digest) == bounds:
        return
    check_schemas(schemas, bounds)
    if len(_PASSED) >= _MOST_PASSED:
        del _PASSED[next(iter(_PASSED))]
    _PASSED[digest] = bounds


def _schemas_of(name: str, tools: list[dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    """The parameters of each function, in the shape of tools and in the older one of functions."""
    for at, tool in enumerate(tools):
        inner = tool.get("function")
        function, place = (inner, f"{name}[{at}].function") if inner else (tool, f"{name}[{at}]")
        if not isinstance(function, dict):
            raise _wrong(place, "must be an object")
        if (schema := function.get("parameters")) is not None:
            yield f"{place}.parameters", schema


def check_response_format(name: str, form: Any, bounds: Bounds) -> None:
    """InvalidRequest unless `form` is one of OpenAI's, with a valid schema where it has one."""
    if not isinstance(form, dict) or not isinstance(form.get("type"), str):
        raise _wrong(name, "must be an object with a 'type'")
    kind = form["type"]
    if kind == "structural_tag":
        _check_tags(name, form, bounds)
    elif kind not in _FORMS:
        raise _wrong(f"{name}.type", "must be text, json_object, json_schema or structural_tag")
    elif kind == "json_schema":
        inner = form.get("json_schema")
        if not isinstance(inner, dict):
            raise _wrong(f"{name}.json_schema", "must be an object with 'name' and 'schema'")
        if (schema := inner.get("schema")) is not None:
            check_json(f"{name}.json_schema.schema", schema, bounds)


def check_structured_outputs(name: str, wanted: Any, bounds: Bounds) -> None:
    """vLLM's own object, one of whose fields says what the answer must be."""
    if not isinstance(wanted, dict):
        raise _wrong(name, "must be an object")
    for field, value in wanted.items():
        check = _FIELDS.get(field)
        if check is not None and value is not None:
            check(f"{name}.{field}", value, bounds)


def check_json(name: str, schema: Any, bounds: Bounds) -> None:
    """A JSON Schema, as an object or as a text that holds one."""
    written = schema.encode() if isinstance(schema, str) else orjson.dumps(schema)
    if len(written) > bounds.schema_bytes:
        raise _too_large(name, len(written), "schema_bytes", bounds.schema_bytes)
    if isinstance(schema, str):
        try:
            schema = orjson.loads(written)
        except orjson.JSONDecodeError as error:
            raise InvalidRequest(
                f"{name!r} is not valid JSON: {error.msg}.", param=name, code="invalid_schema"
            ) from None
    _check_once(b"json" + written, iter([(name, schema)]), bounds)


def check_regex(name: str, pattern: Any, bounds: Bounds) -> None:
    """A regular expression."""
    check_pattern(name, pattern, bounds.pattern_chars)


def check_grammar(name: str, grammar: Any, bounds: Bounds) -> None:
    """A grammar is only measured: each engine has a dialect of its own."""
    if not isinstance(grammar, str):
        raise _wrong(name, "must be a string")
    if len(grammar) > bounds.grammar_bytes or len(grammar.encode()) > bounds.grammar_bytes:
        raise _too_large(name, len(grammar.encode()), "grammar_bytes", bounds.grammar_bytes)
    deepest = depth = 0
    for one in grammar:
        if one in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif one in ")]}":
            depth -= 1
    if deepest > bounds.schema_depth:
        raise InvalidRequest(
            f"{name!r} nests {deepest} deep; at most {bounds.schema_depth} is taken (the operator "
            "sets limits.schema_depth).",
            param=name,
            code="grammar_too_deep",
        )


def check_choice(name: str, choices: Any, bounds: Bounds) -> None:
    """A list of texts, one of which the answer must be."""
    if not isinstance(choices, list) or not choices:
        raise _wrong(name, "must be a list of strings")
    if not all(isinstance(choice, str) for choice in choices):
        raise _wrong(name, "must be a list of strings")
    if len(choices) > bounds.choices:
        raise too_many(name, len(choices), bounds.choices, "choices")
    if (chars := sum(map(len, choices))) > bounds.schema_bytes:
        raise _too_large(name, chars, "schema_bytes", bounds.schema_bytes)


def _check_tags(name: str, tags: Any, bounds: Bounds) -> None:
    """Free text with schemas between marks. As the shape is the engine's own, whatever is called
    a schema in it is checked, wherever it is."""
    if isinstance(tags, str):
        try:
            tags = orjson.loads(tags)
        except orjson.JSONDecodeError:
            raise _wrong(name, "must be JSON") from None
    size = len(orjson.dumps(tags))
    if size > bounds.schema_bytes:
        raise _too_large(name, size, "schema_bytes", bounds.schema_bytes)
    check_schemas(_named_schemas(name, tags), bounds)
    for place, pattern in _named(name, tags, ("pattern", "regex")):
        if isinstance(pattern, str):
            check_pattern(place, pattern, bounds.pattern_chars)
    for place, grammar in _named(name, tags, ("grammar",)):
        check_grammar(place, grammar, bounds)


def _named_schemas(name: str, tags: Any) -> Iterator[tuple[str, Any]]:
    for place, found in _named(name, tags, ("schema", "json_schema")):
        if isinstance(found, dict | bool):
            yield place, found


def _named(place: str, value: Any, names: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Whatever goes by one of these names anywhere in `value`, with its place."""
    waiting = [(place, value)]
    while waiting:
        at, one = waiting.pop()
        rows: dict[str, Any] = one if isinstance(one, dict) else {}
        if isinstance(one, list):
            rows = {f"[{number}]": item for number, item in enumerate(one)}
        for key, inner in rows.items():
            if key in names:
                yield f"{at}.{key}", inner
            waiting.append((f"{at}.{key}"[:200], inner))


_FIELDS: Mapping[str, Callable[[str, Any, Bounds], None]] = {
    "json": check_json,
    "regex": check_regex,
    "choice": check_choice,
    "grammar": check_grammar,
    "structural_tag": _check_tags,
    "whitespace_pattern": check_regex,
}


def too_many(name: str, count: int, most: int, setting: str) -> InvalidRequest:
    """A list that is too long, and who may allow more."""
    return InvalidRequest(
        f"{name!r} has {count} entries; at most {most} are taken (the operator sets "
        f"limits.{setting}).",
        param=name,
        code="array_above_max_length",
    )


def _too_large(name: str, size: int, setting: str, most: int) -> InvalidRequest:
    return InvalidRequest(
        f"{name!r} is {size} bytes; at most {most} are taken (the operator sets limits.{setting}).",
        param=name,
        code="string_above_max_length",
    )


def _wrong(name: str, says: str) -> InvalidRequest:
    return InvalidRequest(f"{name!r} {says}.", param=name, code="invalid_type")
