"""A collector that is gone or silent costs no request anything, and holds up no end."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from gateway.adapters.traces import SHUTDOWN_SECONDS
from gateway.testing.mock_vllm import MockVLLM
from tests.live.fronted import CHAT, MODEL, write_litellm_config
from tests.live.vllm_server import Replica
from tests.served_command import ServedCommand, served_command, until

pytestmark = pytest.mark.live

ANSWERED = 60
REFUSED = 300
# One attempt to send 128 calls takes as long. What waits at the end is some six attempts.
EXPORT_S = 2.0
WAITING = 1000
BUSY_S = 3.0


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


def seconds(http: httpx.Client, model: str) -> float:
    """How long one call takes."""
    began = time.monotonic()
    answer = http.post("/v1/chat/completions", json={"model": model, "messages": CHAT})
    assert answer.status_code == (200 if model == MODEL else 404), answer.text
    return time.monotonic() - began


def seconds_to_stop(gateway: ServedCommand) -> float:
    """How long its end takes."""
    began = time.monotonic()
    assert gateway.stop(signal.SIGTERM) == 0, gateway.printed
    return time.monotonic() - began


@pytest.mark.parametrize("dead", [refusing, silent])
def test_calls_and_the_end_are_as_quick_as_with_none(
    dead: Callable[[], AbstractContextManager[str]], tmp_path: Path
) -> None:
    with ExitStack() as stack:
        endpoint, mock = stack.enter_context(dead()), MockVLLM.start(model="m")
        replica = Replica(stack.enter_context(mock).base_url, "m")
        served, clients = [], []
        for name, environ in (("with", {"GATEWAY_TELEMETRY__OTLP_ENDPOINT": endpoint}), ("no", {})):
            folder = tmp_path / name
            folder.mkdir()
            write_litellm_config(folder, [replica])
            served.append(stack.enter_context(served_command(folder, **environ)))
            client = httpx.Client(base_url=served[-1].url, timeout=60)
            clients.append(stack.enter_context(client))
        # By turns, so that whatever else the machine does slows both.
        models = [MODEL] * ANSWERED + ["nobody-has-it"] * REFUSED
        times = [[seconds(client, model) for client in clients] for model in models]
        traced, untraced = (sum(column) for column in zip(*times, strict=True))
        assert traced < 2 * untraced + EXPORT_S
        for _ in range(WAITING):
            seconds(clients[0], "nobody-has-it")
        until(lambda: lost(served[0]), 20, "said to be lost")
        alone = seconds_to_stop(served[1])
        assert seconds_to_stop(served[0]) < SHUTDOWN_SECONDS + 2 * alone + BUSY_S
