"""What all counters promise, as tests that each kind inherits: CountersContract, and a model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import strategies as st

from gateway.domain.counters import (
    Balance,
    Claim,
    Counters,
    CountersUnavailable,
    Full,
    Held,
    Window,
)

DAY = Window(bucket=20_000, span=1, seconds=86_400.0)
MINUTE = Window(bucket=100, span=6, seconds=10.0)
RUNNING = Window(bucket=0, span=0, seconds=1.0)

Opened = Callable[[], AbstractAsyncContextManager[Counters]]


def claim(account: str, amount: int = 1, limit: int | None = None, window: Window = DAY) -> Claim:
    return Claim(account, amount, limit, window)


@contextmanager
def full(account: str) -> Iterator[pytest.ExceptionInfo[Full]]:
    with pytest.raises(Full) as caught:
        yield caught
    assert caught.value.claim.account == account


class CountersContract:
    """Inherit it with a fixture `opened`: each `async with opened() as counters` is a process."""

    async def test_what_is_held_becomes_what_was_used(self, opened: Opened) -> None:
        async with opened() as counters:
            held = await counters.claim([claim("a", 5, 10)])
            assert held.balances == {"a": Balance(0, 5, 10, 0.0)}
            told = await held.settle({"a": 3})
            assert told == {"a": Balance(3, 0, 10, 86_400.0)}
            assert await counters.balance("a", 10, DAY) == told["a"]

    async def test_it_is_settled_once_whoever_asks(self, opened: Opened) -> None:
        async with opened() as counters:
            held = await counters.claim([claim("a", 5)])
            told = await asyncio.gather(*(held.settle({"a": 3}) for _ in range(5)))
            assert told == [told[0]] * 5
            await held.settle({"a": 100})
            assert await counters.balance("a", None, DAY) == Balance(3, 0, None, 86_400.0)

    async def test_a_claim_that_does_not_fit_takes_nothing_of_any(self, opened: Opened) -> None:
        async with opened() as counters:
            await counters.claim([claim("b", 1, 1)])
            with full("b") as caught:
                await counters.claim([claim("a", 1, 9), claim("b", 1, 1), claim("c")])
            assert caught.value.balance == Balance(0, 1, 1, 0.0)
            for untouched in "ac":
                assert await counters.balance(untouched, 9, DAY) == Balance(0, 0, 9, 0.0)

    async def test_what_a_limit_allows_can_be_taken_to_the_last(self, opened: Opened) -> None:
        async with opened() as counters:
            first = await counters.claim([claim("a", 6, 10)])
            await counters.claim([claim("a", 4, 10)])
            with full("a"):
                await counters.claim([claim("a", 1, 10)])
            await counters.claim([claim("a", 0, 10)])
            await first.settle({"a": 2})
            await counters.claim([claim("a", 4, 10)])
            with full("a"):
                await counters.claim([claim("a", 1, 10)])

    async def test_more_may_be_used_than_was_held(self, opened: Opened) -> None:
        async with opened() as counters:
            held = await counters.claim([claim("a", 5, 10)])
            assert (await held.settle({"a": 50}))["a"].remaining == 0
            with full("a"):
                await counters.claim([claim("a", 0, 10)])

    async def test_accounts_that_are_not_named_used_nothing(self, opened: Opened) -> None:
        async with opened() as counters:
            held = await counters.claim([claim("a", 5), claim("b", 5)])
            await held.settle({"a": 5, "stranger": 9, "b": -3})
            assert (await counters.balance("b", None, DAY)).used == 0
            assert (await counters.balance("stranger", None, DAY)).used == 0

    async def test_a_window_slides_over_its_buckets(self, opened: Opened) -> None:
        async with opened() as counters:
            for bucket, amount in ((95, 4), (98, 2), (100, 1)):
                window = Window(bucket, 6, 10.0)
                held = await counters.claim([claim("a", 1, 100, window)])
                await held.settle({"a": amount})
            assert await counters.balance("a", 7, MINUTE) == Balance(7, 0, 7, 10.0)
            with full("a") as caught:
                await counters.claim([claim("a", 5, 7, MINUTE)])
            assert caught.value.balance.frees_s == 40.0  # the first two must go
            later = Window(101, 6, 10.0)
            assert (await counters.balance("a", 7, later)).used == 3
            assert (await counters.balance("a", 7, Window(106, 6, 10.0))).used == 0

    async def test_what_is_settled_counts_where_it_was_claimed(self, opened: Opened) -> None:
        async with opened() as counters:
            held = await counters.claim([claim("a", 5, None, DAY)])
            tomorrow = Window(DAY.bucket + 1, 1, DAY.seconds)
            assert (await counters.balance("a", 9, tomorrow)).held == 5
            await held.settle({"a": 5})
            assert (await counters.balance("a", 9, tomorrow)).used == 0
            assert (await counters.balance("a", 9, DAY)).used == 5

    async def test_a_clock_that_is_a_bucket_behind_sees_what_is_used_ahead(
        self, opened: Opened
    ) -> None:
        async with opened() as ahead, opened() as behind:
            held = await ahead.claim([claim("a", 1, 1, Window(101, 1, 10.0))])
            await held.settle({"a": 1})
            with full("a"):
                await behind.claim([claim("a", 1, 1, Window(100, 1, 10.0))])

    async def test_how_many_run_at_once_is_a_window_of_nothing(self, opened: Opened) -> None:
        async with opened() as counters:
            first = await counters.claim([claim("a", 1, 2, RUNNING)])
            await counters.claim([claim("a", 1, 2, RUNNING)])
            with full("a"):
                await counters.claim([claim("a", 1, 2, RUNNING)])
            told = await first.settle({"a": 1})
            assert told == {"a": Balance(0, 1, 2, 0.0)}
            await counters.claim([claim("a", 1, 2, RUNNING)])

    async def test_what_was_used_before_is_asked_once(self, opened: Opened) -> None:
        asked = 0

        async def seed() -> int:
            nonlocal asked
            asked += 1
            await asyncio.sleep(0)
            return 7

        seeded = Claim("a", 1, 10, DAY, seed)
        async with opened() as counters:
            got = await asyncio.gather(
                *(counters.claim([seeded, claim("b", 1)]) for _ in range(9)), return_exceptions=True
            )
            assert sum(isinstance(one, Full) for one in got) == 6
            assert await counters.balance("a", 10, DAY) == Balance(7, 3, 10, 86_400.0)
            assert (await counters.balance("b", None, DAY)).held == 3
        assert asked == 1

    async def test_without_an_answer_to_a_seed_nothing_is_taken(self, opened: Opened) -> None:
        async def broken() -> int:
            raise OSError

        async with opened() as counters:
            with pytest.raises(CountersUnavailable):
                await counters.claim([claim("b", 1), Claim("a", 1, 10, DAY, broken)])
            assert (await counters.balance("b", None, DAY)).held == 0

    async def test_two_hundred_at_once_never_pass_a_limit(self, opened: Opened) -> None:
        async with opened() as one, opened() as other:

            async def call(counters: Counters) -> bool:
                try:
                    held = await counters.claim([claim("a", 1, 37), claim("b", 1, None)])
                except Full:
                    return False
                await asyncio.sleep(0)
                await held.settle({"a": 1, "b": 2})
                return True

            got = await asyncio.gather(*(call((one, other)[n % 2]) for n in range(200)))
            assert sum(got) == 37
            assert (await one.balance("a", 37, DAY)).remaining == 0
            assert (await other.balance("b", None, DAY)).used == 74

    async def test_names_may_hold_anything(self, opened: Opened) -> None:
        names = ["", "a b;c", "ü\ud800", "x" * 5000, "a\nb", "{other}:slot"]
        async with opened() as counters:
            for number, name in enumerate(names):
                await (await counters.claim([claim(name, 1)])).settle({name: number})
            used = [(await counters.balance(name, None, DAY)).used for name in names]
            assert used == list(range(len(names)))

    async def test_amounts_may_be_large(self, opened: Opened) -> None:
        many = 3 * 10**15  # three thousand million of a currency, in micro-units
        async with opened() as counters:
            held = await counters.claim([claim("a", many, 2 * many)])
            await held.settle({"a": many})
            await counters.claim([claim("a", many, 2 * many)])
            assert await counters.balance("a", None, DAY) == Balance(many, many, None, 86_400.0)


# ---- Random interleavings, held against a model --------------------------------------------------

LIMITS = {"a": 7, "b": 20, "c": None, "d": 4}
WINDOWS = {"a": DAY, "b": MINUTE, "c": DAY, "d": RUNNING}
_amounts = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 5), min_size=1)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("claim"), st.integers(0, 1), _amounts),
        st.tuples(st.just("settle"), st.integers(0, 20), _amounts),
        st.tuples(st.just("cancel"), st.integers(0, 20), st.just({})),
        st.tuples(st.just("lapse"), st.integers(0, 1), st.just({})),
    ),
    max_size=30,
)
Step = tuple[str, int, dict[str, int]]


@dataclass
class Model:
    """What must be: `open` are holds with their process, and whether they still hold anything."""

    names: dict[str, str] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LIMITS, 0))
    open: list[tuple[Held, int, dict[str, int], list[bool]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        unique = uuid4().hex
        self.names = {short: f"{short}-{unique}" for short in LIMITS}

    def held(self, short: str) -> int:
        return sum(amounts.get(short, 0) for _, _, amounts, holds in self.open if holds[0])

    def counted(self, short: str) -> int:
        return self.used[short] if WINDOWS[short].span else 0

    def fits(self, amounts: dict[str, int]) -> bool:
        return all(
            (limit := LIMITS[short]) is None
            or self.counted(short) + self.held(short) + amount <= limit
            for short, amount in amounts.items()
        )

    def claims(self, amounts: dict[str, int]) -> list[Claim]:
        return [
            claim(self.names[short], amount, LIMITS[short], WINDOWS[short])
            for short, amount in amounts.items()
        ]

    def named(self, amounts: dict[str, int]) -> dict[str, int]:
        return {self.names[short]: amount for short, amount in amounts.items()}


async def played(
    processes: Sequence[Counters], steps: Sequence[Step], lapse: Callable[[Any], bool]
) -> None:
    """Each step, with what must come of it; at the end every sum is exact. `lapse` lets all that
    a process holds lapse; False where that cannot be."""
    model = Model()
    for kind, number, amounts in steps:
        if kind == "claim":
            fits = model.fits(amounts)
            try:
                held = await processes[number].claim(model.claims(amounts))
            except Full:
                assert not fits
                continue
            assert fits
            model.open.append((held, number, amounts, [True]))
        elif kind == "lapse":
            if lapse(processes[number]):
                for _, process, _, holds in model.open:
                    if process == number:
                        holds[0] = False
        elif model.open:
            held, _, claimed, _ = model.open.pop(number % len(model.open))
            await held.settle(model.named(amounts))
            await held.settle(model.named(amounts))
            for short in claimed:
                model.used[short] += amounts.get(short, 0)
    for short, name in model.names.items():
        for process in processes:
            stands = await process.balance(name, LIMITS[short], WINDOWS[short])
            assert (stands.used, stands.held) == (model.counted(short), model.held(short))
    for held, *_ in model.open:
        await held.settle({})
    for short, name in model.names.items():
        assert (await processes[0].balance(name, None, WINDOWS[short])).held == 0


async def stormed(processes: Sequence[Counters], steps: Sequence[Step]) -> None:
    """All claims at once, each settled or cancelled by its own task: the sums are exact, and no
    limit was passed by what was claimed."""
    model = Model()
    settled = dict.fromkeys(LIMITS, 0)

    async def call(number: int, amounts: dict[str, int], end: dict[str, int]) -> None:
        try:
            held = await processes[number % len(processes)].claim(model.claims(amounts))
        except Full:
            return
        for short in amounts:
            stands = held.balances[model.names[short]]
            limit = LIMITS[short]
            assert limit is None or stands.used + stands.held <= max(limit, stands.used)
        await asyncio.sleep(0)
        used = {short: min(amount, end.get(short, 0)) for short, amount in amounts.items()}
        await held.settle(model.named(used))
        for short, amount in used.items():
            settled[short] += amount

    claims = [one for one in steps if one[0] == "claim"]
    ends = [one[2] for one in steps if one[0] == "settle"] or [{}]
    await asyncio.gather(*(call(n, one[2], ends[n % len(ends)]) for n, one in enumerate(claims)))
    for short, name in model.names.items():
        stands = await processes[0].balance(name, LIMITS[short], WINDOWS[short])
        wanted = settled[short] if WINDOWS[short].span else 0
        assert (stands.used, stands.held) == (wanted, 0)
        limit = LIMITS[short]
        assert limit is None or stands.used <= limit
