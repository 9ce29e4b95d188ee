"""Tokens where no replica has told how many there were: our own guess, and marked as one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.domain.call import Usage
from gateway.domain.request_texts import texts


def of_stream(body: Mapping[str, Any], events: int) -> Usage:
    """Of a stream of so many events to this request: an event brings a token."""
    return Usage(prompt=_asked(body), completion=max(0, events - 1), estimated=True)


def of_answer(body: Mapping[str, Any], answer: Mapping[str, Any]) -> Usage:
    """Of a whole answer to this request."""
    size = 0
    for choice in _dicts(answer.get("choices")):
        message = choice.get("message")
        said = message if isinstance(message, dict) else {"content": choice.get("text")}
        size += sum(_bytes(value) for value in _strings(said))
    return Usage(prompt=_asked(body), completion=_tokens(size), estimated=True)


def _asked(body: Mapping[str, Any]) -> int:
    """Four bytes of text make a token, and so does a number of a prompt in tokens. Images and
    sounds count for nothing."""
    size = sum(_bytes(text.value) for text in texts(dict(body)))
    for name in ("prompt", "input"):
        prompts = body.get(name)
        for prompt in (prompts, *prompts) if isinstance(prompts, list) else ():
            if isinstance(prompt, list):
                size += 4 * sum(isinstance(token, int) for token in prompt)
    return _tokens(size)


def _strings(value: object) -> list[str]:
    """Every text in a message: what it says, thinks, and calls tools with."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for name, one in value.items() if name != "role" for text in _strings(one)]
    if isinstance(value, list):
        return [text for one in value for text in _strings(one)]
    return []


def _dicts(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _bytes(text: str) -> int:
    return len(text.encode(errors="replace"))


def _tokens(size: int) -> int:
    return -(-size // 4)
