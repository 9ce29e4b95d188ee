"""The decision record: in order, bounded, nothing lost without being counted."""

from __future__ import annotations

from gateway.domain.record import MOST_NOTES, Note, Record
from gateway.testing.fakes import FakeClock, a_call


def test_notes_are_kept_in_order_with_their_time() -> None:
    clock = FakeClock(1.0)
    record = Record(clock)
    record.note("queued", ahead=2)
    clock.now = 3.0
    record.note("choice", replica="r0")
    assert record.notes == [
        Note(1.0, "queued", {"ahead": 2}),
        Note(3.0, "choice", {"replica": "r0"}),
    ]


def test_notes_past_the_bound_are_counted() -> None:
    record = Record(FakeClock())
    for _ in range(MOST_NOTES + 2):
        record.note("attempt")
    assert (len(record.notes), record.dropped) == (MOST_NOTES, 2)


def test_a_call_without_a_record_takes_notes_in_vain() -> None:
    call = a_call()
    call.note("choice")
    assert call.record is None
