"""Structures by real grammars: every language, broken code, and limits that hold."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adapters import syntax
from gateway.adapters.grammars import GRAMMARS
from gateway.adapters.syntax import LONGEST_LINE, MOST_BYTES, TreeSitter
from gateway.domain import lines
from gateway.domain.structure import Structure, excerpt
from tests.adapters.sources import SOURCES, Sample

PYTHON = SOURCES["python"].text


@pytest.fixture(autouse=True)
def _no_reader_is_kept() -> Iterator[None]:
    yield
    syntax._reader.cache_clear()


def read(language: str, text: str) -> Structure:
    return TreeSitter().structure(language, text)


def names(found: Structure) -> list[str]:
    return [one.name for one in found.definitions]


def test_there_is_a_sample_of_every_language() -> None:
    assert set(SOURCES) == set(GRAMMARS)


@pytest.mark.parametrize(("language", "sample"), SOURCES.items())
def test_definitions_imports_and_the_outline_of_each_language(
    language: str, sample: Sample
) -> None:
    found = read(language, sample.text)
    assert (found.origin, found.remark) == ("syntax", "")
    assert set(sample.names) <= set(names(found))
    assert len(found.imports) == sample.imports
    rows = lines.split(sample.text)
    outline = excerpt(rows, found.outline(len(rows)))
    assert "HIDDEN" not in outline
    for shown in sample.shown:
        assert shown in outline


def test_decorators_and_comments_above_belong_to_a_definition() -> None:
    found = read("python", "x = 1\n\n# about it\n@cached\ndef f():\n    a\n    b\n")
    assert (found.definitions[0].first, found.definitions[0].body) == (2, (5, 7))


def test_the_smallest_definition_around_a_line_is_found() -> None:
    text = "class A:\n    def f(self):\n        def g():\n            1\n            2\n        3\n"
    assert [one.name for one in read("python", text).around(3, 4)] == ["A", "f", "g"]


def test_broken_code_keeps_what_can_be_read_of_it() -> None:
    found = read(
        "python", "def good():\n    a\n    b\n\ndef bad(:\n    c\n\ndef fine():\n    d\n    e\n"
    )
    assert {"good", "fine"} <= set(names(found))
    assert found.remark == "It has syntax errors."


def test_a_language_without_grammar_is_read_by_its_layout() -> None:
    found = read("elixir", "def total(x) do\n  a\n  b\nend\n")
    assert (found.origin, names(found), found.remark) == ("layout", ["total"], "")


def test_a_wheel_that_is_missing_is_told_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> ModuleType:
        raise ImportError(name)

    monkeypatch.setattr(syntax.importlib, "import_module", missing)
    found = read("kotlin", "fun total(x: Int) {\n    a()\n    b()\n}\n")
    assert (found.origin, names(found)) == ("layout", ["total"])
    assert "pip install 'vllm-gateway[languages]'" in found.remark


def test_a_long_text_is_not_parsed() -> None:
    long = "x = '" + "y" * 5000 + "'\n"
    found = read("python", "def f():\n    a\n    b\n" + long * (MOST_BYTES // 5000 + 1))
    assert found.remark == f"It is longer than {MOST_BYTES} bytes."
    assert (found.origin, names(found)) == ("layout", ["f"])


def test_a_minified_file_has_no_structure() -> None:
    found = read("javascript", "function f(){" + "a();" * LONGEST_LINE + "}")
    assert (found.origin, found.definitions) == ("none", ())
    assert "only machines write" in found.remark


def test_a_parse_that_takes_too_long_is_stopped() -> None:
    ticks = count()
    slow = TreeSitter(seconds=5, clock=lambda: float(next(ticks)))
    found = slow.structure("python", PYTHON * 400)
    assert (found.origin, found.remark) == ("layout", "Parsing it took too long.")
    assert next(ticks) < 100, "stopped, and not only noticed afterwards"


def test_the_same_text_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = TreeSitter()
    first = reader.structure("python", PYTHON)

    def never(*asked: object) -> None:
        raise AssertionError("parsed again")

    monkeypatch.setattr(reader, "_read", never)
    assert reader.structure("python", PYTHON) is first
    with pytest.raises(AssertionError):
        reader.structure("ruby", PYTHON)


def test_several_threads_may_ask_at_once() -> None:
    reader = TreeSitter()
    texts = [PYTHON.replace("class A", f"class A{at}") for at in range(40)]
    found: dict[int, Structure] = {}

    def work(start: int) -> None:
        for at in range(start, 40, 4):
            found[at] = reader.structure("python", texts[at])

    threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(f"A{at}" in names(found[at]) for at in range(40))


def test_the_clock_is_monotonic_seconds_by_default() -> None:
    clock: Callable[[], float] = TreeSitter()._clock
    assert clock is time.monotonic


@given(
    st.sampled_from(sorted(GRAMMARS)),
    st.lists(
        st.sampled_from(
            ["def ", "class A", "{", "}", "(", ")", "\n", "\n    ", "x", ";", "<a>", "값"]
        ),
        max_size=40,
    ).map("".join),
)
def test_any_text_in_any_language_gives_definitions_inside_it(language: str, text: str) -> None:
    count_ = len(lines.split(text))
    for one in TreeSitter().structure(language, text).definitions:
        assert 0 <= one.first < one.end <= count_
        assert one.first <= one.body[0] <= one.body[1] <= one.end
