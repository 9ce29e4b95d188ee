"""The wire: requests to replicas over pooled connections, bytes as they come. Satisfies ports.Wire."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from types import TracebackType

import aiohttp

from gateway.domain.ports import WireError
from gateway.domain.retry import Fault

# Shorter than vLLM's uvicorn would like to keep a connection (5 s is its default), so that we
# close first and a request does not meet a connection that is just being closed.
_KEEP_ALIVE_SECONDS = 4.0


class AiohttpResponse:
    """One upstream answer. `release` or `close` ends it; both may be called twice."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    async def read(self, limit: int) -> bytes:
        """The whole body. WireError when it is cut short or passes `limit` bytes."""
        body = bytearray()
        async for chunk in self.chunks():
            body += chunk
            if len(body) > limit:
                raise WireError(Fault.GARBAGE, f"answer is longer than {limit} bytes")
        return bytes(body)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Bytes as they come. WireError when the connection breaks before the body's end."""
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, OSError) as error:
            raise WireError(Fault.BROKEN, _describe(error)) from error

    def release(self) -> None:
        """Read to the end: the connection may serve another request."""
        self._response.release()

    def close(self) -> None:
        """Drop the connection now; a vLLM then stops generating."""
        self._response.close()


class AiohttpWire:
    """Use as `async with AiohttpWire(connect=5.0) as wire`. `connect` in seconds."""

    def __init__(self, *, connect: float) -> None:
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect, sock_connect=connect)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> AiohttpWire:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS, ttl_dns_cache=30
            ),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            # A proxy for the outside world must not come between us and our own replicas.
            trust_env=False,
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None
    ) -> AiohttpResponse:
        """Send and wait for the headers. WireError(CONNECT) before a connection, (BROKEN) after."""
        if self._session is None:
            raise RuntimeError("enter the wire first: async with AiohttpWire(...) as wire")
        try:
            response = await self._session.request(
                method,
                url,
                data=body,
                headers=headers,
                allow_redirects=False,
                timeout=self._timeout,
            )
        except (
            aiohttp.ClientConnectorError,
            aiohttp.ConnectionTimeoutError,
            ssl.SSLError,
        ) as error:
            raise WireError(Fault.CONNECT, _describe(error)) from error
        except (aiohttp.ClientError, OSError) as error:
            raise WireError(Fault.BROKEN, _describe(error)) from error
        return AiohttpResponse(response)


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
