"""The gateways of all scenarios, and the replicas that they share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gateway.testing.mock_vllm import MockVLLM
from tests.faults.fleet import PATIENCE, Faulty


# Of a module, not of the session: a gateway in a thread of this process draws random numbers, and
# Hypothesis, in other modules, minds.
@pytest.fixture(scope="module")
def _mocks() -> Iterator[dict[str, MockVLLM]]:
    mocks = {name: MockVLLM.start(model="*") for name in "abcs"}
    yield mocks
    for mock in mocks.values():
        mock.stop()


@pytest.fixture(scope="module")
def _patient(_mocks: dict[str, MockVLLM]) -> Iterator[Faulty]:
    with Faulty(_mocks, 30.0) as fleet:
        yield fleet


@pytest.fixture(scope="module")
def _impatient(_mocks: dict[str, MockVLLM]) -> Iterator[Faulty]:
    with Faulty(_mocks, PATIENCE) as fleet:
        yield fleet


@pytest.fixture
def _no_doubts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.domain.standing.DOUBT_SECONDS", 0.0)


@pytest.fixture
def faulty(_patient: Faulty, _no_doubts: None) -> Faulty:
    """A gateway that has all the time in the world: a busy machine is no fault."""
    return _patient


@pytest.fixture
def impatient(_impatient: Faulty, _no_doubts: None) -> Faulty:
    """One that does not wait for replicas that hang."""
    return _impatient
