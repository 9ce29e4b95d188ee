"""AnswerStream over a socket: cut, torn, ended without a result, left."""

from __future__ import annotations

import asyncio

import pytest

from gateway.client import (
    AssistClient,
    AsyncAssistClient,
    File,
    InvalidAnswer,
    StreamTruncated,
)
from tests.client.contract_server import ContractServer, event

FILE = File("a.py", "x = 1\n")
RESULT = {"id": "1", "explanation": "x"}


def asked(contract: ContractServer) -> str:
    with AssistClient(contract.url) as client, client.explain_stream(FILE) as stream:
        return stream.result().explanation


@pytest.mark.parametrize("end", ["close", "cut"])
def test_a_stream_without_a_result_is_truncated(contract: ContractServer, end: str) -> None:
    contract.streams(("delta", {"text": "half"}), end=end)
    with pytest.raises(StreamTruncated, match="ask again"):
        asked(contract)


def test_a_stream_cut_in_the_middle_of_its_result_is_truncated(contract: ContractServer) -> None:
    contract.streams(event("result", RESULT)[:-9])
    with pytest.raises(StreamTruncated):
        asked(contract)


def test_a_result_counts_even_where_the_end_is_missing(contract: ContractServer) -> None:
    contract.streams(("result", RESULT), end="cut")
    assert asked(contract) == "x"


def test_an_error_event_is_told_with_its_code(contract: ContractServer) -> None:
    error = {"message": "Gone.", "code": "upstream_truncated", "request_id": "r", "retry_after": 2}
    contract.streams(("delta", {"text": "a"}), ("error", {"error": error}))
    with pytest.raises(StreamTruncated, match=r"Gone\. \(upstream_truncated, request r\)") as told:
        asked(contract)
    assert told.value.trouble is not None
    assert told.value.trouble.retry_after == 2


def test_the_result_of_a_stream_that_was_left_is_not_made_up(contract: ContractServer) -> None:
    contract.streams(("delta", {"text": "a"}), end="wait")
    with AssistClient(contract.url) as client, client.explain_stream(FILE) as stream:
        next(iter(stream))
    with pytest.raises(StreamTruncated):
        stream.result()


def test_an_answer_that_is_no_stream_is_refused(contract: ContractServer) -> None:
    contract.says(RESULT)
    with pytest.raises(InvalidAnswer, match="application/json, no stream"):
        asked(contract)


def test_a_stream_that_nobody_reads_is_closed_too(contract: ContractServer) -> None:
    contract.streams(("delta", {"text": "a"}), end="wait")
    with AssistClient(contract.url) as client:
        with client.explain_stream(FILE):
            pass
        assert contract.left.wait(20)


async def test_nor_is_one_left_open_that_nobody_awaits(contract: ContractServer) -> None:
    contract.streams(("delta", {"text": "a"}), end="wait")
    async with AsyncAssistClient(contract.url) as client:
        async with client.explain_stream(FILE):
            pass
        assert await asyncio.to_thread(contract.left.wait, 20)
