"""Who shows many wrong keys waits for the answers: a delay by address, in this process alone."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.settings.identity import Identity

_MOST_PLACES = 10_000
# More answers than this do not wait: a crowd that waits would be an attack of its own.
_MOST_WAITING = 1000
_FIRST_SECONDS = 0.1


@dataclass(slots=True)
class _Tally:
    since: float
    count: int


def neighbourhood(host: str) -> str:
    """The part of an address that one household or firm has: /24 of IPv4, /64 of IPv6."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    mapped = getattr(address, "ipv4_mapped", None)
    bits = 24 if (mapped or address).version == 4 else 64
    return str(ip_network((mapped or address, bits), strict=False))


class Failures:
    """How many wrong keys came from where of late. `clock` gives monotonic seconds. The oldest of
    very many places are forgotten."""

    def __init__(self, rule: Identity, clock: Callable[[], float]) -> None:
        self._rule = rule
        self._clock = clock
        self._places: OrderedDict[str, _Tally] = OrderedDict()

    def delay(self, host: str) -> float:
        """Another wrong key came from there: seconds that its answer waits. Twice as long each
        time, from the first that is one too many, up to `delay_s`."""
        rule = self._rule
        if not rule.failures or not rule.delay_s:
            return 0.0
        now, place = self._clock(), neighbourhood(host)
        tally = self._places.get(place)
        if tally is None or now - tally.since >= rule.failure_window_s:
            tally = self._places[place] = _Tally(now, 0)
        self._places.move_to_end(place)
        if len(self._places) > _MOST_PLACES:
            self._places.popitem(last=False)
        tally.count += 1
        over = tally.count - rule.failures
        if over > 0:
            tally.since = now  # whoever goes on is not forgotten
        return min(rule.delay_s, _FIRST_SECONDS * 2.0 ** min(over - 1, 30)) if over > 0 else 0.0


class Patience:
    """Delays the answer 401 to a key that is wrong; nothing else ever waits here, and nobody who
    shows no key. It stands within RequestId."""

    def __init__(
        self,
        app: ASGIApp,
        rule: Identity,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._app = app
        self._failures = Failures(rule, clock)
        self._sleep = sleep
        self._waiting = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        # No coroutine of its own: each chunk of a stream comes through here.
        def send_soon(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start" and message["status"] == 401:
                return self._send_later(scope, send, message)
            return send(message)

        await self._app(scope, receive, send_soon)

    async def _send_later(self, scope: Scope, send: Send, message: Message) -> None:
        await self._wait(scope)
        await send(message)

    async def _wait(self, scope: Scope) -> None:
        headers, client = Headers(scope=scope), scope.get("client")
        if client is None or not (headers.get("authorization") or headers.get("x-api-key")):
            return
        seconds = self._failures.delay(client[0])
        if seconds <= 0 or self._waiting >= _MOST_WAITING:
            return
        self._waiting += 1
        try:
            await self._sleep(seconds)
        finally:
            self._waiting -= 1
