"""The mock vLLM's process: listens, follows its script, and takes orders on two ways.

Over HTTP, for people and other programs: POST /mock/script [behaviour, ...], GET /mock/requests,
POST /mock/load {"waiting": 3}, POST /mock/refuse {"seconds": 2}, POST /mock/reset. For `MockVLLM`,
as JSON lines on standard input: they work while the port is closed, and their end is the
process's.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from gateway.testing.mock_answers import Answer, Request, Served, answer, error_answer, json_answer
from gateway.testing.mock_script import GENERATING, HEALTHY, Behaviour, Received, Script
from gateway.testing.mock_steps import Step, play
from gateway.testing.mock_wire import Connection, Exchange

_CONTROL = "/mock/"
_LONGEST_ORDER = 2**28
# Below what Linux and macOS give to outgoing connections and to port 0. There, the port of a
# mock that was killed or refuses could be taken, or a client could connect to itself.
_PORTS = range(15_000, 32_000)


class MockServer:
    """One listening mock: its script, what it received, and its connections."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._script = Script()
        self._received: list[Received] = []
        self._load: dict[str, float] = {}
        self._connections: set[Connection] = set()
        self._opened = 0
        self._listener: asyncio.Server | None = None
        self._reopening: asyncio.Task[None] | None = None
        self._socket: socket.socket
        self.port = 0

    # Listening

    async def listen(self, port: int) -> None:
        """Listen on `port`, or on a free one for 0; raises OSError when it is taken."""
        for candidate in [port] if port else _some_ports():
            with contextlib.suppress(OSError):
                self._socket = _bound(candidate, shared=bool(port))
                await self.accept()
                self.port = candidate
                return
        raise OSError(f"cannot listen on 127.0.0.1:{port}: stop what uses it, or give --port 0")

    async def accept(self) -> None:
        """Listen again, on the same port."""
        self._cancel_reopening()
        if self._listener is None:
            self._listener = await asyncio.get_running_loop().create_server(
                lambda: Connection(self), sock=self._socket, backlog=1024
            )

    def refuse(self, seconds: float | None = None) -> None:
        """Refuse connections, for `seconds` or until `accept`; idle connections are closed."""
        self._cancel_reopening()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            # Bound but not listening: refused by the kernel, and taken by nobody else.
            self._socket = _bound(self.port, shared=True)
        for connection in self._connections:
            if connection.idle:
                connection.close()
        if seconds is not None:
            self._reopening = asyncio.create_task(self._accept_after(seconds))

    async def _accept_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._reopening = None
        await self.accept()

    def _cancel_reopening(self) -> None:
        if self._reopening is not None:
            self._reopening.cancel()
            self._reopening = None

    # Site

    def opened(self, connection: Connection) -> int:
        self._connections.add(connection)
        self._opened += 1
        return self._opened

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)

    def arrived(self, request: Request, connection: Connection) -> Exchange:
        if request.path.startswith(_CONTROL):
            return Exchange(request, HEALTHY, None)
        body = request.body
        received = Received(
            number=len(self._received),
            connection=connection.number,
            method=request.method,
            path=request.path,
            query=request.query,
            headers=request.headers,
            body=request.raw.decode("utf-8", "replace") if body is None else body,
            arrived=time.monotonic(),
        )
        self._received.append(received)
        return Exchange(request, self._script.take(request.path), received)

    async def respond(self, exchange: Exchange, connection: Connection) -> Iterator[Step]:
        request, behaviour = exchange.request, exchange.behaviour
        if exchange.received is None:
            said = await self._order_by_http(request, connection)
        elif request.path == "/metrics" and behaviour == HEALTHY:
            said = Answer(200, "text/plain; version=0.0.4; charset=utf-8", self._metrics())
        else:
            said = self._answer(request, behaviour)
        return play(said, behaviour, request.keep_alive)

    def _answer(self, request: Request, behaviour: Behaviour) -> Answer:
        try:
            return answer(request, behaviour, self._served, int(time.time()))
        except Exception as error:  # an edge: a request that vLLM would refuse in some other way
            traceback.print_exc()
            return error_answer(500, f"the mock does not understand this request: {error!r}")

    def ended(self, exchange: Exchange, left: bool) -> None:
        if exchange.received is not None:
            exchange.received.ended = time.monotonic()
            exchange.received.outcome = "client_left" if left else "completed"

    # Orders

    async def order(
        self, verb: str, given: Mapping[str, Any], spare: Connection | None = None
    ) -> object:
        """Carry out an order; raises ValueError for one that makes no sense."""
        match verb:
            case "script":
                wanted = given.get("behaviours", ())
                self._script.replace([Behaviour.from_json(behaviour) for behaviour in wanted])
            case "requests":
                return self._received
            case "tally":
                return self._tally()
            case "load":
                self._load = {name: float(value) for name, value in given.items()}
            case "refuse":
                self.refuse(given.get("seconds"))
            case "accept":
                await self.accept()
            case "reset":
                await self._reset(spare)
            case _:
                raise ValueError(f"no order {verb!r}; known: {_ORDERS}")
        return None

    def _tally(self) -> dict[str, dict[str, int]]:
        """By path, how many requests have arrived and how many of them have settled."""
        counts: dict[str, dict[str, int]] = {}
        for received in self._received:
            count = counts.setdefault(received.path, {"arrived": 0, "settled": 0})
            count["arrived"] += 1
            count["settled"] += received.outcome != "running"
        return counts

    async def _reset(self, spare: Connection | None) -> None:
        self._script.replace(())
        self._received, self._load = [], {}
        for connection in self._connections - {spare}:
            connection.reset()
        await self.accept()

    async def _order_by_http(self, request: Request, connection: Connection) -> Answer:
        verb, given = request.path.removeprefix(_CONTROL), request.body
        if isinstance(given, list):
            given = {"behaviours": given}
        try:
            return json_answer(await self.order(verb, given or {}, connection))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            return json_answer({"error": str(error)}, 400)

    async def take_orders(self, lines: asyncio.StreamReader) -> None:
        """Carry out orders of the form {"do": verb, ...} and print the replies, until EOF."""
        while line := await lines.readline():
            # orjson refuses the lone surrogates that stand for bytes which are not UTF-8.
            given = json.loads(line)
            try:
                reply = {"ok": await self.order(given.pop("do"), given)}
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                reply = {"error": str(error)}
            _print(reply)

    def _metrics(self) -> bytes:
        running = sum(r.outcome == "running" and r.path in GENERATING for r in self._received)
        load = {"running": running, "waiting": 0, "kv_cache_usage": 0.0} | self._load
        gauges = {
            "vllm:num_requests_running": load["running"],
            "vllm:num_requests_waiting": load["waiting"],
            "vllm:kv_cache_usage_perc": load["kv_cache_usage"],
        }
        labels = f'{{engine="0",model_name="{self._served.names[0]}"}}'
        lines = [
            f"# HELP {name} As the mock was told.\n# TYPE {name} gauge\n{name}{labels} {value:f}\n"
            for name, value in gauges.items()
        ]
        return "".join(lines).encode("utf-8")


