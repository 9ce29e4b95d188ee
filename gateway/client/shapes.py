"""From JSON to frozen dataclasses: read(). What a class does not know stays in its `extra`."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from gateway.client.errors import InvalidAnswer

Shape = TypeVar("Shape")
_NUMBER = (int, float)


def read(shape: type[Shape], payload: object, *, where: str = "the answer") -> Shape:
    """An instance of the dataclass `shape` with the fields of `payload`.

    A newer gateway may say more than this client knows: that is kept in the field `extra`, where
    the class has one, and all of it in `raw`. InvalidAnswer when a field is missing or of another
    type, with its place.
    """
    if not isinstance(payload, Mapping):
        raise InvalidAnswer(f"{where} is no JSON object")
    known = _fields(shape)  # type: ignore[arg-type]  # mypy: no type is hashable
    given: dict[str, Any] = {}
    for name, (field, hint) in known.items():
        if name in payload and name not in ("extra", "raw"):
            given[name] = _value(hint, payload[name], f"{where}: {name}")
        elif field.default is MISSING and field.default_factory is MISSING:
            raise InvalidAnswer(f"{where}: {name} is missing; is a gateway answering at that URL?")
    if "extra" in known:
        given["extra"] = {name: said for name, said in payload.items() if name not in known}
    if "raw" in known:
        given["raw"] = payload
    return shape(**given)


@cache
def _fields(shape: type) -> dict[str, tuple[Field[Any], Any]]:
    hints = get_type_hints(shape)
    return {field.name: (field, hints[field.name]) for field in fields(shape) if field.init}


def _value(hint: Any, said: object, where: str) -> Any:
    """`said` as the type `hint` has it; lists become tuples."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _one_of(get_args(hint), said, where)
    if origin is tuple:
        if not isinstance(said, list):
            raise InvalidAnswer(f"{where} is no list")
        inner = get_args(hint)[0]
        return tuple(_value(inner, one, f"{where}[{at}]") for at, one in enumerate(said))
    if is_dataclass(hint):
        return read(hint, said, where=where)  # type: ignore[arg-type]
    if hint is Any:
        return said
    if origin is Literal:
        if said not in get_args(hint):
            raise InvalidAnswer(f"{where} is {said!r}, not one of {get_args(hint)}")
        return said
    if origin is not None:
        hint = origin
    expected = _NUMBER if hint is float else hint
    if not isinstance(said, expected) or (isinstance(said, bool) and hint is not bool):
        raise InvalidAnswer(f"{where} is {type(said).__name__}, not {hint.__name__}")
    return said


def _one_of(options: tuple[Any, ...], said: object, where: str) -> Any:
    if said is None and type(None) in options:
        return None
    rest = [option for option in options if option is not type(None)]
    return _value(rest[0], said, where)
