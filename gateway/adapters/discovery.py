"""Asks an OpenAI-compatible server which models it has, and again and again: its GET …/models."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson

from gateway.domain.ports import Wire, WireError, WireResponse

_SECONDS = 5.0
_BYTES = 1024 * 1024


_ASK_AGAIN_SECONDS = 2.0
_LOOK_AGAIN_SECONDS = 60.0

_log = logging.getLogger("gateway")


class NotDiscovered(Exception):
    """The server gave no list of models; the text says why, for the log and the banner."""


async def model_names(wire: Wire, base_url: str, api_key: str | None) -> tuple[str, ...]:
    """The ids in the server's list, in its order; NotDiscovered when there is none within 5 s."""
    headers = {"accept": "application/json", "accept-encoding": "identity"}
    if api_key:
        headers["authorization"] = f"Bearer {api_key}"
    try:
        async with asyncio.timeout(_SECONDS):
            response = await wire.send("GET", f"{base_url}/models", headers=headers)
            body = await _read(response)
    except TimeoutError:
        raise NotDiscovered(f"{base_url}/models gave no answer within {_SECONDS:g} s") from None
    except WireError as error:
        raise NotDiscovered(f"{base_url}/models cannot be reached ({error.fault})") from None
    if response.status in (401, 403):
        raise NotDiscovered(f"{base_url}/models answered {response.status}: set VLLM_API_KEY")
    if response.status >= 500:
        raise NotDiscovered(f"{base_url}/models answered {response.status}: it is not ready")
    if response.status != 200:
        raise NotDiscovered(
            f"{base_url}/models answered {response.status}: VLLM_BASE_URL must end in /v1"
        )
    return _names(body, base_url)


async def _read(response: WireResponse) -> bytes:
    """The whole body. The connection is dropped unless all of it was read."""
    try:
        body = await response.read(_BYTES)
    except BaseException:
        response.close()
        raise
    response.release()
    return body


def _names(body: bytes, base_url: str) -> tuple[str, ...]:
    try:
        rows = orjson.loads(body)["data"]
        names = tuple(dict.fromkeys(row["id"] for row in rows if _is_name(row["id"])))
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise NotDiscovered(f"{base_url}/models is not a list of models") from None
    if not names:
        raise NotDiscovered(f"{base_url}/models lists no model")
    return names


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


@dataclass(frozen=True, slots=True)
class OneServer:
    """One server that tells its own models; `base_url` ends in /v1."""

    base_url: str
    key: str | None = field(default=None, repr=False)


class Discovery:
    """Keeps the models of one server known. `server` is that of now, None while a file names the
    models; `found` takes the names. `trouble` is why there are none yet, or no new ones."""

    def __init__(
        self,
        wire: Wire,
        server: Callable[[], OneServer | None],
        found: Callable[[OneServer, tuple[str, ...]], None],
    ) -> None:
        self._wire = wire
        self._server = server
        self._found = found
        self.trouble = "no server has been asked for its models yet"

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """One look at once, and further ones until the block ends."""
        await self._look()
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _look(self) -> None:
        server = self._server()
        if server is None:
            self.trouble = ""
            return
        try:
            names = await model_names(self._wire, server.base_url, server.key)
        except NotDiscovered as error:
            if self.trouble != str(error):
                _log.warning("%s; asking again every %g s", error, _ASK_AGAIN_SECONDS)
            self.trouble = str(error)
            return
        self.trouble = ""
        # While we asked, a file may have been filled.
        if self._server() == server:
            self._found(server, names)

    async def _watch(self) -> None:
        while True:
            # A server that is gone for a while keeps its names: the next answer tells.
            await asyncio.sleep(_ASK_AGAIN_SECONDS if self.trouble else _LOOK_AGAIN_SECONDS)
            await self._look()
