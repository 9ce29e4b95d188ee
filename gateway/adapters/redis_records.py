"""Decision records in Redis, where every process of the gateway finds them. Imports redis-py."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from gateway.adapters.record_queue import Entry, StoreUnavailable
from gateway.adapters.records import MOST_TOLD

# One question to Redis, connecting included, takes no longer.
_SECONDS = 0.9
_CONNECTIONS = 8
# The braces put all keys on one node where Redis is a cluster.
_PREFIX = "{vllm-gateway}:"
# Of what Redis says, no more than these words goes into the log.
_CODES = re.compile(r"\b(?:NOAUTH|NOPERM|OOM|READONLY|MISCONF|LOADING|MOVED|WRONGTYPE)\b")

# Records of one team's id: a list, newest first, that Redis forgets by itself after the TTL.
# `order` tells all of them apart, oldest first, as "ms size place"; `bytes` is the sum of sizes.
# One script, so that two processes that write at once cannot get the sums wrong, and nothing is
# left behind where one of them dies in between.
_ADD = """
local order, total = KEYS[1], KEYS[2]
local keep, most, ttl = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local prefix, room = ARGV[4], 2000
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local bytes, count = tonumber(redis.call('GET', total) or '0'), redis.call('LLEN', order)
if count == 0 then bytes = 0 end

local function forget_old()
  while count > 0 and room > 0 do
    local at, size, place = string.match(redis.call('LINDEX', order, 0), '^(%d+) (%d+) (%x+)$')
    if count <= keep and bytes <= most and now - at <= ttl then return end
    redis.call('LPOP', order)
    redis.call('RPOP', prefix .. place)
    bytes, count, room = bytes - size, count - 1, room - 1
  end
end

forget_old()
for i = 5, #ARGV, 2 do
  local place, text = ARGV[i], ARGV[i + 1]
  redis.call('RPUSH', order, string.format('%.0f %d %s', now, #text, place))
  redis.call('LPUSH', prefix .. place, text)
  redis.call('PEXPIRE', prefix .. place, ttl)
  bytes, count = bytes + #text, count + 1
end
forget_old()
redis.call('SET', total, string.format('%.0f', bytes), 'PX', ttl)
redis.call('PEXPIRE', order, ttl)
return count
"""


class RedisRecords:
    """The newest `keep` records, `most_bytes` of them at most, none older than `ttl` seconds, of
    all gateways that share this Redis. Connects when it is first asked. Every method raises
    StoreUnavailable, within a second, when Redis does not do as it is told."""

    def __init__(self, url: str, *, keep: int, most_bytes: int, ttl: float) -> None:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_CONNECTIONS,
            timeout=_SECONDS,
            socket_connect_timeout=_SECONDS,
            socket_timeout=_SECONDS,
            # A connection that Redis has closed meanwhile is no sign that it is gone.
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        )
        self._redis = Redis.from_pool(pool)
        self._add = self._redis.register_script(_ADD)
        self._limits: list[str | int | bytes] = [keep, most_bytes, int(ttl * 1000), _PREFIX]

    async def add(self, batch: Sequence[Entry]) -> None:
        """Keep these, oldest first, and forget what is past the bounds: one round trip."""
        said = list(self._limits)
        for entry in batch:
            said += (_place(entry.team, entry.request_id), entry.text)
        async with _bounded():
            await self._add(keys=[f"{_PREFIX}order", f"{_PREFIX}bytes"], args=said)

    async def forget(self, older: float) -> int:
        """Delete those that came more than so many seconds ago; how many."""
        keep, most, _, prefix = self._limits
        said: list[str | int | bytes] = [keep, most, max(1, int(older * 1000)), prefix]
        async with _bounded():
            was = int(await self._redis.llen(f"{_PREFIX}order"))
        left = was
        while True:
            async with _bounded():
                found = int(await self._add(keys=[f"{_PREFIX}order", f"{_PREFIX}bytes"], args=said))
            if found >= left:
                return max(0, was - found)
            left = found

    async def find(self, team: str, request_id: str) -> list[bytes]:
        """The newest 20 records of a team's calls with this id, newest first."""
        async with _bounded():
            key = _PREFIX + _place(team, request_id)
            found = await self._redis.lrange(key, 0, MOST_TOLD - 1)
        return [text for text in found if isinstance(text, bytes)]

    async def ping(self) -> None:
        """Whether it answers."""
        async with _bounded():
            await self._redis.ping()

    async def aclose(self) -> None:
        """Close the connections; at most a second."""
        async with _bounded():
            await self._redis.aclose()


@asynccontextmanager
async def _bounded() -> AsyncIterator[None]:
    """StoreUnavailable for everything that goes wrong inside, with words that hold no password:
    Redis' own might quote what it was sent."""
    try:
        async with asyncio.timeout(_SECONDS):
            yield
    except TimeoutError:
        raise StoreUnavailable(f"no answer within {_SECONDS:g} s") from None
    except (RedisError, OSError) as error:
        kind = type(error.__cause__ or error).__name__
        code = _CODES.search(str(error))
        raise StoreUnavailable(f"{kind} {code[0]}" if code else kind) from None


def _place(team: str, request_id: str) -> str:
    """Names what clients choose with characters that are safe anywhere, at one length."""
    named = f"{len(team)}:{team}{request_id}".encode(errors="surrogatepass")
    return hashlib.sha256(named).hexdigest()[:40]