_ORDERS = "script, requests, tally, load, refuse, accept, reset"


def _some_ports() -> list[int]:
    return [_PORTS[int.from_bytes(os.urandom(4), "big") % len(_PORTS)] for _ in range(100)]


def _bound(port: int, *, shared: bool) -> socket.socket:
    """A socket bound to `port`; `shared`: although connections of an earlier one linger there."""
    # asyncio sets TCP_NODELAY only where the protocol is named; without it, chunks wait for ACKs.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if not shared:
            # Before SO_REUSEADDR is set, a port that a refusing mock keeps for itself is taken.
            bound.bind(("127.0.0.1", port))
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.bind(("127.0.0.1", port))
    except OSError:
        bound.close()
        raise
    return bound


def _print(reply: Mapping[str, object]) -> None:
    sys.stdout.buffer.write(orjson.dumps(reply) + b"\n")
    sys.stdout.buffer.flush()


async def _serve(options: argparse.Namespace) -> None:
    served = Served(tuple(options.model), options.max_model_len, int(time.time()))
    server = MockServer(served)
    await server.order("script", {"behaviours": orjson.loads(options.script)})
    await server.listen(options.port)
    _print({"url": f"http://127.0.0.1:{server.port}", "port": server.port, "pid": os.getpid()})
    if not options.orders:
        await asyncio.Event().wait()
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=_LONGEST_ORDER)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    await server.take_orders(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until standard input ends (with --orders) or a signal comes."""
    parser = argparse.ArgumentParser(prog="python -m gateway.testing.mock_vllm")
    parser.add_argument("--port", type=int, default=0, help="0, the default, picks a free one")
    parser.add_argument("--model", nargs="+", default=["mock"], help="names; '*' serves any")
    parser.add_argument("--max-model-len", type=int, default=4096)
    parser.add_argument("--script", default="[]", help="behaviours from the start, as JSON")
    parser.add_argument("--orders", action="store_true", help="JSON lines on stdin; EOF stops")
    for wish in (signal.SIGINT, signal.SIGTERM):
        signal.signal(wish, signal.SIG_DFL)
    try:
        asyncio.run(_serve(parser.parse_args(arguments)))
    except OSError as error:
        sys.exit(f"mock vLLM: {error}")
    # The process ends here; the interpreter's own clean-up would only take its time.
    sys.stdout.flush()
    os._exit(0)
