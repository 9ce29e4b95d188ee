"""A line to Redis for scripts that calls wait for: many in one round trip, and a budget of time."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha1
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError

from gateway.adapters.redis_words import Word
from gateway.domain.counters import CountersUnavailable

_log = logging.getLogger("gateway.counters")

BUDGET_S = 0.05
# A loop that comes back much later than this has kept the answer waiting itself.
_LOOK_S = 0.005
_MOST_GRACE = 8
# So many in one round trip, and so many round trips at once.
_BATCH = 128
_LANES = 4
# One slow answer may be an accident.
_SLOW_ONES = 3
_CLOSED = "closed"
_CODES = re.compile(r"\b(?:NOAUTH|NOPERM|OOM|READONLY|MISCONF|LOADING|MOVED|WRONGTYPE|BUSY)\b")


@dataclass(slots=True)
class _Question:
    script: str
    words: Sequence[Word]
    answer: asyncio.Future[str]


class RedisLine:
    """Asks one Redis. What it does not answer within BUDGET_S (of time that this process left it)
    raises CountersUnavailable; once it is known to be gone, at once. `told` hears True
    from the first answer on, and False when none comes any more. `key` is every script's first,
    `what` the word of the log for what is shared."""

    def __init__(
        self, url: str, key: str, told: Callable[[bool], None], what: str = "counters"
    ) -> None:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=_LANES + 1,
            timeout=1,
            socket_connect_timeout=1,
            socket_timeout=1,
            # A connection that Redis has closed meanwhile is no sign that it is gone; and whatever
            # is asked here may be asked twice.
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        )
        self._redis = Redis.from_pool(pool)
        self._key = key
        self._told = told
        self._what = what
        self._available: bool | None = None
        self._shas: dict[str, str] = {}
        self._waiting: deque[_Question] = deque()
        self._lanes: set[asyncio.Task[None]] = set()
        self._slow = 0

    @property
    def available(self) -> bool:
        """Whether it answered when it was last asked; True until it was."""
        return self._available is not False

    async def ask(self, script: str, words: Sequence[Word], *, anyway: bool = False) -> str:
        """What the script says. `anyway`: also where Redis is known to be gone."""
        if self._available is False and not anyway:
            raise CountersUnavailable(detail="redis is away")
        question = _Question(script, words, asyncio.get_running_loop().create_future())
        self._waiting.append(question)
        if len(self._lanes) < _LANES:
            self._lanes.add(asyncio.ensure_future(self._lane()))
        return await question.answer

    async def connect(self, *scripts: str) -> None:
        """Open all connections and give Redis these scripts, within a second: the first calls have
        no time for that. Whether Redis answers at all is for those who ask."""
        with suppress(TimeoutError, RedisError, OSError):
            async with asyncio.timeout(1):
                await asyncio.gather(*(self._redis.ping() for _ in range(_LANES)))
                for script in scripts:
                    await self._redis.script_load(script)

    async def aclose(self) -> None:
        """Close the connections; nothing is asked any more."""
        self._fail(_CLOSED)
        for lane in list(self._lanes):
            lane.cancel()
        await asyncio.gather(*self._lanes, return_exceptions=True)
        try:
            async with asyncio.timeout(1):
                await self._redis.aclose()
        except (TimeoutError, RedisError, OSError):
            pass  # the process ends, and the connections with it

    async def _lane(self) -> None:
        try:
            while self._waiting:
                batch: list[_Question] = []
                while self._waiting and len(batch) < _BATCH:
                    question = self._waiting.popleft()
                    if not question.answer.done():  # else whoever asked has left
                        batch.append(question)
                if batch:
                    await self._send(batch)
        finally:
            # Now, and not in a callback later: meanwhile somebody could take it for one at work.
            if (lane := asyncio.current_task()) is not None:
                self._lanes.discard(lane)

    async def _send(self, batch: list[_Question]) -> None:
        trip = asyncio.ensure_future(self._round_trip(batch))
        try:
            if not await _in_time(trip):
                self._slow += 1
                self._fail(f"no answer within {BUDGET_S * 1000:g} ms", batch)
                return
            answers = trip.result()
        except asyncio.CancelledError:
            self._fail(_CLOSED, batch)
            raise
        except (RedisError, OSError) as error:
            self._slow = _SLOW_ONES
            self._fail(_named(error), batch)
            return
        except Exception as error:
            # A marked edge: what a client library may do wrong must leave nobody waiting. Its
            # words stay out of the log: they may quote the URL.
            self._slow = _SLOW_ONES
            self._fail(type(error).__name__, batch)
            return
        self._hand_out(batch, answers)

    def _hand_out(self, batch: list[_Question], answers: list[Any]) -> None:
        good = 0
        for question, answer in zip(batch, answers, strict=True):
            if isinstance(answer, Exception):
                named = _named(answer)
                if not question.answer.done():
                    question.answer.set_exception(CountersUnavailable(detail=named))
            else:
                good += 1
                if not question.answer.done():
                    question.answer.set_result(answer.decode())
        if good:
            self._slow = 0
            self._up()
        else:
            self._slow = _SLOW_ONES
            self._fail(named)

    async def _round_trip(self, batch: list[_Question]) -> list[Any]:
        """An answer or an exception for each; all at once."""
        answers = await self._pipe(batch)
        lost = [n for n, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if lost:
            for script in {batch[n].script for n in lost}:
                await self._redis.script_load(script)
            again = await self._pipe([batch[n] for n in lost])
            for n, answer in zip(lost, again, strict=True):
                answers[n] = answer
        return answers

    async def _pipe(self, batch: list[_Question]) -> list[Any]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for one in batch:
                sha = self._sha(one.script)
                pipe.execute_command("EVALSHA", sha, 1, self._key, *one.words)
            return await pipe.execute(raise_on_error=False)

    def _sha(self, script: str) -> str:
        sha = self._shas.get(script)
        if sha is None:
            digest = sha1(script.encode(), usedforsecurity=False).hexdigest()
            sha = self._shas[script] = digest
        return sha

    def _fail(self, why: str, batch: Sequence[_Question] = ()) -> None:
        """Nobody of these is answered, and nobody at all once it is clear that Redis is away."""
        gone = self._slow >= _SLOW_ONES or why == _CLOSED
        failed = list(batch)
        if gone:
            failed += self._waiting
            self._waiting.clear()
        for question in failed:
            if not question.answer.done():
                question.answer.set_exception(CountersUnavailable(detail=why))
        if gone and self._available is not False:
            was, self._available = self._available, False
            if why != _CLOSED:
                _log.warning("shared %s: redis unavailable (%s); trying again", self._what, why)
            if was:
                self._told(False)

    def _up(self) -> None:
        if self._available is not True:
            _log.info("%s are shared through Redis", self._what)
            self._available = True
            self._told(True)


async def _in_time(trip: asyncio.Future[Any]) -> bool:
    """Whether it was done within the budget; else it is cancelled. Time that this loop spent on
    other things, or waiting for a processor, does not count: the answer may be here, unread. It
    is seen by how late each of many short waits comes back."""
    left, now = BUDGET_S, time.monotonic()
    ends = now + _MOST_GRACE * BUDGET_S
    try:
        while left > 0 and now < ends and not trip.done():
            await asyncio.wait({trip}, timeout=_LOOK_S)
            was, now = now, time.monotonic()
            left -= min(now - was, 2 * _LOOK_S)
        return trip.done()
    finally:
        if not trip.done():
            trip.cancel()
            trip.add_done_callback(_forget)


def _forget(trip: asyncio.Future[Any]) -> None:
    if not trip.cancelled():
        trip.exception()


def _named(error: BaseException) -> str:
    """What went wrong, in words that hold no password: Redis' own might quote what it was sent."""
    kind = type(error.__cause__ or error).__name__
    code = _CODES.search(str(error))
    return f"{kind} {code[0]}" if code else kind
