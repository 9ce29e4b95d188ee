"""What was used: GET /admin/usage for operators, GET /usage for a team about itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from gateway.adapters import usage_report
from gateway.bootstrap import Gateway
from gateway.domain.errors import GatewayError, InvalidRequest
from gateway.domain.usage_report import FILTERS, GROUPS, SUMS, Question, as_csv, groups, moment
from gateway.web.access import admit

_TOLD = {
    "by": "what to sum by, with commas: " + ", ".join(GROUPS),
    "since": "a day (2026-11-01), a time or an age (7d); 30d by default",
    "until": "the same, not included; now by default",
    "format": "json or csv",
    **{name: f"of this {name} alone" for name in FILTERS},
}
_QUERY: dict[str, Any] = {
    "parameters": [
        {"name": name, "in": "query", "description": text, "schema": {"type": "string"}}
        for name, text in _TOLD.items()
    ]
}
_SHAPES = ("json", "csv")
_USUAL_DAYS = "30d"
_HEADERS = {"cache-control": "no-store"}


class NothingKept(GatewayError):
    """This gateway has no ledger that could be asked."""

    status = 404
    code = "no_ledger"
    type = "invalid_request_error"
    default_public = "This gateway keeps no usage ledger: its state.folder is not set."


class TooManyReports(GatewayError):
    """So many are being asked for that this one would wait too long."""

    status = 429
    code = "too_many_reports"
    type = "requests"
    default_public = "Too many reports are being made; try again soon."

    def __init__(self) -> None:
        super().__init__(retry_after=2.0)


class Turns:
    """One report after the other: a few at once would take all connections to the database, which
    keys and the ledger need too. TooManyReports where `most` wait already."""

    def __init__(self, most: int = 8) -> None:
        self._most = most
        self._waiting = 0
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Inside it nobody else has one."""
        if self._waiting >= self._most:
            raise TooManyReports
        self._waiting += 1
        try:
            await self._lock.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._lock.release()


def routes(gateway: Gateway) -> APIRouter:
    """Both routes. Query: by, since, until, format, and filters."""
    api = APIRouter()
    # Apart, so that no team keeps the operators waiting.
    of_operators, of_teams = Turns(), Turns()

    @api.get(
        "/admin/usage",
        tags=["operators"],
        summary="What was used, by team, key, model, …",
        openapi_extra=_QUERY,
    )
    async def every(request: Request) -> Response:
        admit(gateway.house, request)
        return await _answer(gateway, request, {}, of_operators)

    @api.get(
        "/usage",
        tags=["operations"],
        summary="What your own team has used",
        openapi_extra=_QUERY,
    )
    async def own(request: Request) -> Response:
        team = admit(gateway.house, request).team
        return await _answer(gateway, request, {"team": team}, of_teams)

    return api


async def _answer(
    gateway: Gateway, request: Request, fixed: dict[str, str], turns: Turns
) -> Response:
    question, shape = _question(request, fixed)
    if gateway.database is None:
        raise NothingKept
    async with turns.turn():
        rows = await usage_report.report(gateway.database, question)
    cut = len(rows) > usage_report.MOST_ROWS
    rows = rows[: usage_report.MOST_ROWS]
    if shape == "csv":
        text = as_csv(rows, (*question.by, *SUMS))
        return Response(text, media_type="text/csv; charset=utf-8", headers=_HEADERS)
    body: dict[str, Any] = {
        "object": "list",
        "by": list(question.by),
        "since": question.since,
        "until": question.until,
        "cut": cut,
        "data": rows,
    }
    return JSONResponse(body, headers=_HEADERS)


def _question(request: Request, fixed: dict[str, str]) -> tuple[Question, str]:
    """InvalidRequest with what to write instead."""
    given = request.query_params
    for name in given:
        if name not in _TOLD:
            raise InvalidRequest(
                f"Unknown parameter {name[:40]!r}; there are {', '.join(_TOLD)}.", param=name[:40]
            )
    shape = given.get("format", "json")
    if shape not in _SHAPES:
        raise InvalidRequest(f"'format' must be json or csv, not {shape[:40]!r}.", param="format")
    now = time.time()
    where = {name: given[name] for name in FILTERS if name in given}
    if fixed.items() - where.items() and where.keys() & fixed.keys():
        raise InvalidRequest(
            "A team's key sees its own team alone; leave 'team' out.", param="team"
        )
    try:
        until = moment(given["until"], now) if "until" in given else None
        return Question(
            groups(given.get("by", "model")),
            moment(given.get("since", _USUAL_DAYS), now),
            until,
            where | fixed,
        ), shape
    except ValueError as error:
        raise InvalidRequest(f"{error}.") from None
