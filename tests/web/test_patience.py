"""Wrong keys wait longer and longer, by address; right ones never do."""

from __future__ import annotations

import pytest
from starlette.types import Message, Receive, Scope, Send

from gateway.settings.identity import Identity
from gateway.web.patience import Failures, Patience, neighbourhood

RULE = Identity(failures=2, failure_window_s=60, delay_s=0.5)
KEY = (b"authorization", b"Bearer sk-x")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.1.2.3", "10.1.2.250", True),
        ("10.1.2.3", "10.1.3.3", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:10.1.2.3", "10.1.2.9", True),
        ("fe80::1%eth0", "fe80::2", True),
        ("not-an-address", "not-an-address", True),
    ],
)
def test_neighbours_share_a_tally(one: str, other: str, same: bool) -> None:
    assert (neighbourhood(one) == neighbourhood(other)) is same


def test_the_delay_doubles_up_to_its_bound_and_ends_with_the_window() -> None:
    clock = Clock()
    failures = Failures(RULE, clock)
    assert [failures.delay("10.0.0.1") for _ in range(7)] == [0, 0, 0.1, 0.2, 0.4, 0.5, 0.5]
    assert failures.delay("10.0.1.1") == 0
    clock.now = 59
    assert failures.delay("10.0.0.1") == 0.5
    clock.now = 119
    assert failures.delay("10.0.0.1") == 0


def test_the_table_is_bounded() -> None:
    failures = Failures(RULE, Clock())
    for number in range(10_050):
        failures.delay(f"10.{number // 256}.{number % 256}.1")
    assert len(failures._places) == 10_000


def test_it_can_be_turned_off() -> None:
    failures = Failures(Identity(failures=0), Clock())
    assert {failures.delay("10.0.0.1") for _ in range(50)} == {0.0}


async def waits(status: int, headers: list[tuple[bytes, bytes]], times: int = 4) -> list[float]:
    """Seconds that answers of this status wait."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})

    async def send(message: Message) -> None: ...

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    patience = Patience(app, RULE, Clock(), sleep)
    scope = {"type": "http", "headers": headers, "client": ("10.0.0.1", 5)}
    for _ in range(times):
        await patience(scope, receive, send)
    return slept


async def test_only_the_answer_to_a_wrong_key_waits() -> None:
    assert await waits(401, [KEY]) == [0.1, 0.2]
    assert await waits(401, [(b"x-api-key", b"sk-x")]) == [0.1, 0.2]
    assert await waits(401, []) == []
    assert await waits(200, [KEY]) == []
    assert await waits(403, [KEY]) == []
