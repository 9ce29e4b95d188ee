"""Two gateways that share a Redis: a replica that fails one of them rests at both."""

from __future__ import annotations

import time

import httpx

from gateway.adapters.litellm_config import Deployment, LiteLLMConfig
from gateway.plan import Fleet
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.plugin import MockFleet
from gateway.testing.served import ServedGateway
from tests.redis_server import redis_server
from tests.shared_gateway import forgetful

BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}


def fleet(mocks: list[MockVLLM]) -> Fleet:
    """The first is asked first; one failure is one too many."""
    deployments = tuple(
        Deployment(
            "m",
            f"r{number}",
            {"model": "hosted_vllm/m", "api_base": mock.base_url, "order": number + 1},
        )
        for number, mock in enumerate(mocks)
    )
    router = {"allowed_fails": 0, "cooldown_time": 60}
    return Fleet("file", LiteLLMConfig(deployments, router, {}, "test"))


def states(gateway: ServedGateway) -> dict[str, str]:
    rows = httpx.get(f"{gateway.url}/admin/replicas").json()["replicas"]
    return {row["id"]: row["state"] for row in rows}


def test_a_replica_that_fails_one_gateway_is_asked_by_neither(mock_vllm_factory: MockFleet) -> None:
    mocks = [mock_vllm_factory(model="m"), mock_vllm_factory(model="m")]
    mocks[0].script(Behaviour(status=500))
    with redis_server() as redis:
        settings = forgetful(state={"redis_url": redis.url})
        with (
            ServedGateway(fleet(mocks), settings) as here,
            ServedGateway(fleet(mocks), settings) as there,
        ):
            assert httpx.post(f"{here.url}/v1/chat/completions", json=BODY).status_code == 200
            assert states(here) == {"r0": "cooling", "r1": "healthy"}
            ends = time.monotonic() + 20
            while states(there)["r0"] != "cooling":
                assert time.monotonic() < ends, "it never heard of it"
                time.sleep(0.05)
            asked = len(mocks[0].requests("/v1/chat/completions"))
            answer = httpx.post(f"{there.url}/v1/chat/completions", json=BODY)
            assert answer.headers["x-gateway-replica"] == "r1"
            assert answer.headers["x-gateway-attempts"] == "1"
            assert len(mocks[0].requests("/v1/chat/completions")) == asked
