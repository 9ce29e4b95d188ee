"""A small server that speaks providers' own protocols (Anthropic's Messages, Ollama's JSON lines)
and does as it is told: ProviderServer."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

WAIT_SECONDS = 10.0


@dataclass(slots=True)
class Asked:
    """One request, and whether its client hung up before the answer's end."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    left: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class Plan:
    """How requests are answered. `status` other than 200: an error with this `message`. `ends`:
    "whole"; "cut" (the connection breaks), "early" (a tidy end of HTTP in the middle), "stall" or
    "error" (the provider's own event), all after the text, and "garbage" in its place; "hang"
    before the headers. `tool` answers with a call of it."""

    status: int = 200
    message: str = "no"
    ends: str = "whole"
    text: tuple[str, ...] = ("Hel", "lo", " you")
    tool: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class ProviderServer:
    """Use as `with ProviderServer() as server:`; its own thread answers."""

    def __init__(self) -> None:
        self.plan = Plan()
        self.asked: list[Asked] = []
        self.url = ""
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(WAIT_SECONDS)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(WAIT_SECONDS)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        await self._stop.wait()
        server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked: Asked | None = None
        try:
            asked = await self._read(reader)
            await self._answer(asked, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            # It hung up while it was being answered: what it has not read resets the connection.
            if asked is not None:
                asked.left.set()
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> Asked:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value
            for line in head[1:]
            if line
            for name, value in [line.split(": ", 1)]
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        asked = Asked(head[0].split()[1], headers, json.loads(body))
        self.asked.append(asked)
        return asked

    async def _answer(
        self, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        plan = self.plan
        if plan.ends == "hang":
            await reader.read()
            asked.left.set()
        elif plan.status != 200:
            error = {"type": "error", "error": {"type": "some_error", "message": plan.message}}
            _send(writer, plan.status, json.dumps(error).encode(), plan.headers)
        elif not asked.body.get("stream"):
            whole = json.dumps(_whole(asked, plan)).encode()
            _send(writer, 200, b"<html>" if plan.ends == "garbage" else whole, {})
        else:
            await self._stream(asked, reader, writer)
        await writer.drain()

    async def _stream(
        self, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        plan = self.plan
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n")
        writer.write(b"content-type: text/event-stream\r\n\r\n")
        begin, end = _ollama(asked, plan) if "/api/" in asked.path else _anthropic(plan)
        for piece in begin:
            _chunk(writer, piece)
            await writer.drain()
        if plan.ends == "cut":
            writer.transport.abort()
        elif plan.ends == "stall":
            await reader.read()
            asked.left.set()
        else:
            _chunk(writer, b"".join(end) if plan.ends == "whole" else _TROUBLE[plan.ends])
            writer.write(b"0\r\n\r\n")


_TROUBLE = {
    "early": b"\n",
    "garbage": b"data: {this is no JSON\n\n",
    "error": b'event: error\ndata: {"type": "error", "error": '
    b'{"type": "overloaded_error", "message": "Overloaded"}}\n\n',
}


def _send(
    writer: asyncio.StreamWriter, status: int, body: bytes, headers: Mapping[str, str]
) -> None:
    lines = [f"HTTP/1.1 {status} Said", "content-type: application/json", "connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines.append(f"content-length: {len(body)}")
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)


def _chunk(writer: asyncio.StreamWriter, piece: bytes) -> None:
    writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))


def _whole(asked: Asked, plan: Plan) -> dict[str, Any]:
    text = "".join(plan.text)
    if "/api/" in asked.path:
        return {
            "model": asked.body["model"],
            "message": {"role": "assistant", "content": text},
            "done": True,
            "done_reason": "stop",
            "prompt_eval_count": 11,
            "eval_count": 3,
        }
    content: dict[str, Any] = {"type": "text", "text": text}
    if plan.tool:
        content = {"type": "tool_use", "id": "tu_1", "name": plan.tool, "input": {"a": 1}}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-answered",
        "content": [content],
        "stop_reason": "tool_use" if plan.tool else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 11, "output_tokens": 3},
    }


def _event(kind: str, **more: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()


def _anthropic(plan: Plan) -> tuple[list[bytes], list[bytes]]:
    message = {**_whole(Asked("", {}, {}), plan), "content": [], "stop_reason": None}
    block: dict[str, Any] = {"type": "text", "text": ""}
    deltas: list[dict[str, Any]] = [{"type": "text_delta", "text": one} for one in plan.text]
    if plan.tool:
        block = {"type": "tool_use", "id": "tu_1", "name": plan.tool, "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": one} for one in ('{"a"', ": 1}")]
    begin = [
        _event("message_start", message=message),
        _event("content_block_start", index=0, content_block=block),
        _event("ping"),
        *(_event("content_block_delta", index=0, delta=delta) for delta in deltas),
    ]
    why = {"stop_reason": "tool_use" if plan.tool else "end_turn", "stop_sequence": None}
    end = [
        _event("content_block_stop", index=0),
        _event("message_delta", delta=why, usage={"output_tokens": 3}),
        _event("message_stop"),
    ]
    return begin, end


def _ollama(asked: Asked, plan: Plan) -> tuple[list[bytes], list[bytes]]:
    last = _whole(asked, plan)
    last["message"]["content"] = ""
    pieces = [
        {
            "model": asked.body["model"],
            "message": {"role": "assistant", "content": text},
            "done": False,
        }
        for text in plan.text
    ]
    return [json.dumps(one).encode() + b"\n" for one in pieces], [json.dumps(last).encode() + b"\n"]
