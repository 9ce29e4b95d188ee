"""A whole gateway over one mock vLLM, and a server that says what no gateway would.

For one module at a time: a running gateway uses `random`, which hypothesis watches.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.testing.mock_vllm import MockVLLM
from gateway.testing.served import ServedGateway, fleet_on
from tests.client.contract_server import ContractServer, contract_server
from tests.shared_gateway import forgetful

QUICK = forgetful(timeouts={"idle_s": 2.0})


@pytest.fixture(scope="module")
def _replica() -> Iterator[MockVLLM]:
    with MockVLLM.start(model="m") as mock:
        yield mock


@pytest.fixture(scope="module")
def _gateway(_replica: MockVLLM) -> Iterator[ServedGateway]:
    with ServedGateway(fleet_on([_replica.base_url]), QUICK) as served:
        yield served


@pytest.fixture
def replica(_replica: MockVLLM) -> MockVLLM:
    """The replica behind `served`, as good as new."""
    _replica.renew()
    return _replica


@pytest.fixture
def served(_gateway: ServedGateway, replica: MockVLLM) -> ServedGateway:
    """A gateway that tests share."""
    return _gateway


@pytest.fixture
def contract() -> Iterator[ContractServer]:
    """Says what the test says."""
    with contract_server() as server:
        yield server
