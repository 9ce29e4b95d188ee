"""EventReader: however the bytes are cut, the same events come out."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client import (
    ContextEvent,
    ContextReport,
    DeltaEvent,
    Edit,
    HunkEvent,
    InvalidAnswer,
    Position,
    Range,
    RepairEvent,
    ResultEvent,
    Rewriting,
    StreamTruncated,
    questions,
)
from gateway.client.events import Event, EventReader
from gateway.client.files import File
from tests.client.contract_server import event

HERE = {"start": {"line": 0, "character": 0}, "end": {"line": 1, "character": 0}}
RESULT = {"id": "1", "status": "no_change", "base_sha256": "a", "result_sha256": "a"}
CHUNK = {"choices": [{"index": 0, "delta": {"content": "한"}, "finish_reason": None}]}
STREAM = b"".join(
    [
        b": keep-alive\n\n",
        event("context", {"window": 9, "reserved_output": 1, "used": 2}),
        event("delta", {"text": "a\n\nb"}),
        event("delta", CHUNK),
        event("hunk", {"range": HERE, "new_text": "x"}),
        event("news", {"of": "a later version"}),
        event("repair", {"problem": "p"}),
        event("result", RESULT),
        b"data: [DONE]\n\n",
    ]
)


def reader() -> EventReader[Rewriting]:
    return EventReader(questions.rewrite(File("a.py", "x\n"), "y"))


def read(*pieces: bytes) -> list[Event[Rewriting]]:
    one = reader()
    found = [said for piece in pieces for said in one.feed(piece)]
    return [*found, *one.end()]


def test_every_event_has_its_type() -> None:
    assert read(STREAM)[:-1] == [
        ContextEvent(ContextReport(9, 1, 2)),
        DeltaEvent("a\n\nb"),
        DeltaEvent("한"),
        HunkEvent(Edit(Range(Position(0, 0), Position(1, 0)), "x")),
        RepairEvent("p"),
    ]
    last = read(STREAM)[-1]
    assert isinstance(last, ResultEvent)
    assert last.result.status == "no_change"


@given(st.lists(st.integers(0, len(STREAM))))
def test_where_the_bytes_are_cut_does_not_matter(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[a:b] for a, b in pairwise(edges)]
    assert read(*pieces) == read(STREAM)


def test_no_result_is_no_end() -> None:
    with pytest.raises(StreamTruncated):
        read(event("delta", {"text": "a"}))


@pytest.mark.parametrize("block", [b"event: delta\ndata: {\n\n", event("result", {"id": 1})])
def test_an_event_of_another_shape_is_no_answer(block: bytes) -> None:
    with pytest.raises(InvalidAnswer):
        read(block)


@pytest.mark.parametrize("said", [[], {}, {"choices": 1}, {"choices": [1, {"delta": 2}]}])
def test_a_delta_without_text_is_left_out(said: object) -> None:
    assert read(event("delta", said), event("result", RESULT))[:-1] == []
