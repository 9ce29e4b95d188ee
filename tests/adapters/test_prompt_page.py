"""The reference of prompt files is what the code says, and knows every code of the linter."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from gateway.adapters.prompt_page import CODES, reference

ROOT = Path(__file__).parents[2]


def test_the_page_is_fresh() -> None:
    file = ROOT / "docs" / "reference" / "prompt-files.md"
    command = [sys.executable, "-m", "gateway.adapters.prompt_page"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert file.read_text("utf-8") == printed == reference(), "stale; run: make docs"


def test_every_code_that_the_code_says_is_explained() -> None:
    files = (ROOT / "gateway" / "adapters").glob("prompt_*.py")
    text = "\n".join(file.read_text("utf-8") for file in files if file.name != "prompt_page.py")

    assert set(re.findall(r'"([EW]\d{3})"', text)) == set(CODES)
    assert "`variants`" in reference()
    assert "## inputs.NAME" in reference()
