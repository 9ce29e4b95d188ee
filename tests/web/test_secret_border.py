"""A secret that is cut somewhere in a stream: through a served gateway, nothing of it leaves.

Every border of every field and writing: tests/live/test_secret_border.py.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from gateway.settings.policies import PolicyEntry
from gateway.testing.mock_vllm import MockVLLM
from gateway.testing.served import ServedGateway, fleet_on
from tests.border import FIELDS, WRITINGS, Field, answering, read
from tests.domain.secret_samples import SAMPLES
from tests.shared_gateway import forgetful

SECRET = "\U0001f511열쇠" + SAMPLES["aws"]
BEFORE, AFTER = "값은 ", ".\n끝"
CHAINS = {
    "guard_output": PolicyEntry(
        use="guard_output", settings={"patterns": {"key": "\U0001f511열쇠AKIA[A-Z0-9]{16}"}}
    ),
    "redaction": PolicyEntry(
        use="redaction",
        settings={
            "answer_detectors": ["secrets", "pii", "network"],
            "patterns": {"key": "\U0001f511열쇠AKIA[A-Z0-9]{16}"},
        },
    ),
}


@pytest.fixture(scope="module")
def mock() -> Iterator[MockVLLM]:
    with MockVLLM.start(model="m") as mock:
        yield mock


@pytest.fixture(scope="module", params=CHAINS)
def client(request: pytest.FixtureRequest, mock: MockVLLM) -> Iterator[tuple[str, httpx.Client]]:
    """The name of a policy, and a client of a gateway that has it."""
    settings = forgetful(policies=(CHAINS[request.param],))
    with (
        ServedGateway(fleet_on([mock.base_url]), settings) as gateway,
        httpx.Client(base_url=gateway.url) as client,
    ):
        yield request.param, client


def check(policy: str, text: str, code: str) -> None:
    """Nothing of the secret is in what a client has read."""
    if policy == "redaction":
        assert (text, code) == (f"{BEFORE}[secret removed]{AFTER}", "")
    else:
        assert (BEFORE.startswith(text), code) == (True, "answer_withheld")


@pytest.mark.parametrize("field", FIELDS)
def test_letter_by_letter(client: tuple[str, httpx.Client], mock: MockVLLM, field: Field) -> None:
    policy, http = client
    for number, writing in enumerate(WRITINGS):
        said = list(BEFORE + SECRET + AFTER)
        mock.script(answering(field, said, writing, split=None if number else 61))
        check(policy, *read(http, field))


def test_packet_by_packet_of_a_byte(client: tuple[str, httpx.Client], mock: MockVLLM) -> None:
    policy, http = client
    mock.script(answering("content", [BEFORE + SECRET[:9], SECRET[9:] + AFTER], WRITINGS[0], 1))
    check(policy, *read(http, "content"))
