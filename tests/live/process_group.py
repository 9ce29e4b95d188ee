"""A program of ours and all its children: started, frozen, ended, and none of it outlives us."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

STOPPED_WITHIN_S = 15.0


def fetch(url: str | Request, timeout_s: float = 5.0) -> bytes:
    """The body at `url`, asked with no proxy; `OSError` where no 2xx answer comes in time."""
    with build_opener(ProxyHandler({})).open(url, timeout=timeout_s) as answer:
        body: bytes = answer.read()
    return body


class ProcessGroup:
    """It runs from `start` to `stop` or `kill`, and may be started again."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
        self.log = log
        self._command = command
        self._environ = environ
        self._life = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the program that runs now; also its process group."""
        assert self._process is not None, "start() comes first"
        return self._process.pid

    def start(self) -> None:
        """Begin to start it; `trouble` says when it answers."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environ,
                start_new_session=True,
            )
        self._life.enter_context(guarded(self.pid))

    def trouble(self, url: str, deadline: float) -> str | None:
        """Return None once `url` answers; why not, where the program ends or time is up."""
        assert self._process is not None, "start() comes first"
        start = time.monotonic()
        while True:
            if self._process.poll() is not None:
                return f"ended with exit status {self._process.returncode}"
            if time.monotonic() > deadline:
                return f"did not answer within {deadline - start:.0f} s"
            try:
                fetch(url, timeout_s=2.0)
                return None
            except (URLError, OSError):
                time.sleep(0.25)

    def kill(self) -> None:
        """SIGKILL to all of its processes at once, as when its machine goes."""
        assert self._process is not None, "start() comes first"
        os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._life.close()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """SIGSTOP to all of its processes until the block ends: it looks alive and says nothing."""
        os.killpg(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        """End it: the program is asked to, and after `STOPPED_WITHIN_S` the group is killed."""
        if self._process is None:
            return
        # Only the program is asked: it ends its own children, and their going first looks like a
        # crash.
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOPPED_WITHIN_S)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._life.close()


@contextmanager
def guarded(group: int) -> Iterator[None]:
    """Have the process group killed if we are: no killed test run leaves gigabytes behind.

    The guard reads a pipe that ends when we do. (Linux's parent-death signal would be simpler, but
    it reaches one process only, and vLLM 0.32 that gets SIGTERM while it starts hangs for good.)
    """
    command = ["sh", "-c", 'read -r _; kill -s KILL -- "-$0"', str(group)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as guard:
        try:
            yield
        finally:
            guard.kill()
