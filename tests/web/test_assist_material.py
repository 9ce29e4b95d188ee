"""From the body to the material: ranges become lines, hashes are held against the content."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from gateway.domain.actions import BY_NAME
from gateway.domain.material import Material
from gateway.domain.source import BadPath
from gateway.web.assist_material import StaleFile
from gateway.web.assist_request import read_request, task_of

FILE = {"path": "src/a.py", "content": "a = 1\nb = 2\n"}


def material(**more: Any) -> Material:
    return task_of(*read_request({"file": FILE, **more}, BY_NAME["explain"])).question.material


def range_of(start: tuple[int, int], end: tuple[int, int]) -> dict[str, Any]:
    first, last = ({"line": line, "character": at} for line, at in (start, end))
    return {"start": first, "end": last}


def test_ranges_of_a_related_file_are_whole_lines() -> None:
    ranges = [range_of((2, 4), (3, 0)), range_of((5, 0), (5, 7))]
    sent = material(related=[{"path": "b.py", "content": "x\n", "ranges": ranges}])
    assert sent.related[0].ranges == ((2, 3), (5, 6))


def test_declarations_and_edits_are_texts_of_other_files() -> None:
    sent = material(
        declarations=[{"name": "Foo", "path": "foo.py", "text": "class Foo: ..."}],
        recent_edits=[{"path": "b.py", "diff": "-a\n+b\n"}],
    )
    assert [(one.path, one.reason, one.name, one.content) for one in sent.related] == [
        ("foo.py", "declaration", "Foo", "class Foo: ..."),
        ("b.py", "edit", "", "-a\n+b\n"),
    ]


def test_the_code_of_a_diagnostic_goes_with_its_message() -> None:
    said = {"range": range_of((1, 0), (1, 1)), "message": "unused name", "code": "F841"}
    assert material(diagnostics=[said]).diagnostics[0].message == "unused name (F841)"


def test_the_hash_of_a_related_file_must_be_that_of_its_content() -> None:
    right = hashlib.sha256(b"x\n").hexdigest()
    assert material(related=[{"path": "b.py", "content": "x\n", "sha256": right.upper()}])
    with pytest.raises(StaleFile, match=r"related\.0\.sha256 is .* content sent for b\.py"):
        material(related=[{"path": "b.py", "content": "y\n", "sha256": right}])


@pytest.mark.parametrize("path", [".git/hooks/pre-commit", "sub/.GIT/config"])
def test_a_new_file_is_none_of_gits_own(path: str) -> None:
    body = {"file": FILE, "options": {"target_path": path}}
    with pytest.raises(BadPath, match="git's own"):
        task_of(*read_request(body, BY_NAME["tests"]))
