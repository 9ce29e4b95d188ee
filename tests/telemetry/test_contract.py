"""Each kind of request leaves behind what the contract says, and nothing else: contract.json."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.telemetry.contract import observed
from tests.telemetry.kinds import KINDS, House, Kind, house

CONTRACT: dict[str, Any] = json.loads(Path(__file__).with_name("contract.json").read_text())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One gateway for all kinds, each of which leaves it as it was."""
    with house(tmp_path_factory.mktemp("policies")) as one:
        yield one


def test_each_kind_has_its_contract() -> None:
    assert list(CONTRACT) == [kind.name for kind in KINDS]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_kind_of_request_leaves_behind_what_is_agreed(served: House, kind: Kind) -> None:
    assert observed(served, kind) == CONTRACT[kind.name]
