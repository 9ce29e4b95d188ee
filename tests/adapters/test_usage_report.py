"""Sums of the ledger, on both databases."""

from __future__ import annotations

import pytest

from gateway.adapters import usage_report
from gateway.adapters.database import Database
from gateway.adapters.tables import usage
from gateway.domain.usage_report import DAY, Question
from tests.adapters.databases import a_database, database_url, postgres
from tests.adapters.test_ledger import entry

__all__ = ["a_database", "database_url", "postgres"]


async def fill(database: Database) -> None:
    entries = [
        entry(1, team="ide", model="qwen", at=0.5 * DAY),
        entry(2, team="ide", model="qwen", at=1.5 * DAY, counted=False),
        entry(3, team="ide", model="llama", at=1.9 * DAY),
        entry(4, team="web", model="qwen", key_id="web-1", at=DAY),
    ]
    rows = [{name: getattr(one, name) for name in one.__slots__} for one in entries]
    async with database.begin() as connection:
        await connection.execute(usage.insert(), rows)


async def test_calls_are_summed_by_any_combination(a_database: Database) -> None:
    await fill(a_database)
    found = await usage_report.report(a_database, Question(("team", "model")))
    assert [(row["team"], row["model"], row["requests"], row["cost"]) for row in found] == [
        ("ide", "llama", 1, 7),
        ("ide", "qwen", 2, 14),
        ("web", "qwen", 1, 7),
    ]
    assert found[1]["prompt_tokens"] == 20
    assert found[1]["uncounted"] == 1
    assert {type(value) for value in found[1].values()} == {str, int}
    days = await usage_report.report(a_database, Question(("day", "key")))
    assert [(row["day"], row["key"], row["requests"]) for row in days] == [
        ("1970-01-01", "ide-1", 1),
        ("1970-01-02", "ide-1", 2),
        ("1970-01-02", "web-1", 1),
    ]


async def test_a_time_and_names_narrow_it_down(a_database: Database) -> None:
    await fill(a_database)
    (row,) = await usage_report.report(a_database, Question((), since=DAY, until=1.5 * DAY))
    assert row["requests"] == 1
    (row,) = await usage_report.report(a_database, Question((), where={"key": "ide-1"}))
    assert row["requests"] == 3
    assert await usage_report.report(a_database, Question(where={"team": "x' OR 1=1"})) == []


async def test_of_nothing_the_sum_is_zero(a_database: Database) -> None:
    (row,) = await usage_report.report(a_database, Question(()))
    assert set(row.values()) == {0}


async def test_rows_come_one_by_one_and_old_ones_go(
    a_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_report, "_PAGE", 2)
    await fill(a_database)
    found = [row["uid"] async for row in usage_report.entries(a_database, Question(()))]
    assert found == [entry(number).uid for number in (1, 2, 3, 4)]
    assert await usage_report.old(a_database, 1.6 * DAY) == 3
    assert await usage_report.purge(a_database, 1.6 * DAY) == 3
    assert await usage_report.old(a_database, 9 * DAY) == 1
