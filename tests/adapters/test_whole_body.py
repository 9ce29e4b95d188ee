"""A body is read whole, and never beyond its bound."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.adapters.whole_body import whole_body
from gateway.domain.ports import WireError
from gateway.domain.retry import Fault


async def pieces(taken: list[bytes], *given: bytes) -> AsyncIterator[bytes]:
    for one in given:
        taken.append(one)
        yield one


async def test_chunks_become_one_body_up_to_the_last_byte_of_the_bound() -> None:
    assert await whole_body(pieces([], b"ab", b"", b"cd"), 4) == b"abcd"
    assert await whole_body(pieces([]), 0) == b""


async def test_nothing_is_read_beyond_the_bound() -> None:
    taken: list[bytes] = []
    with pytest.raises(WireError, match="longer than 3 bytes") as caught:
        await whole_body(pieces(taken, b"ab", b"cd", b"ef"), 3)
    assert caught.value.fault is Fault.GARBAGE
    assert taken == [b"ab", b"cd"]
