"""A whole gateway behind a real socket, in a thread of the test's own process: ServedGateway."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvicorn

from gateway.adapters.litellm_config import Deployment, LiteLLMConfig
from gateway.plan import Fleet
from gateway.settings import Settings
from gateway.web.connection import KEEP_ALIVE_SECONDS, connection_class
from gateway.web.server import create_app

_START_SECONDS = 30.0


def fleet_on(
    base_urls: Sequence[str], *, model: str = "m", router_settings: Mapping[str, Any] | None = None
) -> Fleet:
    """One model on these replicas (each URL ends in /v1), as litellm_config.yaml names them."""
    deployments = [
        Deployment(model, f"r{number}", {"model": f"hosted_vllm/{model}", "api_base": url})
        for number, url in enumerate(base_urls)
    ]
    return Fleet("file", LiteLLMConfig(tuple(deployments), dict(router_settings or {}), {}, "test"))


class ServedGateway:
    """Use as `with ServedGateway(fleet_on([mock.base_url])) as gateway:`; `gateway.url`."""

    def __init__(
        self,
        fleet: Fleet,
        settings: Settings | None = None,
        again: Callable[[], Settings] | None = None,
        folder: Path | None = None,
    ) -> None:
        """`again` reads the settings anew, for a gateway that reloads them; in `folder` it finds
        other worker processes, where a test plays them."""
        settings = settings or Settings()
        config = uvicorn.Config(
            create_app(settings, fleet, again, folder=folder),
            loop="uvloop",
            http=connection_class(
                settings.streams.client_stall_s,
                settings.server.max_header_bytes,
                settings.server.max_headers,
            ),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.url = ""
        """`http://127.0.0.1:<port>`, once it has been entered."""

    def _run(self) -> None:
        # uvicorn ends the process where an application cannot start; here only its thread may end.
        with contextlib.suppress(SystemExit):
            self._server.run(sockets=[self._socket])

    def __enter__(self) -> Self:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread.start()
        ends = time.monotonic() + _START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > ends:
                self._end()
                raise RuntimeError("the gateway did not start; its log says why")
            time.sleep(0.005)
        return self

    def stop(self) -> None:
        """As SIGTERM does: take nothing new, finish what runs. Returns at once."""
        self._server.should_exit = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        self.stop()
        self._thread.join(_START_SECONDS)
        self._socket.close()
