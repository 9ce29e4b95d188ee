"""Whether a result is as the reference page tells it."""

from __future__ import annotations

from typing import Any

from gateway.domain.result_fields import PARTS, Told

_PLAIN: dict[str, type] = {"string": str, "integer": int, "boolean": bool}


def assert_told(said: dict[str, Any], told: Told, where: str = "") -> None:
    """Each field is told of, has the type that is told, and is there unless it may be left out."""
    kinds = {name: kind for names, (kind, _) in told.items() for name in names.split(", ")}
    assert set(said) <= set(kinds), f"{where}: not told of"
    for name, kind in kinds.items():
        value = said.get(name)
        if value is None:
            assert kind.endswith("?"), f"{where}.{name} is not there"
            continue
        _assert_kind(value, kind.removesuffix("?"), f"{where}.{name}")


def _assert_kind(value: Any, kind: str, where: str) -> None:
    if kind.startswith("array of "):
        assert isinstance(value, list), where
        for one in value:
            _assert_kind(one, kind.removeprefix("array of "), where)
    elif kind in PARTS:
        assert_told(value, PARTS[kind], where)
    else:
        assert type(value) is _PLAIN[kind], where
