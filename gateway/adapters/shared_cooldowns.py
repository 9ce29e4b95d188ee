"""Replicas that rest, told to all processes of the gateway through Redis: SharedCooldowns.

One hash holds them: which replica, and "MS FAULT": until when, by Redis' own clock, and why.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Protocol

from gateway.domain.counters import CountersUnavailable
from gateway.domain.ports import Replica
from gateway.domain.retry import Fault
from gateway.settings.state import State

if TYPE_CHECKING:
    from gateway.adapters.redis_line import RedisLine

_log = logging.getLogger("gateway.replicas")

_KEY = "{vllm-gateway}:cooldowns"
# What one process finds out, the others know so many seconds later at the latest.
_LOOK_S = 0.25
_AGAIN_S = 1.0
# Two rests of one replica that end within so many seconds are the same.
_SAME_S = 0.2

_SHARE = """
local place = KEYS[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
for i = 1, #ARGV, 3 do
  local ends = now + tonumber(ARGV[i + 1])
  local known = redis.call('HGET', place, ARGV[i])
  if not known or tonumber(string.match(known, '^%d+')) < ends then
    redis.call('HSET', place, ARGV[i], string.format('%.0f %s', ends, ARGV[i + 2]))
  end
end
local found, longest = {}, 0
local rows = redis.call('HGETALL', place)
for i = 1, #rows, 2 do
  local ends, fault = string.match(rows[i + 1], '^(%d+) (%S+)$')
  local left = ends - now
  if left <= 0 then
    redis.call('HDEL', place, rows[i])
  else
    found[#found + 1] = string.format('%s %.0f %s', rows[i], left, fault)
    longest = math.max(longest, left)
  end
end
if longest > 0 then redis.call('PEXPIRE', place, string.format('%.0f', longest)) end
return table.concat(found, ';')
"""


class Fleet(Protocol):
    """What is asked of the router."""

    def every(self) -> Sequence[Replica]: ...

    def rest(self, replica: Replica, seconds: float, fault: Fault) -> None: ...


class SharedCooldowns:
    """What LiteLLM's cooldowns begin here is `began`; what they began elsewhere the router is told,
    inside `async with cooldowns.running(router)`. Nobody waits for it: while Redis is away each
    process goes by what it sees itself. Without `state.redis_url` nothing is shared. `clock` gives
    monotonic seconds."""

    def __init__(self, state: State, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._line: RedisLine | None = None
        if state.redis_url is not None:
            # Imported here because redis-py is optional; settings.packages has seen that it is
            # there.
            from gateway.adapters.redis_line import RedisLine

            url = state.redis_url.get_secret_value()
            self._line = RedisLine(url, _KEY, lambda is_so: None, what="cooldowns")
        self._news: dict[str, tuple[float, Fault]] = {}
        self._ends: dict[str, float] = {}
        self._work = asyncio.Event()

    def began(self, replica: Replica, seconds: float, fault: Fault) -> None:
        """A replica rests here, from now on and for so long. Never waits."""
        if self._line is None:
            return
        name, ends = _name(replica), self._clock() + seconds
        self._news[name] = ends, fault
        self._ends[name] = ends
        self._work.set()

    @asynccontextmanager
    async def running(self, fleet: Fleet) -> AsyncIterator[None]:
        """While this lasts, all processes know of each other's."""
        if self._line is None:
            yield
            return
        await self._line.connect()
        task = asyncio.create_task(self._keep_up(self._line, fleet))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await self._line.aclose()

    async def _keep_up(self, line: RedisLine, fleet: Fleet) -> None:
        while True:
            self._work.clear()
            pause = _LOOK_S
            try:
                await self._share(line, fleet)
            except CountersUnavailable:
                pause = _AGAIN_S
            except Exception:
                # A marked edge: whatever somebody has written there, this must go on.
                _log.exception("shared cooldowns could not be read")
                pause = _AGAIN_S
            # Not wait_for, which may swallow the cancellation that ends this task.
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._work.wait()

    async def _share(self, line: RedisLine, fleet: Fleet) -> None:
        """Tell what is new here, and hear of all."""
        news, now = dict(self._news), self._clock()
        words: list[str | int] = []
        for name, (ends, fault) in news.items():
            if ends > now:
                words += [name, int((ends - now) * 1000), str(fault)]
        said = await line.ask(_SHARE, words, anyway=True)
        # Unless it has begun anew while Redis was asked.
        self._news = {name: one for name, one in self._news.items() if news.get(name) != one}
        self._hear(said, fleet)

    def _hear(self, said: str, fleet: Fleet) -> None:
        now = self._clock()
        self._ends = {name: ends for name, ends in self._ends.items() if ends > now}
        rows = [row.split(" ") for row in said.split(";") if row]
        fresh = {
            name: (float(ms) / 1000, fault)
            for name, ms, fault in rows
            if now + float(ms) / 1000 > self._ends.get(name, now) + _SAME_S
        }
        if not fresh:
            return
        for replica in fleet.every():
            if (found := fresh.get(_name(replica))) is not None:
                seconds, fault = found
                self._ends[_name(replica)] = now + seconds
                fleet.rest(replica, seconds, _fault(fault))


def _name(replica: Replica) -> str:
    """The same in every process; another where a configuration means another server by its id."""
    server = f"{replica.id}\0{replica.base_url}\0{replica.provider}\0{replica.upstream_model}"
    return hashlib.sha256(server.encode(errors="surrogatepass")).hexdigest()[:32]


def _fault(word: str) -> Fault:
    """One that a newer version knows is trouble, too."""
    try:
        return Fault(word)
    except ValueError:
        return Fault.SERVER_ERROR
