"""What live tests share: two real vLLM replicas, and the real command in front of them."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from urllib.parse import urlsplit

import openai
import pytest

from gateway.testing.mock_vllm import MockVLLM
from tests.live.callers import PACED
from tests.live.environments import Report, announce, tail
from tests.live.fronted import write_litellm_config
from tests.live.trace_store import TraceStore
from tests.live.vllm_server import Replica, base_urls, start_replicas
from tests.served_command import ServedCommand, served_command

TEST_LIMIT_S = 180.0
LOGGED = (Replica, ServedCommand, TraceStore)


@pytest.fixture(scope="session")
def progress(pytestconfig: pytest.Config) -> Report:
    """Prints a line past pytest's capture: a first build takes minutes and must not look stuck."""
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")

    def report(line: str) -> None:
        with capture.global_and_fixture_disabled():
            announce(line)

    return report


@pytest.fixture(scope="session")
def vllm_replicas(
    tmp_path_factory: pytest.TempPathFactory, progress: Report
) -> Iterator[tuple[Replica, ...]]:
    """Two healthy replicas of one model, for all tests of the session."""
    with start_replicas(2, logs=tmp_path_factory.mktemp("vllm"), report=progress) as replicas:
        yield replicas


@pytest.fixture(scope="session")
def gateway(
    vllm_replicas: tuple[Replica, ...], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedCommand]:
    """`gateway serve` with a litellm_config.yaml that names both replicas under one model."""
    folder = tmp_path_factory.mktemp("gateway")
    write_litellm_config(folder, vllm_replicas)
    with served_command(folder) as served:
        yield served


@pytest.fixture
def mock() -> Iterator[MockVLLM]:
    """A replica that is fast enough for a Crowd, and slow enough to be killed in an answer."""
    with MockVLLM.start(model="m", script=(PACED,)) as running:
        yield running


@pytest.fixture
def client(gateway: ServedCommand) -> Iterator[openai.OpenAI]:
    """OpenAI's own client, which retries nothing: what it sees is what the gateway did."""
    url = f"{gateway.url}/v1"
    with openai.OpenAI(base_url=url, api_key="sk-client-canary", max_retries=0) as api:
        yield api


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that fails shows what replicas, gateway and store printed last: where it runs by
    itself, nobody can look at their logs afterwards."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        used = item.funcargs.values()
        each = [one for value in used for one in (value if isinstance(value, tuple) else (value,))]
        logs = {one.log for one in each if isinstance(one, LOGGED)}
        report.sections += [(f"end of {log.name}", tail(log, 30)) for log in logs if log]
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let tests marked `live` reach loopback and VLLM_BASE_URLS, and bound each in time."""
    urls = base_urls(os.environ.get("VLLM_BASE_URLS", ""))
    hosts = {urlsplit(url).hostname or "" for url in urls} | {"127.0.0.1", "::1", "localhost"}
    for item in items:
        if item.get_closest_marker("live"):
            item.add_marker(pytest.mark.allow_hosts(sorted(hosts)))
            # Only the test itself: the first one also pays for starting the replicas, and a first
            # build takes minutes. Both have limits of their own.
            item.add_marker(pytest.mark.timeout(TEST_LIMIT_S, func_only=True))
