"""A collector that is gone or silent costs no request anything, and holds up no end."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import pytest

from gateway.adapters.traces import SHUTDOWN_SECONDS
from gateway.testing.mock_vllm import MockVLLM
from tests.live.fronted import CHAT, MODEL, write_litellm_config
from tests.live.vllm_server import Replica
from tests.served_command import ServedCommand, served_command, until

pytestmark = pytest.mark.live

CALLS = 1000
# One attempt to send takes as long: a call that had waited for one, took longer.
EXPORT_S = 2.0
# What waits at the end is some eight attempts, 16 s.
STOPPED_WITHIN_S = SHUTDOWN_SECONDS + 5


@contextmanager
def refusing() -> Iterator[str]:
    """Nobody listens there."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


@contextmanager
def silent() -> Iterator[str]:
    """It takes connections, and answers nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def lost(gateway: ServedCommand) -> bool:
    """Whether it says that spans were dropped."""
    return gateway.metric("gw_telemetry_dropped_total", signal="spans") > 0


@pytest.mark.parametrize("dead", [refusing, silent])
def test_calls_and_the_end_are_as_quick_as_with_none(
    dead: Callable[[], AbstractContextManager[str]], tmp_path: Path
) -> None:
    folder = tmp_path / "gateway"
    folder.mkdir()
    body = {"model": MODEL, "messages": CHAT}
    with dead() as endpoint, MockVLLM.start(model="m") as mock:
        write_litellm_config(folder, [Replica(mock.base_url, "m")])
        environ = {"GATEWAY_TELEMETRY__OTLP_ENDPOINT": endpoint}
        with (
            served_command(folder, **environ) as served,
            httpx.Client(base_url=served.url, timeout=30) as http,
        ):
            for _ in range(CALLS):
                began = time.monotonic()
                assert http.post("/v1/chat/completions", json=body).status_code == 200
                assert time.monotonic() - began < EXPORT_S
            until(lambda: lost(served), 10, "said to be lost")
            began = time.monotonic()
            assert served.stop(signal.SIGTERM) == 0, served.printed
            assert time.monotonic() - began < STOPPED_WITHIN_S
