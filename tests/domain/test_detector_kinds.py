"""The kinds of secrets: their checks of digits, and the patterns that come from detect-secrets."""

from __future__ import annotations

import subprocess
import sys

import pytest
import regex  # type: ignore[import-untyped]

from gateway.domain.detector_kinds import GROUPS, KINDS


def check(kind: str, text: str) -> int:
    judge = KINDS[kind].check
    assert judge is not None
    return judge(text)


@pytest.mark.parametrize(
    ("kind", "text", "length"),
    [
        ("card", "4111-1111-1111-1111", 19),
        ("card", "4111-1111-1111-1112", 0),
        ("iban", "DE89 3704 0044 0532 0130 00 HELLO", 27),
        ("iban", "DE88 3704 0044 0532 0130 00", 0),
        ("rrn", "210131-3234561", 14),
        ("rrn", "210231-3234561", 0),
        ("ssn", "536-90-4399", 11),
        ("ssn", "000-90-4399", 0),
        ("ip", "8.8.8.8", 7),
        ("ip", "10.1.2.3", 0),
        ("ip", "999.1.1.1", 0),
        ("email", "git@github.com", 0),
        ("assigned", "only-words-in-this-one", 0),
    ],
)
def test_a_candidate_counts_by_its_digits(kind: str, text: str, length: int) -> None:
    assert check(kind, text) == length


def test_every_kind_is_of_a_group_and_its_patterns_name_no_group_but_the_secret() -> None:
    assert GROUPS == ("secrets", "pii", "network")
    for kind in KINDS.values():
        for pattern in kind.patterns:
            compiled = regex.compile(pattern)
            assert set(compiled.groupindex) <= {"v"}
            assert compiled.groups == len(compiled.groupindex)


def test_looking_needs_no_network_and_no_file_of_ours() -> None:
    code = (
        "import socket, builtins\n"
        "from gateway.domain.detectors import Detectors\n"
        "d = Detectors(['secrets', 'pii', 'network']); d.find('DE89 3704 0044 0532 0130 00')\n"
        "def no(*a, **k): raise AssertionError(a)\n"
        "socket.socket = socket.getaddrinfo = builtins.open = no\n"
        "assert len(d.find('AKIAIOSFODNN7EXAMPLE eyJhbGciOiJI.eyJzdWIiOiIx.abcdefghijkl')) == 1\n"
        "assert d.find('xoxb-1234567890-abcdefghij GB82 WEST 1234 5698 7654 32 536-90-4399')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
