"""A new file is what stands in the answer's tag, with a diff that git takes; or it is nothing."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from gateway.domain.answer import Answer, Protocol
from gateway.domain.new_file import NewFile, read

TEXT = "def test_f():\n    assert f() == 1\n"
PREFILLED = Protocol("tests", "<tests>\n")
CLOSED = "</tests>"


def made(
    text: str,
    finish: str = "stop",
    stop: str | None = CLOSED,
    *,
    eol: str = "\n",
    path: str = "t.py",
) -> NewFile:
    return read(Answer(text, finish, stop), path, "python", PREFILLED, eol)


@pytest.mark.parametrize(
    ("text", "stop"),
    [
        (TEXT, CLOSED),
        (TEXT + CLOSED, None),
        (f"<tests>\n{TEXT}{CLOSED}", None),
        (f"```python\n{TEXT}```\n", CLOSED),
        (f"Here are the tests:\n\n```python\n{TEXT}```\n", None),
        (f"\n\n{TEXT}\n\n", CLOSED),
        (f"<think>Hm.</think>\n<tests>\n{TEXT}{CLOSED}", None),
        (TEXT.replace("\n", "\r\n"), CLOSED),
    ],
)
def test_the_text_is_found_in_what_models_wrap_around_it(text: str, stop: str | None) -> None:
    found = made(text, stop=stop)
    assert (found.status, found.text, found.problem, found.rank) == ("created", TEXT, "", 0)
    assert found.sha256 == hashlib.sha256(TEXT.encode()).hexdigest()


@pytest.mark.parametrize("path", ["t.py", "tests/with space.py", "tests/시험.py", 'a"b.py'])
@pytest.mark.parametrize("text", [TEXT, "x = 1\n", "x = '한'\n\n\ny = 2\n"])
@pytest.mark.parametrize("eol", ["\n", "\r\n"])
def test_git_creates_the_file(path: str, text: str, eol: str, tmp_path: Path) -> None:
    found = made(text, eol=eol, path=path)
    quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_DIR": os.devnull}
    subprocess.run(
        ["git", "-c", "core.autocrlf=false", "apply", "--whitespace=nowarn", "-"],
        cwd=tmp_path,
        input=found.diff.encode(),
        env={**os.environ, **quiet},
        check=True,
    )
    content = (tmp_path / path).read_bytes()
    assert content == text.replace("\n", eol).encode()
    assert hashlib.sha256(content).hexdigest() == found.sha256


@pytest.mark.parametrize(
    ("text", "finish", "status"),
    [
        (TEXT, "length", "truncated"),
        ("", "stop", "unresolved"),
        ("   \n", "stop", "unresolved"),
        ("# ... rest of the tests ...\n", "stop", "unresolved"),
        ("x = 1\0\n", "stop", "unresolved"),
    ],
)
def test_what_is_no_whole_file_has_no_diff(text: str, finish: str, status: str) -> None:
    found = made(text, finish)
    assert (found.status, found.text) == (status, text)
    assert (found.diff, found.sha256) == ("", None)
    assert bool(found.problem) is (status == "unresolved")
    assert found.warnings


def test_half_a_character_is_replaced() -> None:
    assert made("x = '\ud800'\n").text in ("x = '?'\n", "x = '\ud800'\n")


def test_a_placeholder_of_a_secret_is_told_of() -> None:
    found = made("KEY = 'SECRET_REMOVED_0001_'\n")
    assert [warning.code for warning in found.warnings] == ["secret_placeholder"]


def test_a_file_that_cannot_be_parsed_is_told_of_and_may_be_mended() -> None:
    found = made("<test>\nx = 1\n")
    assert (found.status, found.syntax, found.rank) == ("created", "unknown", 0)
    broken = found.judged("worse")
    assert (broken.rank, broken.warnings[-1].code) == (1, "syntax")
    assert broken.problem == broken.warnings[-1].message
    assert found.judged("ok").problem == ""
    assert made("", "stop").rank > broken.rank
