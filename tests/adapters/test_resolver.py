"""Host names: their addresses, none where there are none, and nobody waits for long."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from gateway.adapters import resolver
from gateway.adapters.resolver import Resolver


async def test_a_name_has_addresses() -> None:
    assert set(await Resolver().addresses("localhost")) <= {"127.0.0.1", "::1"}
    assert await Resolver().addresses("[::1]") == ("::1",)


@pytest.mark.parametrize("host", ["127.1", "0x7f.1", "2130706433", "0177.0.0.1"])
async def test_an_address_in_disguise_is_shown_as_what_it_is(host: str) -> None:
    assert await Resolver().addresses(host) == ("127.0.0.1",)


async def test_a_name_that_nobody_knows_or_that_is_none_has_no_addresses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    assert await Resolver().addresses("nowhere.test") == ()


async def test_a_name_that_is_too_long_has_no_addresses() -> None:
    assert await Resolver().addresses("a" * 64 + ".test") == ()


async def test_a_resolver_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(*_: Any, **__: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(resolver, "SECONDS", 0.01)
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", hang)
    names = Resolver()
    for _ in range(resolver.AT_ONCE + 1):
        assert await names.addresses("slow.test") == ()
