"""What several files look at."""

from __future__ import annotations

import pytest

from tests.telemetry.mixed import Seen, mixed


@pytest.fixture(scope="session")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """A thousand calls, for all tests."""
    return mixed(tmp_path_factory.mktemp("state"))
