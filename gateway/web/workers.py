"""Several worker processes under one supervisor: uvicorn's, but SIGHUP reloads instead of
restarting, a second SIGTERM hurries, and whoever dies takes nobody along, or all."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from socket import socket

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import Process

from gateway.domain.redaction import redact_text

_log = logging.getLogger("gateway.web")

_LOOK_SECONDS = 0.1
_WORD_SECONDS = 1.0
# A start costs seconds of CPU, which those that serve need.
_AGAIN_SECONDS = 5.0


class Worker(Process):
    """One of them, as its supervisor sees it. uvicorn waits for the word of one that dies meanwhile
    as long as for that of one that hangs; and what one says too late, it takes for the answer to
    its next question."""

    _unanswered = False

    def _healthcheck(self, timeout: float) -> bool | None:
        """Whether it serves already; None where it says nothing within `timeout` seconds."""
        ends = time.monotonic() + timeout
        try:
            if self._unanswered and self._said(ends) is None:
                return None
            self.parent_conn.send(b"ping")
            self._unanswered = True
            return self._said(ends)
        except (OSError, EOFError, pickle.UnpicklingError):
            return None

    def _said(self, ends: float) -> bool | None:
        while not self.parent_conn.poll(max(0.0, min(_WORD_SECONDS, ends - time.monotonic()))):
            if not self.process.is_alive() or time.monotonic() >= ends:
                return None
        started: bool = self.parent_conn.recv()
        self._unanswered = False
        return started


class Workers(Multiprocess):
    """Each worker reads the configuration for itself: a broken one keeps the last good in all of
    them, and none goes through a restart of several seconds. `answered` is set once any of them has
    answered a request; `failed` says whether they could not be started at all."""

    def __init__(
        self, config: uvicorn.Config, sockets: list[socket], answered: threading.Event
    ) -> None:
        super().__init__(config, sockets)
        self.failed = False
        self._answered = answered
        self._again = 0.0

    def init_processes(self) -> None:
        """Start them all."""
        self.processes += [Worker(self.config, self.sockets) for _ in range(self.processes_num)]
        for process in self.processes:
            process.start()

    def keep_subprocess_alive(self) -> None:
        """Start anew who has died. uvicorn ends all of them where one cannot start; once any has
        answered, a file that is broken meanwhile is no reason to."""
        patience = self.config.timeout_worker_healthcheck
        for place, process in enumerate(self.processes):
            if self.should_exit.is_set() or process.is_alive(timeout=patience):
                continue
            process.kill()  # it may only be hung
            process.join()
            # Above 0 it is no signal that has ended it: it will do so again.
            if (process.exitcode or 0) > 0 and not self._start_again(process):
                continue
            _log.warning(
                "worker %s has ended (%s); starting another", process.pid, process.exitcode
            )
            self.processes[place] = Worker(self.config, self.sockets)
            self.processes[place].start()

    def _start_again(self, process: Process) -> bool:
        """Whether it is time to try once more what has just failed."""
        if not self._answered.is_set():
            _log.error("worker %s could not be started: stopping", process.pid)
            self.failed = True
            self.should_exit.set()
            return False
        now = time.monotonic()
        if now < self._again:
            return False
        self._again = now + _AGAIN_SECONDS
        return True

    def handle_hup(self) -> None:
        """Hand it on. A worker that is still starting reads the newest files anyway, and would
        die of the signal."""
        for process in self.processes:
            if process.is_ready(timeout=1):
                self._send(process.pid, signal.SIGHUP)

    def join_all(self) -> None:
        """Until all have ended; signals that come meanwhile are handed on."""
        self.signal_queue.clear()
        for process in self.processes:
            while process.process.is_alive():
                process.process.join(_LOOK_SECONDS)
                if self.signal_queue:
                    self.signal_queue.clear()
                    for other in self.processes:
                        self._send(other.pid, signal.SIGTERM)

    def _send(self, pid: int | None, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            if pid is not None:
                os.kill(pid, number)


def end_with_supervisor() -> None:
    """In a worker: from now on, it is asked to stop when its supervisor is gone, however that
    ended. Nobody else would ever, and it would keep the port. In any other process: nothing."""
    if (supervisor := multiprocessing.parent_process()) is not None:
        threading.Thread(target=_outlive, args=(supervisor.sentinel,), daemon=True).start()


def _outlive(sentinel: int) -> None:
    wait([sentinel])
    _log.error("the supervisor is gone: stopping")
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def starting() -> Iterator[None]:
    """In a worker: what is raised inside ends it at once, with the status by which its supervisor
    knows that it could not start. A thread that something has left behind would keep it in this
    world, neither serving nor dead. In any other process: nothing."""
    try:
        yield
    except Exception as error:
        # A marked edge: whatever it is, it is told, and nothing of this process is worth keeping.
        if multiprocessing.parent_process() is None:
            raise
        said = redact_text(f"{type(error).__name__}: {error}")
        print(f"this worker cannot start: {said}", file=sys.stderr, flush=True)
        os._exit(STARTUP_FAILURE)
