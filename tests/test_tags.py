"""LiteLLM's request tags through the whole gateway: by header and by body."""

from __future__ import annotations

from typing import Any

import httpx

from gateway.adapters.litellm_config import Deployment, LiteLLMConfig
from gateway.plan import Fleet
from gateway.testing.plugin import MockFleet
from gateway.testing.served import ServedGateway


def test_a_request_goes_where_its_tags_allow(mock_vllm_factory: MockFleet) -> None:
    tagged = {"r0": ["paid"], "r1": ["default"]}
    deployments = tuple(
        Deployment(
            "m",
            key,
            {
                "model": "hosted_vllm/m",
                "api_base": mock_vllm_factory(model="m").base_url,
                "tags": tags,
            },
        )
        for key, tags in tagged.items()
    )
    config = LiteLLMConfig(deployments, {"enable_tag_filtering": True}, {}, "test")
    with ServedGateway(Fleet("file", config)) as gateway:

        def answered_by(headers: dict[str, str], **fields: Any) -> str:
            asked = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
            url = f"{gateway.url}/v1/chat/completions"
            answer = httpx.post(url, json=asked, headers=headers)
            return answer.headers.get("x-gateway-replica", str(answer.status_code))

        for _ in range(5):
            assert answered_by({}) == "r1"
            assert answered_by({"x-litellm-tags": "paid, eu"}) == "r0"
            assert answered_by({}, metadata={"tags": ["paid"]}) == "r0"
        assert answered_by({"x-litellm-tags": "unheard-of"}) == "r1"
