"""The rules of deploy/ by Prometheus' own tools, which `make test` skips where they are missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.prometheus_programs import fetched

pytestmark = pytest.mark.live


def test_with_the_programs_each_rule_is_tried_and_nothing_is_skipped() -> None:
    fetched()
    command = [sys.executable, "-m", "pytest", "tests/deploy", "-q", "-p", "no:cacheprovider"]
    root = Path(__file__).parents[2]
    ran = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-2000:]
    assert " skipped" not in ran.stdout.splitlines()[-1]
