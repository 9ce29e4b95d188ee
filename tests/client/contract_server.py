"""A server that answers with the very bytes that a test says: what no healthy gateway would."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SOONEST_S = 20.0


@dataclass(frozen=True)
class Scripted:
    """One answer. `end`: close as HTTP wants it; cut the body short; or wait for the client."""

    status: int = 200
    pieces: tuple[bytes, ...] = (b"{}",)
    headers: dict[str, str] = field(default_factory=dict)
    end: str = "close"


@dataclass(frozen=True)
class Asked:
    """One request, as it came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


class ContractServer:
    """Answers with `answers` in turn, the last one for ever; `asked` is what came."""

    def __init__(self) -> None:
        self.answers: list[Scripted] = [Scripted()]
        self.asked: list[Asked] = []
        self.left = threading.Event()
        """Set once a client has gone away from an answer that waits for that."""
        self.url = ""

    def script(self, *answers: Scripted) -> None:
        """What comes next."""
        self.answers = list(answers)

    def says(self, body: object, status: int = 200, **headers: str) -> None:
        """One JSON answer; `retry_after` is the header Retry-After."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        raw = json.dumps(body).encode()
        self.script(Scripted(status, (raw,), {"content-type": "application/json", **sent}))

    def streams(self, *events: tuple[str, object] | bytes, end: str = "close") -> None:
        """An event stream, one event a piece; bytes go out as they are."""
        pieces = tuple(one if isinstance(one, bytes) else event(one[0], one[1]) for one in events)
        self.script(Scripted(200, pieces, {"content-type": "text/event-stream"}, end))

    def take(self) -> Scripted:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def event(name: str, payload: object) -> bytes:
    """As the gateway writes it."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), json.dumps(payload).encode())


@contextmanager
def contract_server() -> Iterator[ContractServer]:
    """Listens on a free port of loopback."""
    served = ContractServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            served.asked.append(Asked(self.path, headers, json.loads(raw)))
            self._answer(served.take())

        def _answer(self, answer: Scripted) -> None:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("transfer-encoding", "chunked")
            self.send_header("connection", "close")
            self.end_headers()
            # A client that hangs up with something unread resets the connection, also mid-piece.
            with contextlib.suppress(ConnectionError):
                for piece in answer.pieces:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                if answer.end == "wait":
                    self.connection.settimeout(SOONEST_S)
                    self.connection.recv(1)
                elif answer.end == "close":
                    self.wfile.write(b"0\r\n\r\n")
            if answer.end == "wait":
                served.left.set()
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def closed_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])
