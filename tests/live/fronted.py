"""A gateway in front of real vLLM replicas, and what the live tests ask of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.live.vllm_server import Replica

MODEL = "coder"
# What a greedy model says is the same every time.
GREEDY: dict[str, Any] = {"temperature": 0, "seed": 1}
CHAT: Any = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]
ANSWERED_WITHIN_S = 120.0


def write_litellm_config(folder: Path, replicas: Sequence[Replica], **router: Any) -> None:
    """A litellm_config.yaml with one model on all of these, called vllm-0, vllm-1 …; `router` is
    its router_settings."""
    models = [
        {
            "model_name": MODEL,
            "litellm_params": {"model": f"hosted_vllm/{one.model}", "api_base": one.base_url},
            "model_info": {"id": f"vllm-{number}"},
        }
        for number, one in enumerate(replicas)
    ]
    # JSON is YAML.
    (folder / "litellm_config.yaml").write_text(
        json.dumps({"model_list": models, "router_settings": router})
    )


def ask(base_url: str, path: str, body: dict[str, Any], **headers: str) -> httpx.Response:
    """POST the body as JSON; the whole answer, whatever its status."""
    return httpx.post(f"{base_url}{path}", json=body, headers=headers, timeout=ANSWERED_WITHIN_S)
