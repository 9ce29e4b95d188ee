"""Whether a prompt fits a model's window: mostly by its length alone, else by counting it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from gateway.domain.call import Call
from gateway.domain.endpoints import EMBEDDINGS, Endpoint
from gateway.domain.errors import ContextLengthExceeded, GatewayError
from gateway.domain.ports import Tokens
from gateway.domain.prompt_text import Prompt, prompts_of
from gateway.flow.ceilings import Ceilings

# No model has a smaller window.
_ALWAYS_FITS = 512
_COUNT_SECONDS = 1.0
# Text is counted in such pieces, until it is clear that there is too much of it. A conversation
# that grows keeps its first pieces, whose counts are remembered.
_PIECE_CHARS = 16_384
_AT_ONCE = 8
# What cutting a text may add to its count.
_FOR_CUT = 2


class Window:
    """Knows how long a prompt may be. `covers` says for which models that is asked at all."""

    def __init__(self, tokens: Tokens, ceilings: Ceilings, covers: Callable[[str], bool]) -> None:
        self._tokens = tokens
        self._ceilings = ceilings
        self._covers = covers

    async def excess(
        self, call: Call, model: str, body: Mapping[str, Any]
    ) -> ContextLengthExceeded | None:
        """The error to refuse with when the prompt of `body` is certainly longer than what any
        replica of `model` takes. None when it fits, or when nobody can tell: its replica will."""
        # A prompt file's call was fitted into the window as it was made.
        if call.prompt is not None or body.get("truncate_prompt_tokens") is not None:
            return None
        prompts = [one for one in prompts_of(call.endpoint, body) if one.most > _ALWAYS_FITS]
        if not prompts or not self._covers(model):
            return None
        window = await self._ceilings.of(model)
        if window is None:
            return None
        for prompt in prompts:
            tokens = await self._too_many(model, prompt, window - _answer(call.endpoint))
            if tokens:
                call.note("window", model=model, window=window, tokens=tokens)
                return ContextLengthExceeded(window, tokens, _field(body))
        return None

    async def _too_many(self, model: str, prompt: Prompt, room: int) -> int:
        """The tokens of a prompt that has more than `room`, as far as it was counted; else 0."""
        if prompt.most <= room:
            return 0
        if prompt.least > room:
            return prompt.least
        if prompt.likely <= room:
            return 0
        try:
            async with asyncio.timeout(_COUNT_SECONDS):
                return await self._counted(model, prompt.text, room)
        except (TimeoutError, GatewayError):
            return 0

    async def _counted(self, model: str, text: str, room: int) -> int:
        pieces = [text[at : at + _PIECE_CHARS] for at in range(0, len(text), _PIECE_CHARS)]
        total = 0
        for at in range(0, len(pieces), _AT_ONCE):
            counted = await self._tokens.count_texts(model, pieces[at : at + _AT_ONCE])
            if not all(one.exact for one in counted):
                return 0
            total += sum(one.tokens for one in counted) - _FOR_CUT * len(counted)
            if total > room:
                return total
        return 0


def _answer(endpoint: Endpoint) -> int:
    """Tokens that an answer needs at least."""
    return 0 if endpoint is EMBEDDINGS else 1


def _field(body: Mapping[str, Any]) -> str:
    return next((name for name in ("messages", "prompt", "input") if name in body), "messages")
