"""Compiled templates: bounds in loops, marks in tags, ends of messages."""

from __future__ import annotations

from typing import Any

import pytest
from jinja2 import TemplateNotFound

from gateway.adapters.prompt_compile import Templates, tags_in
from gateway.adapters.prompt_files import Source
from gateway.adapters.prompt_tags import SHEET, PromptEnvironment, RenderLimit, Sheet

NEVER = 1e9


def rendered(text: str, partials: dict[str, str] | None = None, **values: Any) -> Sheet:
    files = {"a.prompt.j2": text, **(partials or {})}
    sources = [Source(path, path, content, content) for path, content in files.items()]
    environment = PromptEnvironment()
    environment.loader = Templates(sources, tags_in(environment, sources))
    ticks = iter(range(10**9))
    sheet = Sheet(lambda: float(next(ticks)), values.pop("deadline", NEVER))
    environment.get_template("a.prompt.j2").render({**values, SHEET: sheet})
    return sheet


def test_names_that_are_opened_and_closed_are_tags() -> None:
    text = "<a x=1>{{ '<b></b>' }}</a> {# <c></c> #} <d> List<String> </e> <f-g></f-g> 1 <h>"
    source = Source("a", "a", text, text)

    assert tags_in(PromptEnvironment(), [source]) == {"a", "f-g"}


def test_the_template_s_own_tags_bear_the_mark_and_those_in_data_do_not() -> None:
    sheet = rendered("{% user %}<a x=1>{{ x }}</a><ab>{% enduser %}", x="<a></a>")

    m = sheet.mark
    assert sheet.messages == [("user", f"<a{m} x=1><a></a></a{m}><ab>")]


def test_tags_in_partials_macros_and_set_blocks_bear_it_too() -> None:
    sheet = rendered(
        "{% macro m(y) %}<a>{{ y }}</a>{% endmacro %}{% set z %}<a>{% endset %}"
        '{% user %}{{ m("1") }}{{ z | upper }}{% include "p" %}{% enduser %}',
        {"p.j2": "<a></a>"},
    )

    m = sheet.mark
    assert sheet.messages == [("user", f"<a{m}>1</a{m}><A{m}><a{m}></a{m}>")]


def test_the_line_end_before_the_closing_tag_is_layout_but_data_is_kept() -> None:
    text = "{% user %}\n  a\n\n{% enduser %}\n{% user %}{{ x }}{% enduser %}"

    assert rendered(text, x="b\n\n").messages == [("user", "  a"), ("user", "b\n\n")]


def test_so_is_the_line_end_that_a_loop_or_an_include_leaves_there() -> None:
    text = (
        "{% user %}\na\n{% for x in xs %}\n- {{ x }}\n{% endfor %}\n{% enduser %}\n"
        '{% user %}\n{% include "p" %}\n{% enduser %}'
    )

    assert rendered(text, {"p.j2": "p\n"}, xs=["b"]).messages == [("user", "a\n- b"), ("user", "p")]


@pytest.mark.parametrize(
    "text",
    [
        "{% user %}{% for i in xs %}{% for j in xs %}0123456789{% endfor %}{% endfor %}"
        "{% enduser %}",
        "{% set y %}{% for i in xs %}{% for j in xs %}0123456789{% endfor %}{% endfor %}"
        "{% endset %}"
        "{% user %}x{% enduser %}",
        "{% macro m() %}0123456789{% endmacro %}"
        "{% user %}{% for i in xs %}{% for j in xs %}{% set y = m() %}{% endfor %}{% endfor %}"
        "{% enduser %}",
    ],
)
def test_plain_text_in_loops_counts_against_the_bound(text: str) -> None:
    with pytest.raises(RenderLimit, match="characters"):
        rendered(text, xs=list(range(1000)))


@pytest.mark.parametrize(
    "text",
    [
        "{% user %}{% for i in xs %}{% for j in xs %}{% endfor %}{% endfor %}{% enduser %}",
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}"
        "{% user %}{{ m(60) }}{% enduser %}",
        "{% user %}{% for y in [tree] recursive %}{{ loop([y, y]) }}{% endfor %}{% enduser %}",
    ],
)
def test_loops_that_write_nothing_are_stopped_by_the_clock(text: str) -> None:
    with pytest.raises((RenderLimit, RecursionError)):
        rendered(text, xs=list(range(1000)), tree="x", deadline=500.0)


def test_only_what_was_read_can_be_loaded() -> None:
    environment = PromptEnvironment()
    environment.loader = Templates([], frozenset())

    with pytest.raises(TemplateNotFound):
        environment.get_template("/etc/hostname")
