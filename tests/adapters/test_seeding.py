"""Seeds are asked once for all who wait, and what goes wrong with them has one name."""

from __future__ import annotations

import asyncio

import pytest

from gateway.adapters import seeding
from gateway.adapters.seeding import Seeds
from gateway.domain.counters import Claim, CountersUnavailable, Window

WINDOW = Window(1, 1, 60.0)


class Book:
    """Tells what was used once `opened`."""

    def __init__(self, used: int = 5) -> None:
        self.used = used
        self.asked = 0
        self.opened = asyncio.Event()

    async def __call__(self) -> int:
        self.asked += 1
        await self.opened.wait()
        return self.used


def claim(book: Book, account: str = "a") -> Claim:
    return Claim(account, 1, 9, WINDOW, book)


async def test_those_who_ask_at_once_share_one_question() -> None:
    seeds, book = Seeds(), Book()
    asking = [asyncio.ensure_future(seeds.ask([claim(book)])) for _ in range(20)]
    await asyncio.sleep(0)
    book.opened.set()
    assert await asyncio.gather(*asking) == [{"a": 5}] * 20
    assert book.asked == 1
    await seeds.ask([claim(book)])
    assert book.asked == 2


async def test_whoever_leaves_takes_the_answer_from_nobody() -> None:
    seeds, book = Seeds(), Book()
    leaving, staying = (asyncio.ensure_future(seeds.ask([claim(book)])) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait({leaving})
    book.opened.set()
    assert await staying == {"a": 5}


async def test_a_seed_that_fails_or_takes_too_long_is_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken() -> int:
        raise OSError("secret host")

    with pytest.raises(CountersUnavailable) as caught:
        await Seeds().ask([Claim("a", 1, 9, WINDOW, broken)])
    assert "secret" not in caught.value.detail
    monkeypatch.setattr(seeding, "_SECONDS", 0.01)
    with pytest.raises(CountersUnavailable, match="in time"):
        await Seeds().ask([claim(Book())])


async def test_less_than_nothing_was_never_used() -> None:
    book = Book(-3)
    book.opened.set()
    assert await Seeds().ask([claim(book)]) == {"a": 0}
