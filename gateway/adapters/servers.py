"""The servers behind the replicas, asked about themselves: are you well, how busy are you?

One server may stand behind several replicas (one vLLM with several names of models, say): it is
asked once for all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gateway.domain.ports import Replica, Wire, WireError, WireResponse
from gateway.domain.replica_load import ReplicaLoad, read_load

_ERROR_BYTES = 64 * 1024
_PAGE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Server:
    """`root` is the replicas' base URL without its /v1; `headers` are what they all send."""

    root: str
    base_url: str
    replicas: tuple[Replica, ...]
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def servers_of(replicas: Iterable[Replica]) -> dict[str, Server]:
    """By root. Replicas without a base URL (a provider that LiteLLM itself reaches) have none."""
    groups: dict[str, list[Replica]] = {}
    for replica in replicas:
        if replica.base_url:
            groups.setdefault(replica.base_url, []).append(replica)
    return {
        url.removesuffix("/v1"): Server(
            url.removesuffix("/v1"), url, tuple(members), _headers(members[0])
        )
        for url, members in groups.items()
    }


def _headers(replica: Replica) -> dict[str, str]:
    headers = {"accept-encoding": "identity", "user-agent": "vllm-gateway", **replica.headers}
    if replica.api_key:
        headers["authorization"] = f"Bearer {replica.api_key}"
    return headers


async def probe(wire: Wire, server: Server, within: float) -> str:
    """ "" when the server is alive, else why it is not, in words for /readyz and the log.

    GET /health; where there is none (404, 405), GET /v1/models. Any answer below 500 is a sign of
    life: that our key is wrong, say, the requests find out themselves.
    """
    path = "/health"
    try:
        async with asyncio.timeout(within):
            status = await _status(wire, server, f"{server.root}{path}")
            if status in (404, 405):
                path = "/models"
                status = await _status(wire, server, f"{server.base_url}{path}")
    except TimeoutError:
        return f"GET {path}: no answer within {within:g} s"
    except WireError as error:
        return f"GET {path}: {error.fault}"
    return f"GET {path}: {status}" if status >= 500 else ""


async def _status(wire: Wire, server: Server, url: str) -> int:
    response = await wire.send("GET", url, headers=server.headers)
    await _read(response, _ERROR_BYTES)
    return response.status


async def load(wire: Wire, server: Server, within: float, now: float) -> ReplicaLoad | None:
    """What its /metrics page says; None when it says nothing within `within` seconds."""
    try:
        async with asyncio.timeout(within):
            response = await wire.send("GET", f"{server.root}/metrics", headers=server.headers)
            page = await _read(response, _PAGE_BYTES)
    except (TimeoutError, WireError):
        return None
    return read_load(page, now) if response.status == 200 else None


async def _read(response: WireResponse, limit: int) -> bytes:
    """The whole body; the connection is kept only when it was read to its end."""
    try:
        page = await response.read(limit)
    except BaseException:
        response.close()
        raise
    response.release()
    return page
