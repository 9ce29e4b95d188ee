"""LiteLLM's answers, already in OpenAI's shape, made into what an OpenAI server would send."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from gateway.domain.sse import encode

# LiteLLM adds what only one provider knows; nobody downstream reads it.
_ASIDE: Final = frozenset({"provider_specific_fields", "thinking_blocks", "citations"})
_COUNTS: Final = ("prompt_tokens", "completion_tokens", "total_tokens")
_DETAILS: Final = {
    "prompt_tokens_details": ("cached_tokens", "audio_tokens"),
    "completion_tokens_details": ("reasoning_tokens", "audio_tokens"),
}


def usage_of(given: object) -> dict[str, Any] | None:
    """The token counts that OpenAI's `usage` has."""
    if not isinstance(given, dict):
        return None
    usage: dict[str, Any] = {name: given.get(name) or 0 for name in _COUNTS}
    for name, keys in _DETAILS.items():
        inner = given.get(name)
        if isinstance(inner, dict):
            usage[name] = {key: inner[key] for key in keys if isinstance(inner.get(key), int)}
    return usage


def plain(answer: Mapping[str, Any], model: str) -> bytes:
    """The body of an answer that is no stream; `model` names the model where the answer does
    not."""
    told = {key: value for key, value in answer.items() if value is not None}
    told["model"] = told.get("model") or model
    if (usage := usage_of(told.get("usage"))) is not None:
        told["usage"] = usage
    if isinstance(told.get("choices"), list):
        told["choices"] = [_choice(one) for one in told["choices"]]
    return orjson.dumps(told)


def _choice(choice: Mapping[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in choice.items() if v is not None and k not in _ASIDE}
    if isinstance(message := kept.get("message"), dict):
        kept["message"] = {"content": None} | _shown(message)
    return kept


def _shown(delta: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in delta.items() if v is not None and k not in _ASIDE}


class StreamEvents:
    """Makes the events of one stream. A piece that shows nothing waits for one that does, so that
    a stream which breaks before has not begun."""

    __slots__ = ("_head", "_model", "_usage", "_waiting")

    def __init__(self, model: str) -> None:
        self._model = model
        self._head: dict[str, Any] = {}
        self._waiting: list[dict[str, Any]] = []
        self._usage: dict[str, Any] | None = None

    def of(self, chunk: Mapping[str, Any]) -> bytes:
        """The events of one of LiteLLM's chunks, maybe none (b"")."""
        self._usage = usage_of(chunk.get("usage")) or self._usage
        head = {
            "id": chunk.get("id") or "",
            "object": "chat.completion.chunk",
            "created": chunk.get("created") or 0,
            "model": chunk.get("model") or self._model,
        }
        self._head = self._head or head
        choices = [_piece(one) for one in chunk.get("choices") or ()]
        shown = [one for one in choices if one["delta"] or one["finish_reason"]]
        if not shown:
            return b""
        event = {**self._head, "choices": shown}
        if not any(one["finish_reason"] or set(one["delta"]) - {"role"} for one in shown):
            self._waiting.append(event)
            return b""
        waiting, self._waiting = [*self._waiting, event], []
        return b"".join(encode(orjson.dumps(one)) for one in waiting)

    def end(self) -> bytes:
        """What follows the last piece of a whole answer: its usage, where it was told."""
        if self._usage is None:
            return b""
        return encode(orjson.dumps({**self._head, "choices": [], "usage": self._usage}))


def _piece(choice: Mapping[str, Any]) -> dict[str, Any]:
    delta = {k: v for k, v in _shown(choice.get("delta") or {}).items() if v != ""}
    piece = {
        "index": choice.get("index") or 0,
        "delta": delta,
        "finish_reason": choice.get("finish_reason"),
    }
    if choice.get("logprobs") is not None:
        piece["logprobs"] = choice["logprobs"]
    return piece
