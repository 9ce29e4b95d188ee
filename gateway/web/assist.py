"""/api/ai/*: a route for each action of the table, and its stream; all lead to the assist room."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from functools import partial
from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from gateway.bootstrap import House
from gateway.domain.actions import ACTIONS, Action
from gateway.domain.call import Call, Reply
from gateway.domain.endpoints import CHAT
from gateway.domain.errors import GatewayError
from gateway.domain.sse import DONE, encode
from gateway.flow.assist import Assist, Event
from gateway.flow.job import Job
from gateway.flow.task import Task
from gateway.web.assist_body import Asked
from gateway.web.assist_description import described, described_preview
from gateway.web.assist_request import read_preview, read_request, task_of
from gateway.web.door import call_of, json_of, priority_of, timeout_of
from gateway.web.idempotency import HEADER, Idempotency, Ticket, once
from gateway.web.relay import Opening, Relay
from gateway.web.timing import headers_of

# The body's JSON object, once it is time to read it.
Body = Callable[[], dict[str, Any]]


def routes(current: Callable[[], House]) -> APIRouter:
    """All `/api/ai/*` routes. `current` gives the house of now, in which a request then stays."""
    api = APIRouter(prefix="/api/ai", tags=["code assistance"])
    memory = Idempotency(time.monotonic)

    def add(action: Action, *, stream: bool) -> None:
        async def handle(request: Request) -> Response:
            raw = await request.body()
            house = current()
            times = house.timeouts
            read = partial(json_of, request, raw, house.intake.json)
            job = _job(request, read, action, times.stream_total if stream else times.total)
            make = _streamed if stream else _plain

            def opening() -> AbstractAsyncContextManager[Reply]:
                ticket = _ticket(memory, house, job, request, raw)
                fresh = partial(make, house.assist, job)
                return once(ticket, fresh, stream=stream) if ticket else fresh()

            return _relay(job, opening, stream=stream, silence=house.streams.keepalive)

        api.add_api_route(
            f"/{action.name}/stream" if stream else f"/{action.name}",
            handle,
            methods=["POST"],
            name=f"{action.name}.stream" if stream else action.name,
            summary=f"{action.summary}, as server-sent events" if stream else action.summary,
            response_class=Response,
            openapi_extra=described(action),
        )

    for action in ACTIONS:
        add(action, stream=False)
        add(action, stream=True)
    _add_preview(api, current)
    return api


def _relay(job: Job, opening: Opening, *, stream: bool = False, silence: float = 0.0) -> Relay:
    return Relay(
        opening,
        job.call.id,
        streams=lambda: stream,
        silence=silence,
        headers=partial(headers_of, job.call),
    )


def _add_preview(api: APIRouter, current: Callable[[], House]) -> None:
    async def preview(request: Request) -> Response:
        raw = await request.body()
        house = current()
        read = partial(json_of, request, raw, house.intake.json)
        job = _rehearsal(request, read, house.timeouts.total)
        return _relay(job, lambda: _plain(house.assist, job))

    api.add_api_route(
        "/context/preview",
        preview,
        methods=["POST"],
        name="context.preview",
        summary="What the prompt of an action would hold: the context report, and no answer",
        response_class=Response,
        openapi_extra=described_preview(),
    )


def _ticket(
    memory: Idempotency, house: House, job: Job, request: Request, raw: bytes
) -> Ticket | None:
    """For a request with an Idempotency-Key, from somebody whom the gateway knows."""
    header = request.headers.get(HEADER)
    if header is None:
        return None
    try:
        caller = house.identify(job.call)
    except GatewayError:
        return None  # the pipeline refuses it, and counts that
    return memory.ticket(caller, header, job.call.route, raw)


def _job(request: Request, body: Body, action: Action, allowed: float) -> Job:
    call = call_of(request, CHAT, allowed)

    def read() -> tuple[Action, Task]:
        asked, meant = read_request(body(), action)
        _hurry(request, call, asked, allowed)
        return meant, task_of(asked, meant)

    return Job(action, read, call)


def _rehearsal(request: Request, body: Body, allowed: float) -> Job:
    """A job whose body says which action it is about."""
    call = call_of(request, CHAT, allowed)

    def read() -> tuple[Action, Task]:
        asked, meant = read_preview(body())
        _hurry(request, call, asked, allowed)
        return meant, task_of(asked, meant)

    return Job(ACTIONS[0], read, call, rehearsed=True)


def _hurry(request: Request, call: Call, asked: Asked, allowed: float) -> None:
    """The call's priority and deadline, as the client wants them."""
    call.priority = priority_of(request, call.priority)
    limits = [allowed, asked.options.timeout_s, timeout_of(request)]
    call.deadline = call.received + min(limit for limit in limits if limit is not None)


@asynccontextmanager
async def _plain(assist: Assist, job: Job) -> AsyncIterator[Reply]:
    body = orjson.dumps(await assist.answer(job))
    yield _reply(job, _once(body), stream=False)


@asynccontextmanager
async def _streamed(assist: Assist, job: Job) -> AsyncIterator[Reply]:
    async with aclosing(assist.stream(job)) as events:
        # What goes wrong before the first event is still a status, not an event.
        first = await anext(events)
        yield _reply(job, _encoded(job, first, events), stream=True)


def _reply(job: Job, chunks: AsyncIterator[bytes], *, stream: bool) -> Reply:
    assert job.reply is not None  # the replica has answered by now
    return Reply(chunks, stream, job.reply.replica, job.reply.attempts)


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _encoded(job: Job, first: Event, events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    yield _event(job, first)
    async for event in events:
        yield _event(job, event)
    yield DONE


def _event(job: Job, event: Event) -> bytes:
    name, said = event
    if name == "delta" and job.action.kind == "text":
        said = _chunk(job, said["text"])
    return encode(orjson.dumps(said), name)


def _chunk(job: Job, text: str) -> dict[str, Any]:
    """The text of an answer in the shape of OpenAI's chat chunks."""
    delta = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    kind = "chat.completion.chunk"
    return {"id": job.call.id, "object": kind, "model": job.call.model, "choices": [delta]}
