"""References of an explanation: what it names and what is there, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gateway.adapters.syntax import TreeSitter
from gateway.domain import source
from gateway.domain.material import NO_FILE, Material, Related, Survey
from gateway.domain.references import MOST, Reference, find
from gateway.domain.structure import Definition, Structure

FILE = """\
import b


def load(path):
    return b.parse(path)


class Cache:
    def get(self, key):
        return 1

    def drop(self):
        return 2


class Shelf:
    def drop(self):
        return 3
"""
OTHER = "def parse(path):\n    return path\n\n\ndef load(x):\n    return x\n"
DENIED = Related("c.py", "", refused="denied")


def references(answer: str, **more: Any) -> list[Reference]:
    file = source.read("src/a.py", FILE)
    related = more.pop("related", (Related("lib/b.py", OTHER), DENIED))
    material = Material(file, file.whole, "", related=related)
    read = TreeSitter().structure
    survey = Survey(read("python", FILE), tuple(read("python", one.content) for one in related))
    return list(find(answer, material, survey))


@pytest.mark.parametrize(
    ("answer", "path", "lines"),
    [
        ("It calls `load`.", "src/a.py", (3, 5)),
        ("It calls `load(path)`.", "src/a.py", (3, 5)),
        ("It calls ``load()``.", "src/a.py", (3, 5)),
        ("`b.parse` does it.", "lib/b.py", (0, 2)),
        ("`parse` does it.", "lib/b.py", (0, 2)),
        ("`Cache` holds it.", "src/a.py", (7, 13)),
        ("`Cache.drop()` empties it.", "src/a.py", (11, 13)),
        ("`self.get` finds it.", "src/a.py", (8, 10)),
        ("See src/a.py:4.", "src/a.py", (3, 4)),
        ("See `a.py:4-5`,", "src/a.py", (3, 5)),
        ("See (lib/b.py:1)", "lib/b.py", (0, 1)),
        ("See ./lib/b.py:1:7", "lib/b.py", (0, 1)),
    ],
)
def test_a_name_or_a_line_that_is_there_is_found(
    answer: str, path: str, lines: tuple[int, int]
) -> None:
    (found,) = references(answer)
    assert (found.path, found.lines) == (path, lines)


@pytest.mark.parametrize(
    "answer",
    [
        "It calls load.",  # no code
        "`missing` is not there.",
        "`drop` is there twice.",
        "`Cache.load` is not in the class.",
        "See src/a.py:999 and src/a.py:0 and a.py:5-4.",
        "See other.py:1 and c.py:1.",
        "```python\nload(1)\n# src/a.py:4 `load`\n```",
        "http://host/a.py:4/x",
        "",
    ],
)
def test_what_is_not_there_or_not_certain_is_not_listed(answer: str) -> None:
    assert references(answer) == []


def test_they_come_in_the_order_of_the_answer_and_once() -> None:
    found = references("`Shelf` and lib/b.py:1, then `load` and again `Shelf`.")
    assert [(one.path, one.name) for one in found] == [
        ("src/a.py", "Shelf"),
        ("lib/b.py", ""),
        ("src/a.py", "load"),
    ]


def test_there_are_not_too_many() -> None:
    text = "".join(f"def f{number}(x):\n    return x\n\n\n" for number in range(MOST + 10))
    answer = " ".join(f"`f{number}`" for number in range(MOST + 10))
    assert len(references(answer, related=(Related("many.py", text),))) == MOST


def test_without_a_file_the_related_ones_are_looked_at() -> None:
    material = Material(NO_FILE, NO_FILE.whole, "", related=(Related("b.py", OTHER),))
    survey = Survey(related=(TreeSitter().structure("python", OTHER),))
    assert [one.path for one in find("`parse`", material, survey)] == ["b.py"]


def test_names_that_many_definitions_have_are_not_compared_with_all_others() -> None:
    walks: list[int] = []

    class Counted(tuple[Definition, ...]):
        def __iter__(self) -> Iterator[Definition]:
            walks.append(len(self))
            return super().__iter__()

    many = Counted(Definition("f", at, at + 1, (at, at + 1)) for at in range(300))
    file = source.read("a.py", "f\n" * 300)
    material = Material(file, file.whole, "")
    assert find("`f`, `f.f`, and `f` again", material, Survey(Structure(many))) == ()
    assert len(walks) < 5
