"""Redaction in the chain of a served gateway: beside the code assistant, and in plain answers."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gateway.settings.policies import PolicyEntry
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.served import ServedGateway, fleet_on
from tests.domain.secret_samples import SAMPLES
from tests.shared_gateway import forgetful

KEY, MAIL = SAMPLES["github"], "jane@example.com"
SOURCE = f"KEY = '{KEY}'\nMAIL = '{MAIL}'\nx = 1\n"


@pytest.fixture(scope="module")
def mock() -> Iterator[MockVLLM]:
    with MockVLLM.start(model="m") as mock:
        yield mock


@pytest.fixture(scope="module", params=["redact", "allow"])
def gateway(request: pytest.FixtureRequest, mock: MockVLLM) -> Iterator[ServedGateway]:
    """With the policy, and with the assistant's own redaction or without it."""
    settings = forgetful(
        policies=(PolicyEntry(use="redaction"),),
        assist={"secrets": request.param},  # type: ignore[arg-type]
    )
    with ServedGateway(fleet_on([mock.base_url]), settings) as gateway:
        yield gateway


def as_shown(mock: MockVLLM, gateway: ServedGateway, body: dict[str, object]) -> str:
    """The file as the model was shown it, found by asking once."""
    mock.script(Behaviour(text="x"))
    httpx.post(f"{gateway.url}/api/ai/rewrite", json=body)
    messages = mock.requests("/v1/chat/completions")[-1].body["messages"]
    asked = "\n".join(str(message["content"]) for message in messages)
    assert KEY not in asked
    assert MAIL not in asked
    first = asked.index("KEY = '")
    return asked[first : asked.index("x = 1", first)] + "x = 1\n"


@pytest.mark.parametrize("stream", [False, True])
def test_a_rewrite_of_a_file_with_secrets_gives_a_diff_that_applies(
    gateway: ServedGateway, mock: MockVLLM, tmp_path: Path, stream: bool
) -> None:
    body = {"instruction": "count up", "file": {"path": "a.py", "content": SOURCE}}
    shown = as_shown(mock, gateway, body)
    mock.script(Behaviour(text=shown.replace("x = 1", "x = 2")))
    if stream:
        told = httpx.post(f"{gateway.url}/api/ai/rewrite/stream", json=body).text
        assert KEY in told
        assert "SECRET_REMOVED_" not in told
        return
    said = httpx.post(f"{gateway.url}/api/ai/rewrite", json=body).json()
    assert said["status"] == "changed"
    (tmp_path / "a.py").write_text(SOURCE)
    subprocess.run(["git", "apply"], cwd=tmp_path, input=said["diff"].encode(), check=True)
    assert (tmp_path / "a.py").read_text() == SOURCE.replace("x = 1", "x = 2")


def test_what_a_model_echoes_comes_back_whole(gateway: ServedGateway, mock: MockVLLM) -> None:
    mock.script(Behaviour(echo=True))
    body = {"model": "m", "messages": [{"role": "user", "content": SOURCE}]}
    said = httpx.post(f"{gateway.url}/v1/chat/completions", json=body).json()
    assert said["choices"][0]["message"]["content"] == SOURCE
    sent = mock.requests("/v1/chat/completions")[-1].body["messages"][0]["content"]
    assert sent == "KEY = 'SECRET_REMOVED_0001_'\nMAIL = 'SECRET_REMOVED_0002_'\nx = 1\n"
