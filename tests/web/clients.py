"""Clients of the lowest kind: a raw socket that sends a request and then reads, or does not."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import httpx

from gateway.testing.served import ServedGateway

MESSAGES = [{"role": "user", "content": "hi"}]


def request(path: str, body: dict[str, Any], **headers: str) -> bytes:
    """The bytes of a POST; `x_api_key` becomes the header x-api-key."""
    raw = json.dumps(body).encode()
    lines = [
        f"POST {path} HTTP/1.1",
        "host: gateway.test",
        "content-type: application/json",
        f"content-length: {len(raw)}",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + raw


def chat(*, stream: bool = True, model: str = "m", **more: Any) -> dict[str, Any]:
    """The body of a chat completion."""
    return {"model": model, "messages": MESSAGES, "stream": stream, **more}


def connect(gateway: ServedGateway, *, receive_buffer: int = 0) -> socket.socket:
    """A connection to the gateway; a small receive buffer is soon full."""
    where = urlsplit(gateway.url)
    assert where.hostname is not None
    plug = socket.socket()
    if receive_buffer:
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    plug.connect((where.hostname, where.port))
    return plug


async def eventually(true: Callable[[], object], within: float = 10.0) -> float:
    """Seconds (monotonic) when it became true; TimeoutError if it does not."""
    async with asyncio.timeout(within):
        while not true():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0.002)
    return time.monotonic()


def metric(gateway: ServedGateway, name: str, **labels: str) -> float:
    """The sum of a metric's series that have these labels, read from the page of /metrics."""
    total = 0.0
    for line in httpx.get(f"{gateway.url}/metrics").text.splitlines():
        series, _, value = line.rpartition(" ")
        if series.partition("{")[0] == name and all(
            f'{key}="{wanted}"' in series for key, wanted in labels.items()
        ):
            total += float(value)
    return total
