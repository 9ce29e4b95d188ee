"""Callers that ask all the time while what serves them is killed or frozen: Crowd."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter

import httpx

from gateway.testing.mock_vllm import Behaviour
from tests.postgres_server import PostgresServer

CLIENTS = 8
PACED = Behaviour(deltas=("word ",) * 5, delay_between=0.01)


def completed_in(ledger: PostgresServer) -> Counter[str]:
    """The calls of a ledger that were completed, and how often it has each."""
    rows = ledger.execute("SELECT call_id FROM usage WHERE outcome = 'completed'")
    return Counter(row["call_id"] for row in rows)


class Crowd:
    """Clients that ask all the time, half of them for streams, and note what they saw complete.
    `slowest` is how long the one that took longest took, in seconds; `refused` counts codes."""

    def __init__(self, key: str = "", clients: int = CLIENTS) -> None:
        self.url = ""
        self.completed: list[str] = []
        self.refused: Counter[str] = Counter()
        self.slowest = 0.0
        self._key = key
        self._numbers = itertools.count()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Until nobody asks any more."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        with httpx.Client(timeout=30) as http:
            while not self._over.is_set():
                number = next(self._numbers)
                try:
                    self.one(http, f"call-{self._key}{number}", stream=number % 2 == 0)
                except httpx.HTTPError:
                    self._over.wait(0.5)  # nobody is there

    def one(self, http: httpx.Client, name: str, *, stream: bool) -> None:
        """Ask, and note it if the answer is whole, or why there is none."""
        body = {"model": "m", "stream": stream, "messages": [{"role": "user", "content": "hi"}]}
        url, headers = f"{self.url}/v1/chat/completions", {"x-request-id": name}
        if self._key:
            headers["authorization"] = f"Bearer {self._key}"
        began = time.monotonic()
        with http.stream("POST", url, json=body, headers=headers) as answer:
            seen = answer.read()
        self.slowest = max(self.slowest, time.monotonic() - began)
        if answer.status_code != 200:
            self.refused[answer.json()["error"]["code"]] += 1
        elif not stream or seen.endswith(b"data: [DONE]\n\n"):
            self.completed.append(name)
