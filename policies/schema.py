"""Schema: what a request must have, and how much it may ask for."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from gateway import Call, Policy, Refusal

_ANSWER_LIMITS = ("max_tokens", "max_completion_tokens", "n_predict", "min_tokens")
_COUNTS = ("n", "best_of", "num_return_sequences")


class Schema(Policy):
    """Refuses requests that lack a required field or pass a maximum."""

    class Settings(Policy.Settings):
        required: frozenset[str] = frozenset()
        """body fields that must be there: [user]"""

        max_messages: int | None = Field(None, ge=1)
        """messages of one chat, or texts of one batch"""

        max_characters: int | None = Field(None, ge=1)
        """characters of all text in the body; a token id counts as one"""

        max_choices: int | None = Field(None, ge=1)
        """answers to one prompt (`n`)"""

        max_tokens: int | None = Field(None, ge=1)
        """tokens of one answer; a request that names no limit is given this one"""

        @model_validator(mode="after")
        def _says_something(self) -> Schema.Settings:
            if not self.model_dump(exclude_defaults=True):
                raise ValueError("set at least one of required, max_messages, max_characters, …")
            return self

    settings: Settings

    async def before(self, call: Call) -> None:
        body, bounds = call.body, self.settings
        for name in sorted(bounds.required):
            if body.get(name) is None:
                raise Refusal(f"{name!r} is missing; requests need it here.", status=400)
        if bounds.max_messages is not None:
            for name in ("messages", "prompt", "input"):
                _at_most(bounds.max_messages, _parts(body.get(name)), f"the parts of {name!r}")
        if bounds.max_characters is not None:
            _at_most(bounds.max_characters, _characters(body), "the characters of the request")
        if bounds.max_choices is not None:
            for name in _COUNTS:
                _at_most(bounds.max_choices, _number(body, name), repr(name))
        if bounds.max_tokens is not None:
            self._limit_answer(call, bounds.max_tokens)

    def _limit_answer(self, call: Call, most: int) -> None:
        given = {name for name in _ANSWER_LIMITS if call.body.get(name) is not None}
        for name in sorted(given):
            _at_most(most, _number(call.body, name), repr(name))
        # Without a limit that its engine knows, a model may go on to the end of its window.
        known = _ANSWER_LIMITS[: 2 if "messages" in call.endpoint.required else 1]
        if not given.intersection(known) and call.endpoint.streams:
            call.body["max_tokens"] = most


def _at_most(most: int, number: int, what: str) -> None:
    if number > most:
        message = (
            f"{what.capitalize() if what[0].isalpha() else what}: {number}; at most {most} here."
        )
        raise Refusal(message, status=400, code="request_too_large")


def _number(body: dict[str, Any], name: str) -> int:
    """A replica would read "100" or 100.0 as a number too, so those may not slip by."""
    value = body.get(name)
    if value is None:
        return 0
    if type(value) is not int:
        raise Refusal(f"{name!r} must be a whole number.", status=400)
    return value


def _parts(value: object) -> int:
    # A list of numbers is one text, in token ids.
    if not isinstance(value, list):
        return 1
    return 1 if value and isinstance(value[0], int) else len(value)


def _characters(body: dict[str, Any]) -> int:
    total, waiting = 0, [body[name] for name in body]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            total += len(value)
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
        elif value is not None:
            total += 1
    return total
