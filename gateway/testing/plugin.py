"""pytest fixtures for authors: `mock_vllm`, `mock_vllm_factory`; `policy_bench` for policies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from gateway.testing.mock_vllm import MockVLLM
    from gateway.testing.policy_bench import PolicyBench

_Options = tuple[tuple[str, ...], int]


def pytest_configure(config: pytest.Config) -> None:
    """Let LiteLLM's Router be used where warnings are errors: it silences this one itself when it
    is imported, and pytest forgets that after each test."""
    config.addinivalue_line("filterwarnings", "ignore:.*`ReadOnly` qualifier:UserWarning")


class MockFleet:
    """Starts mocks, and keeps them for the next test: a start costs 0.1 s of CPU, a reset nothing.

    Called with what `MockVLLM.start` takes, except the port.
    """

    def __init__(self) -> None:
        self._idle: list[tuple[_Options, MockVLLM]] = []
        self._lent: list[tuple[_Options, MockVLLM]] = []

    def __call__(
        self, *, model: str | Sequence[str] = "mock", max_model_len: int = 4096
    ) -> MockVLLM:
        """A mock that is as good as new, until the end of the test."""
        options = ((model,) if isinstance(model, str) else tuple(model), max_model_len)
        mock = self._renewed(options)
        if mock is None:
            # Not at the top: pytest loads this plugin in every run, also where no mock is used.
            from gateway.testing.mock_vllm import MockVLLM

            mock = MockVLLM.start(model=options[0], max_model_len=max_model_len)
        self._lent.append((options, mock))
        return mock

    def _renewed(self, options: _Options) -> MockVLLM | None:
        for entry in self._idle:
            if entry[0] == options:
                self._idle.remove(entry)
                entry[1].renew()
                return entry[1]
        return None

    def take_back(self) -> None:
        """The test is over: its mocks are free, and silent until they are lent again."""
        while self._lent:
            entry = self._lent.pop()
            entry[1].renew()
            self._idle.append(entry)

    def stop(self) -> None:
        """End every process."""
        for _, mock in [*self._idle, *self._lent]:
            mock.stop()
        self._idle, self._lent = [], []


@pytest.fixture(scope="session")
def _mock_fleet() -> Iterator[MockFleet]:
    fleet = MockFleet()
    yield fleet
    fleet.stop()


@pytest.fixture
def mock_vllm_factory(_mock_fleet: MockFleet) -> Iterator[MockFleet]:
    """Call it for each replica the test needs: `mock_vllm_factory(model="m")`."""
    yield _mock_fleet
    _mock_fleet.take_back()


@pytest.fixture
def mock_vllm(mock_vllm_factory: MockFleet) -> MockVLLM:
    """One healthy mock vLLM that serves the model "mock"; see gateway.testing.mock_vllm."""
    return mock_vllm_factory()


@pytest.fixture
def policy_bench() -> PolicyBench:
    """Runs policies with no server, on counters and a clock of the test's own; see
    gateway.testing.policy_bench."""
    from gateway.testing.policy_bench import PolicyBench  # not at the top, as above

    return PolicyBench()
