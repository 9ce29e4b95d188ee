"""What live tests share: two real vLLM replicas, and leave to talk to them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.live.provision import Report, announce
from tests.live.vllm_server import Replica, base_urls, start_replicas

TEST_LIMIT_S = 180.0


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
