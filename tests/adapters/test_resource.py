"""All that a process sends says that it is of this process."""

from __future__ import annotations

import subprocess
import sys

from gateway.adapters.resource import resource

_TELL = (
    "from gateway.adapters.resource import resource;"
    "print(resource('a').attributes['service.instance.id'])"
)


def test_a_process_has_one_name() -> None:
    assert resource("a") is resource("a")
    assert resource("a").attributes["service.name"] == "a"
    assert resource("a").attributes["service.version"]


def test_another_process_has_another() -> None:
    told = subprocess.run([sys.executable, "-c", _TELL], capture_output=True, text=True, check=True)
    assert told.stdout.strip() not in ("", str(resource("a").attributes["service.instance.id"]))
