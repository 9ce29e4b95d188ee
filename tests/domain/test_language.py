"""Languages: what the client says wins, then the name of the file, then its first line."""

from __future__ import annotations

import pytest

from gateway.domain.language import detect


@pytest.mark.parametrize(
    ("path", "client", "first_line", "found"),
    [
        ("a.py", None, "", "python"),
        ("a.py", "ruby", "", "ruby"),
        ("a.py", "plaintext", "", "python"),
        ("a.py", "  ", "", "python"),
        ("a.xyz", "TypeScriptReact", "", "typescriptreact"),
        ("a", "py", "", "python"),
        ("src/Dockerfile", None, "", "dockerfile"),
        ("Dockerfile.dev", None, "", "dockerfile"),
        ("Makefile", None, "", "makefile"),
        ("C:\\project\\Main.CS", None, "", "csharp"),
        ("CMakeLists.txt", None, "", "cmake"),
        ("notes.txt", None, "", "plaintext"),
        ("run", None, "#!/usr/bin/env -S LANG=C python3.11 -u", "python"),
        ("run", None, "#!/bin/bash", "shellscript"),
        ("run", None, "#! /usr/bin/node", "javascript"),
        ("run", None, "#!/usr/bin/env", "plaintext"),
        ("run", None, "import os", "plaintext"),
        ("archive.tar.gz", None, "", "plaintext"),
        ("한국어.kt", None, "", "kotlin"),
    ],
)
def test_the_language_is_found(path: str, client: str | None, first_line: str, found: str) -> None:
    assert detect(path, client=client, first_line=first_line) == found
