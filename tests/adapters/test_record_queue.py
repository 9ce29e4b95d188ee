"""The queue before the shared store: what it batches, what it loses, what it does without one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from gateway.adapters import record_queue
from gateway.adapters.record_queue import Entry, RecordQueue, StoreUnavailable, Told
from gateway.domain.errors import RecordsUnavailable

PLENTY = 1 << 20


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_queue, "_GATHER_SECONDS", 0.001)
    monkeypatch.setattr(record_queue, "_AGAIN_SECONDS", 0.001)


class FakeStore:
    """Keeps batches; while `trouble` is set, every call raises it; while `hangs`, `add` waits."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.trouble: Exception | None = None
        self.hangs: asyncio.Event | None = None
        self.asked = asyncio.Event()
        self.closed = False

    @property
    def written(self) -> list[str]:
        return [name for batch in self.batches for name in batch]

    async def add(self, batch: Sequence[Entry]) -> None:
        self.asked.set()
        if self.hangs is not None:
            await self.hangs.wait()
        self._check()
        self.batches.append([entry.request_id for entry in batch])

    async def find(self, team: str, request_id: str) -> list[bytes]:
        self._check()
        return [request_id.encode()] if request_id in self.written else []

    async def ping(self) -> None:
        self._check()

    async def aclose(self) -> None:
        self.closed = True

    def _check(self) -> None:
        if self.trouble is not None:
            raise self.trouble


class Heard:
    """What the queue told."""

    def __init__(self) -> None:
        self.dropped = 0
        self.states: list[bool] = []
        self.told = Told(self._drop, self.states.append)

    def _drop(self, count: int) -> None:
        self.dropped += count


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - what it looks at tells nobody
            await asyncio.sleep(0.001)


def a_queue(
    store: FakeStore, heard: Heard, most: int = 1000, most_bytes: int = PLENTY
) -> RecordQueue:
    return RecordQueue(store, most, most_bytes, heard.told)


def put(queue: RecordQueue, *names: object, text: bytes = b"{}") -> None:
    for name in names:
        queue.put("ide", str(name), text)


async def test_what_is_put_is_written_in_its_order_and_many_go_together() -> None:
    store, heard = FakeStore(), Heard()
    queue = a_queue(store, heard)
    put(queue, *range(300))
    async with queue.writing():
        await until(lambda: len(store.written) == 300)
        put(queue, "late")
        await until(lambda: "late" in store.written)
    assert store.written == [*map(str, range(300)), "late"]
    assert [len(batch) for batch in store.batches] == [256, 44, 1]
    assert (heard.dropped, len(queue), store.closed) == (0, 0, True)


async def test_a_batch_is_bounded_in_bytes_but_one_always_goes() -> None:
    store, heard = FakeStore(), Heard()
    queue = a_queue(store, heard, most_bytes=1 << 30)
    put(queue, *range(3), text=b"x" * (1 << 19))
    put(queue, "large", text=b"x" * (1 << 21))
    async with queue.writing():
        await until(lambda: len(store.written) == 4)
    assert store.batches == [["0", "1"], ["2"], ["large"]]


@pytest.mark.parametrize("trouble", [StoreUnavailable("gone"), RuntimeError("sk-secret-words")])
async def test_without_a_store_nothing_is_lost_until_the_queue_is_full_then_the_oldest_are(
    trouble: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    store, heard = FakeStore(), Heard()
    store.trouble = trouble
    queue = a_queue(store, heard, most=3)
    async with queue.writing():
        put(queue, 1, 2, 3)
        await until(lambda: not queue.available)
        assert heard.dropped == 0
        put(queue, 4, 5)
        assert (heard.dropped, len(queue)) == (2, 3)
        store.trouble = None
        await until(lambda: len(store.written) == 3)
        await until(lambda: queue.available)
    assert store.written == ["3", "4", "5"]
    said = [one.getMessage() for one in caplog.records if one.levelname == "WARNING"]
    assert len(said) == 1, "it says so once"
    assert "redis unavailable" in said[0]
    assert "sk-secret" not in said[0]
    assert heard.states == [True, False], "back, and then the end of the process"


async def test_the_queue_is_bounded_in_bytes() -> None:
    heard = Heard()
    queue = a_queue(FakeStore(), heard, most_bytes=100)
    put(queue, 1, 2, 3, text=b"x" * 40)
    assert (len(queue), heard.dropped) == (2, 1)


async def test_what_was_dropped_while_it_was_written_does_not_take_others_with_it() -> None:
    store, heard = FakeStore(), Heard()
    store.hangs = asyncio.Event()
    queue = a_queue(store, heard, most=2)
    put(queue, 1, 2)
    async with queue.writing():
        await store.asked.wait()
        put(queue, 3)
        store.hangs.set()
        await until(lambda: "3" in store.written)
        await until(lambda: len(queue) == 0)
    assert store.written == ["1", "2", "3"]


async def test_a_reader_is_told_at_once_while_the_store_is_known_to_be_gone() -> None:
    store, heard = FakeStore(), Heard()
    queue = a_queue(store, heard)
    store.trouble = StoreUnavailable("gone")
    with pytest.raises(RecordsUnavailable) as caught:
        await queue.find("ide", "a")
    assert caught.value.detail == "gone"
    assert not queue.available
    store.trouble = None
    with pytest.raises(RecordsUnavailable):
        await queue.find("ide", "a")
    async with queue.writing():
        await until(lambda: queue.available)
        assert await queue.find("ide", "a") == []


async def test_an_idle_queue_notices_a_store_that_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_queue, "_LOOK_SECONDS", 0.001)
    store, heard = FakeStore(), Heard()
    queue = a_queue(store, heard)
    async with queue.writing():
        await until(lambda: heard.states == [True])
        store.trouble = StoreUnavailable("gone")
        await until(lambda: heard.states == [True, False])
    assert heard.states == [True, False]


async def test_at_the_end_what_waits_is_written() -> None:
    store, heard = FakeStore(), Heard()
    queue = a_queue(store, heard)
    async with queue.writing():
        put(queue, *range(600))
    assert len(store.written) == 600
    assert (heard.dropped, store.closed) == (0, True)


async def test_at_the_end_a_store_that_hangs_is_given_up_and_the_loss_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(record_queue, "_FLUSH_SECONDS", 0.01)
    store, heard = FakeStore(), Heard()
    store.hangs = asyncio.Event()
    queue = a_queue(store, heard)
    async with queue.writing():
        put(queue, 1, 2)
    assert (store.written, heard.dropped) == ([], 2)
    assert "2 decision records could not be written" in caplog.text
