"""`gateway serve` on real vLLM: one model on two replicas, or one server that tells its models."""

from __future__ import annotations

from pathlib import Path

import httpx
import openai
import pytest

from tests.live.fronted import CHAT, MODEL, ask
from tests.live.vllm_server import Replica
from tests.served_command import ServedCommand, served_command, until

pytestmark = pytest.mark.live


def test_both_replicas_take_their_share(
    gateway: ServedCommand, vllm_replicas: tuple[Replica, ...]
) -> None:
    def served() -> list[float]:
        return [one.metrics().get("vllm:request_success_total", 0.0) for one in vllm_replicas]

    def gained() -> list[float]:
        return [now - first for now, first in zip(served(), before, strict=True)]

    before = served()
    body = {"model": MODEL, "messages": CHAT, "max_tokens": 1}
    with httpx.Client(base_url=gateway.url, timeout=60) as http:
        answers = [http.post("/v1/chat/completions", json=body) for _ in range(20)]
    by = [answer.headers["x-gateway-replica"] for answer in answers]
    assert {answer.status_code for answer in answers} == {200}
    assert set(by) == {"vllm-0", "vllm-1"}
    # vLLM counts a request a moment after it has answered it.
    until(lambda: sum(gained()) == 20, 10, "counted")
    assert gained() == [by.count("vllm-0"), by.count("vllm-1")]


def test_the_request_id_joins_gateway_and_replica(gateway: ServedCommand) -> None:
    body = {"model": MODEL, "messages": CHAT, "max_tokens": 1}
    answer = ask(gateway.url, "/v1/chat/completions", body, **{"x-request-id": "join-1"})
    assert answer.json()["id"] == "chatcmpl-join-1"
    assert answer.headers["x-request-id"] == "join-1"
    until(lambda: '"join-1"' in gateway.printed, 5, "logged")


def test_readyz_and_models_tell_of_both_replicas(gateway: ServedCommand) -> None:
    model = httpx.get(f"{gateway.url}/readyz").json()["models"][MODEL]
    assert (model["replicas"], model["healthy"]) == (2, 2)
    listed = httpx.get(f"{gateway.url}/v1/models").json()["data"]
    assert [row["id"] for row in listed] == [MODEL]


def test_no_key_is_ever_logged(client: openai.OpenAI, gateway: ServedCommand) -> None:
    asked = client.chat.completions.with_raw_response
    answer = asked.create(model=MODEL, messages=CHAT, max_tokens=1)
    call = answer.headers["x-request-id"]
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="nope", messages=CHAT)
    until(lambda: call in gateway.printed, 5, "logged")
    assert "sk-client-canary" not in gateway.printed


def test_one_server_in_the_environment_tells_its_own_models(
    vllm_replicas: tuple[Replica, ...], tmp_path: Path
) -> None:
    replica = vllm_replicas[0]
    folder = tmp_path / "empty"
    folder.mkdir()
    upstream = {"VLLM_BASE_URL": replica.base_url, "VLLM_API_KEY": "sk-upstream-canary"}
    with served_command(folder, **upstream) as served:
        listed = httpx.get(f"{served.url}/v1/models").json()["data"]
        assert [row["id"] for row in listed] == [replica.model]
        body = {"model": replica.model, "messages": CHAT, "max_tokens": 4}
        assert ask(served.url, "/v1/chat/completions", body).status_code == 200
        assert f'"model": "{replica.model}"' in served.lines_to_try[0]
    assert "sk-upstream-canary" not in served.printed
