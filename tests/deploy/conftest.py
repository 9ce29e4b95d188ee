"""Programs of others that look at deploy/: used where they are, skipped where not."""

from __future__ import annotations

import pytest

from tests.prometheus_programs import Programs, found


@pytest.fixture(scope="session")
def programs() -> Programs:
    """Prometheus' tools. `make live` runs the same tests with fetched ones."""
    if (there := found()) is None:
        pytest.skip("no promtool: `python -m tests.prometheus_programs` fetches it")
    return there
