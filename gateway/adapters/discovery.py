"""Asks an OpenAI-compatible server which models it has: its GET …/models."""

from __future__ import annotations

import asyncio

import orjson

from gateway.domain.ports import Wire, WireError, WireResponse

_SECONDS = 5.0
_BYTES = 1024 * 1024


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
