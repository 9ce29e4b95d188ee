"""Numbers and lists of a request that multiply work: each is of its type and within its bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.domain.bounds import Bounds
from gateway.domain.errors import InvalidRequest
from gateway.domain.structured import too_many

Check = Callable[[str, Any, Bounds], None]
"""Gets the name of a parameter, what was sent for it (never null), and the model's bounds.
InvalidRequest when they do not go together."""


def number(setting: str, *, least: int = 0, flag: bool = False) -> Check:
    """A whole number from `least` to what the setting says; with `flag`, true and false too."""

    def check(name: str, value: Any, bounds: Bounds) -> None:
        if isinstance(value, bool):
            if not flag:
                raise wrong(name, "must be a whole number")
            return
        # The engine would take "500" for 500.
        if not isinstance(value, int):
            raise wrong(name, "must be a whole number")
        if value < least:
            raise InvalidRequest(
                f"{name!r} must be {least} or more; leave it out for the model's own.",
                param=name,
                code="integer_below_min_value",
            )
        most: int = getattr(bounds, setting)
        if value > most:
            raise InvalidRequest(
                f"{name!r} is {str(value)[:20]}; at most {most} is taken (the operator sets "
                f"limits.{setting}).",
                param=name,
                code="integer_above_max_value",
            )

    return check


def stop(name: str, value: Any, bounds: Bounds) -> None:
    """A text or a list of some, none of them long: each is looked for at every token."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise wrong(name, "must be a string or a list of strings")
    if len(texts) > bounds.stop:
        raise too_many(name, len(texts), bounds.stop, "stop")
    _short(name, texts, bounds)


def words(name: str, value: Any, bounds: Bounds) -> None:
    """A list of short texts, as many as may be biased."""
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise wrong(name, "must be a list of strings")
    if len(value) > bounds.logit_bias:
        raise too_many(name, len(value), bounds.logit_bias, "logit_bias")
    _short(name, value, bounds)


def token_ids(name: str, value: Any, bounds: Bounds) -> None:
    """A list of token ids, as many as may be biased."""
    if not isinstance(value, list) or not all(type(one) is int for one in value):
        raise wrong(name, "must be a list of whole numbers")
    if len(value) > bounds.logit_bias:
        raise too_many(name, len(value), bounds.logit_bias, "logit_bias")


def logit_bias(name: str, value: Any, bounds: Bounds) -> None:
    """Token ids as keys, numbers as values."""
    if not isinstance(value, dict):
        raise wrong(name, "must be an object of token ids and numbers")
    if len(value) > bounds.logit_bias:
        raise too_many(name, len(value), bounds.logit_bias, "logit_bias")
    for token, bias in value.items():
        if isinstance(bias, bool) or not isinstance(bias, int | float):
            raise wrong(f"{name}.{token[:40]}", "must be a number")


def texts(setting: str) -> Check:
    """A text, a prompt in tokens, or a list of either that is no longer than the setting says."""

    def check(name: str, value: Any, bounds: Bounds) -> None:
        if isinstance(value, str):
            return
        if not isinstance(value, list):
            raise wrong(name, "must be a string or a list")
        if value and type(value[0]) is int:
            if not all(type(token) is int for token in value):
                raise wrong(name, "must be one text, one list of tokens, or a list of such")
            return
        most: int = getattr(bounds, setting)
        if len(value) > most:
            raise too_many(name, len(value), most, setting)
        for one in value:
            if not isinstance(one, str) and not (
                isinstance(one, list) and all(type(token) is int for token in one)
            ):
                raise wrong(name, "must be one text, one list of tokens, or a list of such")

    return check


def _short(name: str, texts: list[str], bounds: Bounds) -> None:
    if (longest := max(map(len, texts), default=0)) > bounds.stop_chars:
        raise InvalidRequest(
            f"{name!r} has a text of {longest} characters; at most {bounds.stop_chars} are taken "
            "(the operator sets limits.stop_chars).",
            param=name,
            code="string_above_max_length",
        )


def wrong(name: str, says: str) -> InvalidRequest:
    """Something of another type than it has to be."""
    return InvalidRequest(f"{name!r} {says}.", param=name, code="invalid_type")
