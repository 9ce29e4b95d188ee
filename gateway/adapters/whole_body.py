"""The whole body of an answer that comes in chunks, bounded."""

from __future__ import annotations

from collections.abc import AsyncIterator

from gateway.domain.ports import WireError
from gateway.domain.retry import Fault


async def whole_body(chunks: AsyncIterator[bytes], limit: int) -> bytes:
    """All chunks as one. WireError when they are more than `limit` bytes, or break off."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > limit:
            raise WireError(Fault.GARBAGE, f"answer is longer than {limit} bytes")
    return bytes(body)
