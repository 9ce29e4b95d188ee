"""AsyncAssistClient: the same questions, awaited; a cancelled task stops its model."""

from __future__ import annotations

import asyncio

import pytest

from gateway.client import (
    AsyncAssistClient,
    ConnectionFailed,
    DeltaEvent,
    File,
    ResultEvent,
    StatusError,
    StreamTruncated,
)
from gateway.domain.actions import ACTIONS
from gateway.testing.mock_vllm import Behaviour, MockVLLM
from gateway.testing.served import ServedGateway
from tests.client.contract_server import ContractServer, closed_port

MEAN = File("src/mean.py", "def mean(xs):\n    return sum(xs) / len(xs)\n")


async def test_a_whole_answer(served: ServedGateway, replica: MockVLLM) -> None:
    replica.script(Behaviour(text="It divides."))
    async with AsyncAssistClient(served.url) as client:
        assert (await client.explain(MEAN)).explanation == "It divides."
        assert (await client.rewrite(MEAN, "x")).status in ("changed", "unresolved")


@pytest.mark.parametrize("action", [action.name for action in ACTIONS])
def test_it_has_every_action_of_the_gateway(action: str) -> None:
    name = action.replace("-", "_")
    assert callable(getattr(AsyncAssistClient, name))
    assert callable(getattr(AsyncAssistClient, f"{name}_stream"))


async def test_a_stream_ends_with_its_result(served: ServedGateway, replica: MockVLLM) -> None:
    replica.script(Behaviour(deltas=("a", "b")))
    async with AsyncAssistClient(served.url) as client, client.chat_stream("hi") as stream:
        events = [event async for event in stream]
        assert events[-1] == ResultEvent(await stream.result())
    replica.script(Behaviour(deltas=("a", "b")))
    async with AsyncAssistClient(served.url) as client, client.chat_stream("hi") as stream:
        assert [text async for text in stream.text()] == ["a", "b"]


async def test_a_refusal_is_the_same_error(served: ServedGateway) -> None:
    async with AsyncAssistClient(served.url) as client:
        with pytest.raises(StatusError, match="model_not_found"):
            await client.explain(MEAN, model="nope")
        with pytest.raises(StatusError, match="model_not_found"):
            async with client.explain_stream(MEAN, model="nope"):
                pass


@pytest.mark.parametrize("stream", [False, True])
async def test_cancelling_a_task_stops_the_model(
    served: ServedGateway, replica: MockVLLM, stream: bool
) -> None:
    replica.script(Behaviour(tokens=5000, delay_between=0.02))

    async def ask(client: AsyncAssistClient) -> None:
        if not stream:
            await client.explain(MEAN)
        async with client.explain_stream(MEAN) as answer:
            async for _ in answer:
                pass

    async with AsyncAssistClient(served.url) as client:
        task = asyncio.create_task(ask(client))
        await replica.arrived()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        (received,) = await replica.settled()
    assert received.outcome == "client_left"


async def test_leaving_a_stream_early_closes_its_connection(contract: ContractServer) -> None:
    contract.streams(("delta", {"text": "a"}), end="wait")
    async with AsyncAssistClient(contract.url) as client:
        async with client.rewrite_stream(MEAN, "x") as stream:
            async for event in stream:
                assert event == DeltaEvent("a")
                break
        assert await asyncio.to_thread(contract.left.wait, 20)


async def test_a_stream_that_is_cut_is_never_a_result(contract: ContractServer) -> None:
    contract.streams(("delta", {"text": "a"}), end="cut")
    async with (
        AsyncAssistClient(contract.url) as client,
        client.rewrite_stream(MEAN, "x") as stream,
    ):
        with pytest.raises(StreamTruncated, match="ask again"):
            await stream.result()


async def test_nobody_there_is_told_with_what_to_type() -> None:
    async with AsyncAssistClient(f"http://127.0.0.1:{closed_port()}", "sk-key") as client:
        with pytest.raises(ConnectionFailed, match="start it with: make serve"):
            await client.explain(MEAN)
        assert "sk-key" not in repr(client)
