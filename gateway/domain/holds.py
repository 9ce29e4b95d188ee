"""All that a call holds while it runs (slot, load, reservations), released exactly once: Holds."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.domain.call import Outcome

_log = logging.getLogger("gateway.holds")

Settle = Callable[["Outcome"], Awaitable[None]]


class Hold:
    """One thing that is held and may be given back before its call ends: once, whoever asks."""

    __slots__ = ("_back", "_holds")

    def __init__(self, holds: Holds, back: Callable[[], None]) -> None:
        self._holds: Holds | None = holds
        self._back: Callable[[], None] | None = back

    def give_back(self) -> None:
        """Now. Afterwards it knows neither its call nor what it held: no cycle stays behind."""
        back, holds = self._back, self._holds
        self._back = self._holds = None
        if holds is not None:
            holds.forget(self)
        if back is not None:
            back()


class Holds:
    """What one call holds. Whoever takes something adds how it is given back; the pipeline
    releases the rest when the call is settled, however it ended."""

    __slots__ = ("_kept", "_over")

    def __init__(self) -> None:
        self._kept: list[Hold | Settle] = []
        self._over = False

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, settle: Settle) -> None:
        """`settle` is awaited once, with the call's outcome. RuntimeError once that is told."""
        if self._over:
            raise RuntimeError("the call is over: nothing can be held for it any more")
        self._kept.append(settle)

    def take(self, back: Callable[[], None]) -> Hold:
        """Something that is usually given back earlier; `back` must not wait."""
        hold = Hold(self, back)
        self._kept.append(hold)
        return hold

    def forget(self, hold: Hold) -> None:
        """It has been given back."""
        # Usually the last one, and there are two or three.
        if hold in self._kept:
            self._kept.remove(hold)

    async def release(self, outcome: Outcome) -> None:
        """Give back all that is left, the last first, each exactly once. One that raises is logged
        and keeps no other; a cancellation is raised again once all are through."""
        self._over = True
        stopped: BaseException | None = None
        while self._kept:
            held = self._kept.pop()
            try:
                if isinstance(held, Hold):
                    held.give_back()
                else:
                    await held(outcome)
            except Exception:
                # A marked edge: a policy's own code, and what the others hold must come back.
                _log.exception("something that a call held could not be given back")
            except BaseException as error:
                stopped = error
        if stopped is not None:
            raise stopped
