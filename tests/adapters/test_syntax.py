"""Structures by real grammars: every language, broken code, and limits that hold."""

from __future__ import annotations

import re
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
from gateway.adapters.python_syntax import MAX_CHARS
from gateway.adapters.syntax import LONGEST_LINE, MOST_BYTES, TreeSitter
from gateway.domain import lines
from gateway.domain.structure import Structure, excerpt
from gateway.domain.syntax_errors import verdict
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


def test_what_others_do_meanwhile_does_not_count() -> None:
    clock: Callable[[], float] = TreeSitter()._clock
    assert clock is time.thread_time


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


# ── does a change break it? ───────────────────────────────────────────────────────────────────────

BREAKS = {"html": "<"}
"""What no text of the language has alone; of most a bracket that closes nothing. In Markdown
there is no such thing: every text is Markdown."""


def judged(language: str, before: str, after: str) -> str:
    return verdict(TreeSitter(), language, before, after)


@pytest.mark.parametrize("language", sorted(set(GRAMMARS) - {"markdown"}))
def test_a_change_is_judged_in_each_language(language: str) -> None:
    sample, junk = SOURCES[language].text, BREAKS.get(language, ")") + "\n"
    changed = re.sub(r"\b(?:HIDDEN|A)\b", "Other", sample)
    assert changed != sample
    assert judged(language, sample, changed) == "ok"
    assert judged(language, sample, changed + junk) == "worse"
    assert judged(language, sample + junk, changed + junk) == "ok", "it was broken before"
    assert judged(language, sample + junk, changed) == "ok"


def test_more_errors_than_before_are_worse_in_python_too() -> None:
    broken = "def f(:\n    return 1\n\n\nx = 1\n"
    assert judged("python", broken, broken.replace("x = 1", "x = 2")) == "ok"
    assert judged("python", broken, broken.replace("x = 1", "x = = )\ny = ) 2")) == "worse"


def test_python_is_judged_by_python_where_the_grammar_takes_anything() -> None:
    before = "def f(x):\n    return x\n"
    for after in ("def f(x):\nreturn x\n", "print 'x'\n", "def f(x=1, y):\n    pass\n"):
        assert TreeSitter()._errors("python", after) == 0
        assert judged("python", before, after) == "worse"


def test_a_minified_file_is_judged_as_any_other() -> None:
    text = "!function(){" + "a(b?c:d);" * LONGEST_LINE + "}();"
    assert judged("javascript", text, text.replace("a(b?c:d)", "a(b)", 1)) == "ok"
    assert judged("javascript", text, text.replace("a(b?c:d)", "a(b?c)", 1)) == "worse"


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("elixir", "def f do ) end"),
        ("markdown-with-typo", "# a"),
        ("javascript", "x = 1;\n" * (MOST_BYTES // 7 + 1)),
        ("python", "x = 1\n" * (MOST_BYTES // 6 + 1)),
    ],
)
def test_what_cannot_be_parsed_is_unknown(language: str, text: str) -> None:
    assert judged(language, text, text + ")") == "unknown"


def test_python_that_is_too_long_for_its_own_parser_is_judged_by_the_grammar() -> None:
    text = "x = 1\n" * (MAX_CHARS // 6 + 1)
    assert judged("python", text, text + "y = 2\n") == "ok"
    assert judged("python", text, text + "y = = 2\n") == "worse"


def test_a_grammar_that_is_not_installed_leaves_the_verdict_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> ModuleType:
        raise ImportError(name)

    monkeypatch.setattr(syntax.importlib, "import_module", missing)
    assert judged("kotlin", "val x = 1", "val x = )") == "unknown"


@pytest.mark.parametrize("language", ["javascript", "python"])
def test_a_verdict_that_takes_too_long_is_unknown(language: str) -> None:
    ticks = count()
    slow = TreeSitter(seconds=5, clock=lambda: float(next(ticks)))
    text = SOURCES[language].text * 400
    assert verdict(slow, language, text, text + ")") == "unknown"
    assert next(ticks) < 100, "stopped, and not only noticed afterwards"
