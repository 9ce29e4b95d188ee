"""The windows of models, remembered for a while: Ceilings; and Reach, how far a call may go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.domain.errors import GatewayError
from gateway.domain.ports import Router, Tokens
from gateway.domain.retry import Fault

_KNOWN_SECONDS = 30.0
_UNKNOWN_SECONDS = 5.0
_ASK_SECONDS = 0.5
# One for each table of fallbacks.
_FAULTS = (Fault.CONNECT, Fault.CONTEXT_WINDOW, Fault.CONTENT_POLICY)


class Ceilings:
    """`clock` gives monotonic seconds."""

    def __init__(self, tokens: Tokens, clock: Callable[[], float]) -> None:
        self._tokens = tokens
        self._clock = clock
        self._known: dict[str, tuple[float, int | None]] = {}

    async def of(self, model: str) -> int | None:
        """The largest window of its replicas, in tokens; None where one of them does not tell, or
        not within half a second."""
        until, window = self._known.get(model, (0.0, None))
        if self._clock() < until:
            return window
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                window = await self._tokens.ceiling(model)
        except (TimeoutError, GatewayError):
            window = None
        seconds = _UNKNOWN_SECONDS if window is None else _KNOWN_SECONDS
        self._known[model] = (self._clock() + seconds, window)
        return window


class Reach:
    """Satisfies domain.tools.Reach. Both are asked for anew each time: a reload replaces them."""

    def __init__(self, router: Callable[[], Router], ceilings: Callable[[], Ceilings]) -> None:
        self._router = router
        self._ceilings = ceilings

    def models(self, model: str) -> tuple[str, ...]:
        """`model` first, then those that may stand in for it, and for them."""
        found = {model: None}
        waiting = [model]
        while waiting:
            asked = waiting.pop(0)
            for fault in _FAULTS:
                for one in self._router().fallbacks(asked, fault):
                    if one.model not in found:
                        found[one.model] = None
                        waiting.append(one.model)
        return tuple(found)

    async def window(self, model: str) -> int | None:
        """The largest of those that are known; None where that of `model` itself is not."""
        ceilings = self._ceilings()
        own, *others = [await ceilings.of(one) for one in self.models(model)]
        return None if own is None else max([own, *(one for one in others if one is not None)])
