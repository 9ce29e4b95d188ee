"""Several worker processes under one supervisor: uvicorn's, but SIGHUP reloads instead of
restarting, and a second SIGTERM hurries."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from uvicorn.supervisors import Multiprocess

_LOOK_SECONDS = 0.1


class Workers(Multiprocess):
    """Each worker reads the configuration for itself: a broken one keeps the last good in all of
    them, and none goes through a restart of several seconds."""

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
