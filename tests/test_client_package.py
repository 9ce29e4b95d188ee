"""`gateway.client` has all its names, and loads what is used and no more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import gateway.client

ROOT = Path(__file__).parents[1]


def loaded(code: str) -> set[str]:
    show = f"{code}; import sys; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", show], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(ran.stdout.split())


def test_every_name_is_there_and_comes_from_one_place() -> None:
    for name in gateway.client.__all__:
        found = getattr(gateway.client, name)
        assert getattr(found, "__module__", "gateway.client.x").startswith(("gateway.", "typing"))


def test_any_other_name_is_an_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'AsistClient'"):
        gateway.client.AsistClient  # type: ignore[attr-defined]  # noqa: B018


def test_the_http_client_loads_no_server() -> None:
    modules = loaded("from gateway.client import AssistClient, questions, DeltaEvent")
    heavy = {"fastapi", "litellm", "starlette", "uvicorn", "aiohttp", "opentelemetry", "openai"}
    assert modules & heavy == set()
    assert "gateway.client.in_process" not in modules


def test_the_pipeline_s_own_client_loads_no_http_client() -> None:
    assert "httpx" not in loaded("from gateway.client import chat, chat_stream, Via")
    assert "httpx" not in loaded("import gateway.flow.assist")
