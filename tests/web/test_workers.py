"""The supervisor of several workers: which signals it hands on, and to whom."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator

import pytest
import uvicorn

from gateway.web import workers
from gateway.web.workers import Workers


class Worker:
    """Stands in for a worker; it ends after as many looks as it is told."""

    def __init__(self, pid: int, *, ready: bool = True, looks: int = 0) -> None:
        self.pid = pid
        self.ready = ready
        self.looks = looks
        self.process = self

    def is_ready(self, timeout: float) -> bool:
        return self.ready

    def is_alive(self) -> bool:
        return self.looks > 0

    def join(self, timeout: float) -> None:
        self.looks -= 1


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    monkeypatch.setattr(workers.os, "kill", lambda pid, number: found.append((pid, number)))
    return found


@pytest.fixture
def supervisor() -> Iterator[Workers]:
    handlers = {number: signal.getsignal(number) for number in workers_signals()}
    with socket.socket() as plug:
        yield Workers(uvicorn.Config("none:app", workers=2), [plug])
    for number, handler in handlers.items():
        signal.signal(number, handler)


def workers_signals() -> list[signal.Signals]:
    names = "INT TERM HUP QUIT TTIN TTOU USR1 USR2 WINCH"
    return [signal.Signals[f"SIG{name}"] for name in names.split()]


def test_sighup_reaches_the_workers_that_serve(
    supervisor: Workers, sent: list[tuple[int, int]]
) -> None:
    supervisor.processes = [Worker(11), Worker(12, ready=False), Worker(13)]  # type: ignore[list-item]
    supervisor.handle_hup()
    assert sent == [(11, signal.SIGHUP), (13, signal.SIGHUP)]


def test_a_second_signal_while_they_end_is_handed_on_to_all(
    supervisor: Workers, sent: list[tuple[int, int]]
) -> None:
    class Stubborn(Worker):
        def join(self, timeout: float) -> None:
            super().join(timeout)
            if self.looks == 1:
                supervisor.signal_queue.append(signal.SIGINT)

    supervisor.processes = [Stubborn(11, looks=3), Worker(12)]  # type: ignore[list-item]
    supervisor.signal_queue.append(signal.SIGTERM)  # the first one, which has been heard
    supervisor.join_all()
    assert sent == [(11, signal.SIGTERM), (12, signal.SIGTERM)]


def test_a_worker_that_is_gone_already_is_no_trouble(supervisor: Workers) -> None:
    supervisor._send(2**22 + 1, signal.SIGHUP)  # past the largest process id
    supervisor._send(None, signal.SIGHUP)
