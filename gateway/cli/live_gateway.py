"""A running gateway, asked by URL and key for what it tells operators: LiveGateway."""

from __future__ import annotations

from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import httpx
import orjson

from gateway.client.address import CONNECT_SECONDS, Address, refused
from gateway.client.errors import InvalidAnswer, StatusError

_SECONDS = 10.0


class LiveGateway:
    """Use as `with LiveGateway(url, key) as gateway:`. What is None comes from GATEWAY_URL and
    GATEWAY_API_KEY. One connection, kept: so the same worker answers each time."""

    def __init__(self, url: str | None, key: str | None) -> None:
        """AssistError for a bad URL or key."""
        self._address = Address.of(url, key, None)
        self._http = self._address.opened(httpx.Client)

    @property
    def url(self) -> str:
        """Where it is."""
        return self._address.url

    def get(self, path: str) -> Any:
        """The JSON that it answers with. StatusError when it says no, ConnectionFailed,
        RequestTimeout or InvalidAnswer when it says nothing that could be used."""
        headers = {"user-agent": "gateway-client", "accept": "application/json"}
        if self._address.key:
            headers["authorization"] = f"Bearer {self._address.key}"
        timeout = httpx.Timeout(_SECONDS, connect=CONNECT_SECONDS)
        with self._address.telling():
            answer = self._http.get(self.url + path, headers=headers, timeout=timeout)
        if answer.status_code != 200:
            raise _with_fix(refused(answer))
        try:
            return orjson.loads(answer.content)
        except orjson.JSONDecodeError:
            raise InvalidAnswer(
                f"{self.url} answers, but not with JSON; is that a gateway's address?"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()


def _with_fix(error: StatusError) -> StatusError:
    """What the gateway says is for those who write HTTP: a shell has a variable for the key."""
    if error.status != 401:
        return error
    message = f"{error.trouble.message} Here: set GATEWAY_API_KEY."
    return StatusError(error.status, replace(error.trouble, message=message))
