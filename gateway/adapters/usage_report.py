"""What was used, summed in the database; and its rows, one by one or deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy import ColumnElement, Integer, cast, delete, false, func, select

from gateway.adapters.database import Database
from gateway.adapters.tables import usage
from gateway.domain.usage_report import DAY, GROUPS, Question, Row, day_of

# A report for eyes and spreadsheets; whoever wants more exports the rows.
MOST_ROWS = 10_000
_SECONDS = 60.0
_PAGE = 5_000


async def report(database: Database, question: Question) -> list[Row]:
    """One row for each combination, sorted; MOST_ROWS + 1 where there are more."""
    named = {word: _column(word) for word in question.by}
    columns = list(named.values())
    sums = [
        func.count(),
        func.sum(usage.c.prompt_tokens),
        func.sum(usage.c.completion_tokens),
        func.sum(usage.c.cached_tokens),
        func.sum(usage.c.cost),
        func.count().filter(usage.c.counted == false()),
    ]
    asked = select(*columns, *sums).where(*_conditions(question))
    if columns:
        asked = asked.group_by(*columns).order_by(*columns).limit(MOST_ROWS + 1)
    async with database.reading(_SECONDS) as connection:
        found = (await connection.execute(asked)).all()
    return [_row(question.by, one) for one in found]


def _column(word: str) -> ColumnElement[Any]:
    column = usage.c[GROUPS[word]]
    return cast(func.floor(column / DAY), Integer) if word == "day" else column


def _conditions(question: Question) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [usage.c.at >= question.since]
    if question.until is not None:
        found.append(usage.c.at < question.until)
    for word, value in (question.where or {}).items():
        found.append(usage.c[GROUPS[word]] == value)
    return found


def _row(by: tuple[str, ...], found: Any) -> Row:
    row: Row = {}
    for word, value in zip(by, found, strict=False):
        row[word] = day_of(value) if word == "day" else value
    names = ("requests", "prompt_tokens", "completion_tokens", "cached_tokens", "cost", "uncounted")
    for name, number in zip(names, found[len(by) :], strict=True):
        row[name] = int(number or 0)
    return row


async def entries(database: Database, question: Question) -> AsyncIterator[Row]:
    """Every call of that time, in the order of its uid."""
    after = ""
    conditions = _conditions(question)
    while True:
        page = select(usage).where(*conditions, usage.c.uid > after)
        async with database.reading(_SECONDS) as connection:
            found = (await connection.execute(page.order_by(usage.c.uid).limit(_PAGE))).all()
        for one in found:
            yield dict(one._mapping)
        if len(found) < _PAGE:
            return
        after = found[-1].uid


async def old(database: Database, before: float) -> int:
    """How many calls are older."""
    count = select(func.count()).select_from(usage).where(usage.c.at < before)
    async with database.reading(_SECONDS) as connection:
        return await connection.scalar(count) or 0


async def purge(database: Database, before: float) -> int:
    """Delete those; how many. Some at a time, so that nobody waits long for the table."""
    total = 0
    while True:
        oldest = select(usage.c.uid).where(usage.c.at < before).limit(_PAGE)
        async with database.begin(_SECONDS) as connection:
            result = await connection.execute(delete(usage).where(usage.c.uid.in_(oldest)))
        total += result.rowcount
        if result.rowcount < _PAGE:
            return total
