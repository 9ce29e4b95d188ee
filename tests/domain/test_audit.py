"""The chain of the audit log: what is noticed, and what is left of what callers say."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.domain.audit import PURGE, Check, Event, Head, MemoryAudit, Row, chained, event_of


def event(number: int, action: str = "key.create", **facts: object) -> Event:
    return event_of(f"{number:032x}", 100.0 + number, ("root", action, f"key-{number}"), facts)


def chain(*events: Event) -> list[Row]:
    rows: list[Row] = []
    for one in events:
        last = Head(rows[-1].seq, rows[-1].hash) if rows else None
        rows.append(chained(last, one))
    return rows


TEN = chain(*(event(number) for number in range(10)))


def said(rows: list[Row], expected: Head | None = None) -> str:
    check = Check(expected)
    check.take(rows)
    return check.end()


def test_a_whole_chain_is_right_and_an_empty_one_too() -> None:
    assert said(TEN) == said([]) == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows[:3] + rows[4:], "row 5: rows 4 to 4 before it are missing"),
        (lambda rows: rows[2:], "rows 1 to 2 are missing, and no purge took them"),
        (lambda rows: [*rows[:4], replace(rows[4], prev="0" * 64), *rows[5:]], "row 5: does not"),
        (lambda rows: [replace(rows[0], prev="1" * 64), *rows[1:]], "row 1: does not begin"),
        (lambda rows: rows[:6] + chain(*(event(n) for n in range(50, 57)))[6:], "row 7: does not"),
    ],
)
def test_what_is_taken_out_or_put_in_is_noticed(
    change: Callable[[list[Row]], list[Row]], words: str
) -> None:
    assert words in said(change(list(TEN)))


@pytest.mark.parametrize("field", ["uid", "at", "actor", "action", "target", "facts"])
def test_a_change_of_any_field_is_noticed_at_its_row(field: str) -> None:
    rows = list(TEN)
    value = 5.0 if field == "at" else "changed"
    changed = replace(rows[3].event, **{field: value})
    rows[3] = replace(rows[3], event=changed)
    assert said(rows).startswith("row 4: was changed")


def test_a_tail_that_was_cut_off_is_noticed_by_a_head_that_was_kept() -> None:
    kept = Head(TEN[-1].seq, TEN[-1].hash)
    assert said(TEN, kept) == ""
    assert said(TEN[:7]) == ""
    assert "rows 8 to 10 are cut off" in said(TEN[:7], kept)
    other = chain(*(event(number + 40) for number in range(10)))
    assert "row 10: is another one" in said(other, kept)
    longer = chain(*(event(number) for number in range(12)))
    assert said(longer, kept) == ""


def test_a_purge_leaves_a_chain_that_can_be_verified() -> None:
    last = TEN[5]
    purge = event(10, PURGE, through=last.seq, hash=last.hash)
    rows = [*TEN[6:], chained(Head(TEN[-1].seq, TEN[-1].hash), purge)]
    assert said(rows) == ""
    assert "rows 1 to 7 are missing" in said(rows[1:])


def test_a_head_is_read_from_its_own_text() -> None:
    head = Head(12, "ab" * 32)
    assert Head.read(f" {head}\n") == head
    for text in ("", "12", "x:" + "ab" * 32, "12:ab", "12:" + "-" * 64):
        with pytest.raises(ValueError, match="NUMBER:HASH"):
            Head.read(text)


def test_secrets_line_breaks_and_long_words_do_not_get_into_an_event() -> None:
    long = event_of(
        "u", 1.0, ("root\nfake", "a", "t" * 5000), {"authorization": "Bearer abc", "note": "x"}
    )
    assert (long.actor, len(long.target)) == ("root fake", 200)
    assert json.loads(long.facts) == {"authorization": "[redacted]", "note": "x"}
    key = "sk-gw-" + "a1" * 20
    told = event_of("u", 1.0, (f"cli:{key}", "a", f"{'t' * 180} {key}"), {})
    assert "a1a1" not in f"{told.actor}{told.target}"
    huge = event_of("u", 1.0, ("a", "b", "c"), {"text": "y" * 100_000})
    assert len(huge.facts) < 10_000
    assert "cut" in json.loads(huge.facts)


def test_in_memory_the_newest_events_are_kept() -> None:
    log = MemoryAudit()
    for number in range(10_005):
        log.put("root", "a", str(number), {})
    assert (len(log.events), log.events[-1][2]) == (10_000, "10004")
