"""Looks at a gateway again and again, and works out what came in between: Watch."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Protocol, cast

from gateway.cli.live_view import Shown
from gateway.client.errors import (
    AssistError,
    ConnectionFailed,
    InvalidAnswer,
    RequestTimeout,
    StatusError,
)
from gateway.domain.live import Live, rates

# Rates are those of about so long: a single second says little where answers take several.
_SPAN_SECONDS = 5.0


class Source(Protocol):
    """A gateway that can be asked: LiveGateway."""

    @property
    def url(self) -> str: ...
    def get(self, path: str) -> object: ...


class Watch:
    """`interval` seconds from look to look; `clock` gives monotonic seconds."""

    def __init__(
        self,
        gateway: Source,
        interval: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._gateway = gateway
        self.interval = interval
        self._clock = clock
        self._sleep = sleep
        self._looks: deque[tuple[float, Live]] = deque()
        self._last: Shown | None = None

    def look(self) -> Shown:
        """The gateway as it is now. AssistError when it does not say."""
        told = self._gateway.get("/admin/live")
        if not isinstance(told, dict) or not {"workers", "replicas", "slowest"} <= told.keys():
            raise InvalidAnswer(f"{self._gateway.url} answers, but not as a gateway does")
        live, now = cast(Live, told), self._clock()
        while len(self._looks) > 1 and now - self._looks[0][0] > _SPAN_SECONDS:
            self._looks.popleft()
        between = None
        if self._looks and now > (first := self._looks[0])[0]:
            between = rates(first[1], live, now - first[0])
        self._looks.append((now, live))
        self._last = Shown(self._gateway.url, live, between)
        return self._last

    def look_again(self) -> Shown:
        """As `look`, but where the gateway has gone away meanwhile: what it said last, and the
        trouble. AssistError when that is not one that passes by itself."""
        try:
            return self.look()
        except (ConnectionFailed, RequestTimeout, StatusError) as error:
            passes = not isinstance(error, StatusError) or error.retryable or error.status >= 500
            if self._last is None or not passes:
                raise
            return self._troubled(self._last, error)

    def _troubled(self, last: Shown, error: AssistError) -> Shown:
        since = self._clock() - self._looks[-1][0]
        trouble = f"No answer for {since:.0f} s, this is the last one. {error}"
        return Shown(last.url, last.live, None, trouble)

    def pause(self, least: float = 0.0) -> None:
        """Until the next look is due, and no shorter than `least` seconds."""
        self._sleep(max(self.interval, least))
