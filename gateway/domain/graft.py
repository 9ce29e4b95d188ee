"""Makes the events of a later stream go on with an earlier one, as if they were one: Graft."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from gateway.domain.call import Usage
from gateway.domain.seam import Seam
from gateway.domain.sse import data_of, encode, events


class Unjoinable(Exception):
    """The later stream says something that cannot follow what was shown."""


class Graft:
    """Rewrites whole events: the first stream's `identity`, no second role, a clean seam, usage
    over both. `tokens` is what was sent to be continued; 0 and `strict=False` for a restart, in
    which the later stream may say whatever the first could have said."""

    __slots__ = ("_identity", "_roles", "_seam", "_strict", "_tokens")

    def __init__(
        self,
        identity: Mapping[str, Any],
        roles: set[int],
        seam: Seam,
        *,
        tokens: int = 0,
        strict: bool = True,
    ) -> None:
        self._identity = identity
        self._roles = roles
        self._seam = seam
        self._tokens = tokens
        self._strict = strict

    def feed(self, whole: bytes) -> bytes:
        """What the client may have of these whole events. Unjoinable when they do not fit."""
        return b"".join([self._event(event) for event in events(whole)])

    def usage(self, own: Usage | None) -> Usage | None:
        """What both streams used together, from what the later one says of itself."""
        if own is None:
            return None
        prompt = max(0, own.prompt - self._tokens)
        completion = own.completion + self._tokens
        return Usage(prompt, completion, min(own.cached, prompt), own.estimated)

    def _event(self, event: bytes) -> bytes:
        payload = data_of(event)
        if payload is None:
            return event
        try:
            chunk = orjson.loads(payload)
        except orjson.JSONDecodeError:
            raise Unjoinable("a continuation that cannot be read") from None
        choices = chunk.get("choices") or []
        told = [choice for choice in choices if self._choice(choice)]
        usage = chunk.get("usage")
        if choices and not told and not usage:
            return b""
        chunk |= self._identity
        if isinstance(usage, dict):
            self._add_up(usage)
        return encode(orjson.dumps(chunk))

    def _add_up(self, usage: dict[str, Any]) -> None:
        both = self.usage(Usage.read(usage))
        if both is None:
            return
        usage |= {"prompt_tokens": both.prompt, "completion_tokens": both.completion}
        usage["total_tokens"] = both.prompt + both.completion
        details = usage.get("prompt_tokens_details")
        if isinstance(details, dict) and "cached_tokens" in details:
            details["cached_tokens"] = both.cached

    def _choice(self, choice: dict[str, Any]) -> bool:
        """Mend one choice; False when nothing is left in it."""
        delta, finished = choice.get("delta"), bool(choice.get("finish_reason"))
        fields, key = (delta, "content") if isinstance(delta, dict) else (choice, "text")
        if fields is delta:
            self._check(delta)
            if choice.get("index", 0) in self._roles:
                delta.pop("role", None)
        text = fields.get(key)
        if choice.get("index", 0) == 0 and (isinstance(text, str) or finished):
            said = self._seam.feed(text or "")
            if finished:
                said += self._seam.end()
            if said or text is not None:
                fields[key] = text = said
        return finished or bool(text) or (fields is delta and any(delta.values()))

    def _check(self, delta: dict[str, Any]) -> None:
        if not self._strict:
            return
        for key, value in delta.items():
            if value and key not in ("role", "content"):
                raise Unjoinable(f"a continuation with {key}")
