"""The supervisor of several workers: which signals it hands on, and to whom."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from multiprocessing import Pipe

import pytest
import uvicorn
from uvicorn.config import STARTUP_FAILURE

from gateway.web import workers
from gateway.web.workers import Workers


class Worker:
    """Stands in for a worker; it ends after as many looks as it is told."""

    def __init__(self, pid: int, *, ready: bool = True, looks: int = 0) -> None:
        self.pid = pid
        self.ready = ready
        self.looks = looks
        self.process = self
        self.exitcode = -9
        self.started = False

    def is_ready(self, timeout: float) -> bool:
        return self.ready

    def is_alive(self, timeout: float = 0.0) -> bool:
        return self.looks > 0

    def start(self) -> None:
        self.started = True

    def kill(self) -> None:
        self.looks = 0

    def join(self, timeout: float = 0.0) -> None:
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
        yield Workers(uvicorn.Config("none:app", workers=2), [plug], threading.Event())
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


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> list[Worker]:
    """Those that were started for others, in order; each lives."""
    found: list[Worker] = []

    def another(config: object, sockets: object) -> Worker:
        found.append(Worker(100 + len(found), looks=9))
        return found[-1]

    monkeypatch.setattr(workers, "Worker", another)
    return found


def dead(pid: int, exitcode: int) -> Worker:
    worker = Worker(pid)
    worker.exitcode = exitcode
    return worker


def test_whoever_dies_is_replaced_and_no_other_is_touched(
    supervisor: Workers, replaced: list[Worker]
) -> None:
    living = Worker(12, looks=9)
    supervisor.processes = [dead(11, -9), living]  # type: ignore[list-item]
    supervisor.keep_subprocess_alive()
    assert [one.started for one in replaced] == [True]
    assert supervisor.processes == [replaced[0], living]
    assert not supervisor.should_exit.is_set()


class Spoken(workers.Worker):
    """Without a process behind it: `alive` says whether there is one; the test speaks for it."""

    def __init__(self) -> None:
        self.parent_conn, self.child_conn = Pipe()
        self.alive = True
        self.process = self  # type: ignore[assignment]

    def is_alive(self, timeout: float = 0.0) -> bool:
        return self.alive


def test_nobody_waits_for_the_word_of_one_that_has_died() -> None:
    worker = Spoken()
    worker.alive = False
    began = time.monotonic()
    assert not worker.ping(timeout=60)
    assert time.monotonic() - began < 30


def test_one_that_hangs_is_waited_for_no_longer_than_told() -> None:
    assert not Spoken().ping(timeout=0.01)


def test_what_it_says_too_late_answers_no_later_question() -> None:
    worker = Spoken()
    assert not worker.is_ready(timeout=0.01)
    worker.child_conn.send(False)  # to the first question: it was still starting
    worker.child_conn.send(True)
    assert worker.is_ready(timeout=5)
    assert worker.child_conn.recv() == b"ping"
    assert worker.child_conn.recv() == b"ping"
    assert not worker.child_conn.poll()


def test_it_is_asked_nothing_more_before_it_has_answered() -> None:
    worker = Spoken()
    assert [worker.is_ready(timeout=0.01) for _ in range(3)] == [False] * 3
    assert worker.child_conn.recv() == b"ping"
    assert not worker.child_conn.poll()


@pytest.mark.parametrize("exitcode", [1, STARTUP_FAILURE])
def test_what_cannot_be_started_at_first_ends_them_all(
    supervisor: Workers, replaced: list[Worker], exitcode: int
) -> None:
    failed, other = dead(11, exitcode), Worker(12, looks=9)
    supervisor.processes = [failed, other]  # type: ignore[list-item]
    supervisor.keep_subprocess_alive()
    assert supervisor.failed
    assert supervisor.should_exit.is_set()
    assert not replaced


def test_what_cannot_be_started_again_is_tried_now_and_then_beside_the_others(
    supervisor: Workers, replaced: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(workers.time, "monotonic", lambda: now)
    living = Worker(12, looks=9)
    supervisor.processes = [Worker(11, looks=9), living]  # type: ignore[list-item]
    supervisor._answered.set()
    for _ in range(3):
        supervisor.processes[0] = dead(11, STARTUP_FAILURE)  # type: ignore[assignment]
        supervisor.keep_subprocess_alive()
    assert len(replaced) == 1
    now += workers._AGAIN_SECONDS
    supervisor.keep_subprocess_alive()
    assert len(replaced) == 2
    assert supervisor.processes[1] is living
    assert not supervisor.should_exit.is_set()


def test_a_worker_that_cannot_start_ends_at_once_with_the_status_for_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    statuses: list[int] = []
    monkeypatch.setattr(workers.os, "_exit", statuses.append)
    monkeypatch.setattr(workers.multiprocessing, "parent_process", object)
    with workers.starting():
        raise ValueError("a file is broken")
    assert statuses == [STARTUP_FAILURE]
    assert "cannot start: ValueError: a file is broken" in capsys.readouterr().err


def test_what_goes_wrong_without_a_supervisor_is_raised_as_it_is() -> None:
    with pytest.raises(ValueError, match="broken"), workers.starting():
        raise ValueError("broken")


def test_a_process_without_a_supervisor_is_left_alone(sent: list[tuple[int, int]]) -> None:
    workers.end_with_supervisor()
    assert sent == []


def test_a_worker_is_asked_to_stop_when_its_supervisor_is_gone(
    sent: list[tuple[int, int]],
) -> None:
    reads, writes = os.pipe()
    os.close(writes)
    workers._outlive(reads)
    os.close(reads)
    assert sent == [(os.getpid(), signal.SIGTERM)]


def test_a_worker_that_is_gone_already_is_no_trouble(supervisor: Workers) -> None:
    supervisor._send(2**22 + 1, signal.SIGHUP)  # past the largest process id
    supervisor._send(None, signal.SIGHUP)
