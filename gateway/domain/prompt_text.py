"""What of a request goes into a model's window: texts and tokens, and cheap bounds of how many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.domain.endpoints import CHAT, Endpoint

LONGEST_TOKEN = 128
"""Bytes that one token stands for at most: the longest run of spaces in today's vocabularies."""
# Code and prose have more characters to a token than this, so that most texts are not counted.
_ASCII_PER_TOKEN = 3
_THOUGHT = "</think>"


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt of a request: a text, or a number of tokens that the client made itself."""

    text: str = ""
    tokens: int = 0

    @property
    def most(self) -> int:
        """Tokens that it can have at most, next to what a template adds: one for each byte."""
        return self.tokens + len(self.text) * (1 if self.text.isascii() else 4)

    @property
    def likely(self) -> int:
        """Tokens that it hardly has more than."""
        chars = len(self.text)
        return self.tokens + (chars // _ASCII_PER_TOKEN if self.text.isascii() else chars)

    @property
    def least(self) -> int:
        """Tokens that it has for certain."""
        return self.tokens + len(self.text) // LONGEST_TOKEN


def prompts_of(endpoint: Endpoint, body: Mapping[str, Any]) -> list[Prompt]:
    """Each prompt that must fit into the window by itself. Images and tools are not in it, nor
    what a template may leave out: thoughts of earlier answers."""
    if endpoint is CHAT:
        return [Prompt("\n".join(_said(body.get("messages"))))]
    given = body.get("prompt", body.get("input"))
    if isinstance(given, str):
        return [Prompt(given)]
    if not isinstance(given, list) or not given:
        return []
    if isinstance(given[0], int):
        return [Prompt(tokens=len(given))]
    return [
        Prompt(one) if isinstance(one, str) else Prompt(tokens=len(one))
        for one in given
        if isinstance(one, str | list)
    ]


def _said(messages: Any) -> list[str]:
    found: list[str] = []
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, str):
            texts = [content]
        else:
            rows = content if isinstance(content, list) else [content]
            parts = (part.get("text") if isinstance(part, dict) else part for part in rows)
            texts = [text for text in parts if isinstance(text, str)]
        if texts and message.get("role") == "assistant":
            texts = [text.rpartition(_THOUGHT)[2] for text in texts]
        found += texts
    return found
