"""LiteLLM's translations behind our port; whole gateways: tests/web/test_provider_fallback.py."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import orjson
import pytest

from gateway.adapters.litellm_provider import LiteLLMProviders, broken, refused
from gateway.adapters.litellm_sdk import exceptions, litellm
from gateway.domain.endpoints import CHAT, COMPLETIONS, EMBEDDINGS
from gateway.domain.ports import Replica, WireError
from gateway.domain.retry import Fault, fault_of
from tests.provider_server import Plan, ProviderServer

FIELDS = {"messages": [{"role": "user", "content": "hi"}]}
SAID = {"message": "about http://10.0.0.1 and sk-1", "model": "m", "llm_provider": "x"}


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    with ProviderServer() as server:
        yield server


@pytest.fixture
async def providers() -> AsyncIterator[LiteLLMProviders]:
    providers = LiteLLMProviders()
    yield providers
    await providers.close()


def replica(server: ProviderServer, model: str = "anthropic/claude-sonnet-4-5") -> Replica:
    options = {"model": model, "api_base": server.url, "api_key": "sk-1", "temperature": 0.1}
    return Replica("c", "c", model.partition("/")[2], "", provider="p", options=options)


async def test_the_operators_params_are_defaults_for_the_clients(
    server: ProviderServer, providers: LiteLLMProviders
) -> None:
    for given in ({}, {"temperature": 0.9}):
        await providers.ask(replica(server), CHAT, {**FIELDS, **given}, stream=False)
    assert [asked.body["temperature"] for asked in server.asked] == [0.1, 0.9]


async def test_it_asks_once_and_listens_to_no_callback(
    server: ProviderServer, providers: LiteLLMProviders
) -> None:
    heard: list[object] = []

    class Listener(litellm.integrations.custom_logger.CustomLogger):  # type: ignore[misc]
        async def async_log_success_event(self, *args: Any, **more: Any) -> None:
            heard.append("success")

        async def async_log_failure_event(self, *args: Any, **more: Any) -> None:
            heard.append("failure")

    before = list(litellm.callbacks)
    litellm.callbacks.append(Listener())
    try:
        server.plan = Plan(status=500)
        answer = await providers.ask(replica(server), CHAT, FIELDS, stream=False)
        assert answer.status == 500
        assert len(server.asked) == 1
        server.plan = Plan()
        for stream in (False, True):
            answer = await providers.ask(replica(server), CHAT, FIELDS, stream=stream)
            assert await answer.read(1 << 20)
        await providers.close()
    finally:
        litellm.callbacks[:] = before
    assert heard == []


@pytest.mark.parametrize("text", [("Hel", "lo"), ("x" * 2**16,) * 99], ids=["short", "long"])
@pytest.mark.parametrize("model", ["anthropic/claude-sonnet-4-5", "ollama_chat/llama3"])
async def test_a_stream_that_is_closed_while_nobody_reads_leaves_at_once(
    server: ProviderServer, providers: LiteLLMProviders, model: str, text: tuple[str, ...]
) -> None:
    # Of the long one most is still to come: the server is at its work, and cannot go on with it.
    server.plan = Plan(ends="stall", text=text)
    answer = await providers.ask(replica(server, model), CHAT, FIELDS, stream=True)
    chunks = answer.chunks()
    assert await anext(chunks)
    began = time.monotonic()
    answer.close()
    answer.close()
    assert await asyncio.to_thread(server.asked[0].left.wait, 10)
    assert time.monotonic() - began < 2, "before anybody collects garbage"
    with pytest.raises(WireError):
        await anext(chunks)


async def test_an_endpoint_that_is_missing_is_501(
    server: ProviderServer, providers: LiteLLMProviders
) -> None:
    for endpoint, fields in ((COMPLETIONS, {"prompt": "x"}), (EMBEDDINGS, {"input": ["x"]})):
        answer = await providers.ask(replica(server), endpoint, fields, stream=False)
        assert fault_of(answer.status, b"") is Fault.UNSUPPORTED


async def test_after_the_end_no_connection_is_left(server: ProviderServer) -> None:
    providers = LiteLLMProviders()
    before = set(litellm.in_memory_llm_clients_cache.cache_dict)
    answer = await providers.ask(replica(server), CHAT, FIELDS, stream=True)
    assert b"[DONE]" in await answer.read(1 << 20)
    answer.release()
    await providers.close()
    assert set(litellm.in_memory_llm_clients_cache.cache_dict) <= before


async def test_an_answer_past_the_limit_is_garbage(
    server: ProviderServer, providers: LiteLLMProviders
) -> None:
    for stream in (False, True):
        answer = await providers.ask(replica(server), CHAT, FIELDS, stream=stream)
        with pytest.raises(WireError) as raised:
            await answer.read(10)
        assert raised.value.fault is Fault.GARBAGE
        answer.close()


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (exceptions.AuthenticationError, Fault.UPSTREAM_AUTH),
        (exceptions.RateLimitError, Fault.RATE_LIMITED),
        (exceptions.Timeout, Fault.TIMEOUT),
        (exceptions.InternalServerError, Fault.SERVER_ERROR),
        (exceptions.ServiceUnavailableError, Fault.SERVER_ERROR),
        (exceptions.BadRequestError, Fault.REJECTED),
        (exceptions.ContextWindowExceededError, Fault.CONTEXT_WINDOW),
        (exceptions.ContentPolicyViolationError, Fault.CONTENT_POLICY),
    ],
)
async def test_an_exception_is_the_answer_that_it_stands_for(kind: Any, fault: Fault) -> None:
    answer = refused(kind(**SAID))
    body = await answer.read(1 << 20)
    assert fault_of(answer.status, body) is fault
    assert b"10.0.0.1" not in body
    assert set(orjson.loads(body)) == {"error"}


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (exceptions.APIConnectionError(**SAID), Fault.BROKEN),
        (KeyError("10.0.0.1"), Fault.BROKEN),
        (exceptions.Timeout(**SAID), Fault.TIMEOUT),
        (exceptions.RateLimitError(**SAID), Fault.RATE_LIMITED),
        (exceptions.InternalServerError(**SAID), Fault.SERVER_ERROR),
    ],
)
def test_what_breaks_an_answer_is_told_by_its_kind_alone(error: Exception, fault: Fault) -> None:
    told = broken(error)
    assert told.fault is fault
    assert "10.0.0.1" not in str(told)
