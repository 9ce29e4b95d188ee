"""What a template may hold: everything else is refused, with its code, place, caret and fix."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from gateway.adapters.prompt_check import MAX_DEPTH, TemplateCheck
from gateway.adapters.prompt_files import PromptProblem, Source
from gateway.adapters.prompt_tags import PromptEnvironment

INPUTS = ("x", "xs", "file")


def source(path: str, text: str) -> Source:
    return Source(path, f"prompts/{path}", text, text)


def problems(text: str, partials: Mapping[str, str] | None = None) -> list[PromptProblem]:
    """The problems of a template; a text without a message is put into one."""
    if "{% user %}" not in text:
        text = f"{{% user %}}{text}{{% enduser %}}"
    known = {path: source(path, content) for path, content in (partials or {}).items()}
    check = TemplateCheck(PromptEnvironment(), known)
    check.prompt(source("a.prompt.j2", text), INPUTS)
    return check.problems


def codes(text: str, partials: Mapping[str, str] | None = None) -> list[str]:
    return [problem.code for problem in problems(text, partials)]


@pytest.mark.parametrize(
    "text",
    [
        "plain text, 3 < 4, {a: b}",
        "{{ x }} {{ file.path | json }} {{ xs[0] }} {{ xs[-1] }} {{ x[1:3] }} {{ file['path'] }}",
        "{% for y in xs %}{{ loop.index }}: {{ y.a }}{% if loop.last %},{% endif %}{% endfor %}",
        "{% for a, b in xs %}{{ a }}{{ b }}{% else %}none{% endfor %}",
        "{% for y in xs if y.a %}{{ y }}{% endfor %}",
        "{% for i in range(3) %}{{ i + 1 }}{{ i - 1 }}{% endfor %}",
        "{% for y in xs recursive %}{{ y.a }}{{ loop(y.children) }}{% endfor %}",
        "{% if x and (file.path == 'a' or x in xs) %}{% elif x is defined %}{% else %}{% endif %}",
        "{% set y = x %}{{ y }}{% set z %}{{ y }}{% endset %}{{ z | trim }}",
        "{% if x %}{% set y = 1 %}{% else %}{% set y = 2 %}{% endif %}{{ y }}",
        "{% with y = x %}{{ y }}{% endwith %}",
        "{% macro m(a, b=1) %}{{ a }}{{ b }}{% endmacro %}{{ m(x) }}{{ m(x, b=2) }}",
        "{{ x | default('none') }} {{ xs | join(', ') }} {{ 'a' if x else 'b' }} {{ xs | length }}",
        "{% raw %}{{ not read }}{% endraw %}{# {{ nor().this }} #}",
        "{% for a in [1, 2] %}{{ a }}{% endfor %}{{ -1 }}",
    ],
)
def test_what_authors_need_is_allowed(text: str) -> None:
    assert problems(text) == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        # names
        ("{{ nmae }}", "E110"),
        ("{% for y in ys %}{% endfor %}", "E110"),
        ("{% for y in xs %}{% endfor %}{{ y }}", "E110"),
        ("{% with y = x %}{% endwith %}{{ y }}", "E110"),
        ("{% macro m(a) %}{% endmacro %}{{ a }}", "E110"),
        ("{{ loop.index }}", "E110"),
        ("{{ self }}", "E110"),
        ("{{ namespace }}", "E110"),
        ("{% set y = y %}", "E110"),
        # calls
        ("{{ x() }}", "E120"),
        ("{{ x.upper() }}", "E120"),
        ("{{ '{:>9999999999}'.format(1) }}", "E120"),
        ("{{ x.replace('a', 'b').replace('b', 'c') }}", "E120"),
        ("{{ loop(xs) }}", "E120"),
        ("{% for y in range(*xs) %}{% endfor %}", "E120"),
        ("{% for y in range(10000000) %}{% endfor %}", "E120"),
        ("{% for m in xs %}{{ m(1) }}{% endfor %}", "E120"),
        ("{% macro m() %}{% endmacro %}{% set m = x %}{{ m() }}", "E120"),
        ("{% for range in xs %}{{ range(3) }}{% endfor %}", "E120"),
        # underscores and computed items
        ("{{ x.__class__ }}", "E121"),
        ("{{ x._y }}", "E121"),
        ("{{ x['__class__'] }}", "E121"),
        ("{{ x[file.path] }}", "E121"),
        ("{{ x['a' if x else '__class__'] }}", "E121"),
        ("{{ _sheet }}", "E121"),
        ("{% set _y = 1 %}", "E121"),
        ("{% macro _m() %}{% endmacro %}", "E121"),
        # arithmetic
        ("{{ 'a' * 100000000 }}", "E122"),
        ("{{ 2 ** 2 ** 99 }}", "E122"),
        ("{{ '%s' % x }}", "E122"),
        ("{{ x ~ x }}", "E122"),
        ("{{ x + x }}", "E122"),
        ("{{ x / 2 }}", "E122"),
        ("{{ x // 2 }}", "E122"),
        # tags, filters, tests that are not on the list
        ("{{ x | replace('a', 'b') }}", "E123"),
        ("{{ x | attr('y') }}", "E123"),
        ("{{ xs | map(attribute='y') }}", "E123"),
        ("{{ x | _spend }}", "E123"),
        ("{{ x is sameas(x) }}", "E123"),
        ("{% filter upper %}x{% endfilter %}", "E123"),
        ("{% extends 'b' %}", "E123"),
        ("{% block b %}{% endblock %}", "E123"),
        ("{% import 'b' as b %}", "E123"),
        ("{% from 'b' import c %}", "E123"),
        ("{{ {'a': 1} }}", "E123"),
        ("{% autoescape true %}{% endautoescape %}", "E123"),
        ("{% macro m() %}{% endmacro %}{% call m() %}{% endcall %}", "E123"),
        # messages
        ("text {% user %}x{% enduser %}", "E130"),
        ("{{ x }}{% user %}x{% enduser %}", "E130"),
        ("{% if x %}text{% endif %}{% user %}x{% enduser %}", "E130"),
        ("{% user %}{% system %}x{% endsystem %}{% enduser %}", "E130"),
        ("{% macro m() %}{% user %}x{% enduser %}{% endmacro %}", "E130"),
        ("{% set y %}{% user %}x{% enduser %}{% endset %}", "E130"),
        # control tokens
        ("<|im_start|>system", "E131"),
        ("{{ '<|im_end|>' }}", "E131"),
        ("think in <think> tags", "E131"),
        # syntax
        ("{% if x %}", "E103"),
        ("{{ x", "E103"),
        ("{% message 'admin' %}x{% endmessage %}", "E103"),
        ("{% message x %}x{% endmessage %}", "E103"),
        ("{% do x %}", "E103"),
        ("{% break %}", "E103"),
    ],
)
def test_everything_else_is_refused(text: str, code: str) -> None:
    found = problems(text)

    assert {problem.code for problem in found} == {code}
    assert all(problem.fix for problem in found)


def test_a_template_without_a_message_is_refused() -> None:
    check = TemplateCheck(PromptEnvironment(), {})
    check.prompt(source("a.prompt.j2", "\n\n"), ())

    assert [str(p).split("\n")[0] for p in check.problems] == [
        "prompts/a.prompt.j2:1:1: E130 the template has no message"
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "{% user %}\nx {{ x }} {{ x.format(1) }}\n{% enduser %}",
            "prompts/a.prompt.j2:2:16: E120 a call of 'format'\n"
            "    2 | x {{ x }} {{ x.format(1) }}\n"
            "      |                ^^^^^^\n",
        ),
        (
            "{% user %}\n\t{{ fil.path }}\n{% enduser %}",
            "prompts/a.prompt.j2:2:5: E110 'fil' is not declared\n"
            "    2 | \t{{ fil.path }}\n"
            "      | \t   ^^^\n"
            "    fix: did you mean 'file'? Or declare it under 'inputs:'.",
        ),
        (
            "{% user %}\na\n{% enduser %}\n\n  stray text\n",
            "prompts/a.prompt.j2:5:3: E130 text outside a message\n"
            "    5 |   stray text\n"
            "      |   ^^^^^^^^^^\n",
        ),
        (
            "{% user %}\nuse <|im_end|> here\n{% enduser %}",
            "prompts/a.prompt.j2:2:5: E131 the control token '<|im_end|>' of a chat template\n"
            "    2 | use <|im_end|> here\n"
            "      |     ^^^^^^^^^^\n",
        ),
        (
            "{% user %}\n{{ x | jsn }}\n{% enduser %}",
            "prompts/a.prompt.j2:2:8: E123 the filter 'jsn' is not allowed\n"
            "    2 | {{ x | jsn }}\n"
            "      |        ^^^\n"
            "    fix: did you mean 'json'?",
        ),
        (
            '{% user %}\n{% include "_partials/rule" %}\n{% enduser %}',
            "prompts/a.prompt.j2:2:12: E111 there is no partial '_partials/rule' in the prompts"
            " folder\n"
            '    2 | {% include "_partials/rule" %}\n'
            "      |            ^^^^^^^^^^^^^^^^\n"
            "    fix: did you mean '_partials/rules'?",
        ),
    ],
)
def test_a_problem_shows_its_place_with_a_caret_and_a_fix(text: str, shown: str) -> None:
    found = problems(text, {"_partials/rules.j2": "r"})

    assert len(found) == 1
    assert str(found[0]).startswith(shown)
    assert "\n    fix: " in str(found[0])


def test_two_mistakes_of_one_kind_in_a_line_have_two_places() -> None:
    found = problems("{{ x.a() }} {{ x.b() }} {{ a }} {{ a }}")

    assert [(p.code, p.column) for p in found] == [
        ("E120", 16),
        ("E120", 28),
        ("E110", 38),
        ("E110", 46),
    ]


def test_a_partial_is_checked_with_the_names_at_the_place_of_its_include() -> None:
    partial = {"_partials/one.j2": "{{ y.text }}"}

    assert codes('{% for y in xs %}{% include "_partials/one" %}{% endfor %}', partial) == []
    found = problems('{% include "_partials/one" %}', partial)
    assert [(p.code, p.file, p.line, p.column) for p in found] == [
        ("E110", "prompts/_partials/one.j2", 1, 4)
    ]


def test_a_partial_that_two_places_include_is_told_of_once() -> None:
    partial = {"p.j2": "{{ y }} {{ x() }}"}

    assert codes('{% include "p" %}{% include "p.j2" %}', partial) == ["E110", "E120"]


def test_a_partial_may_hold_whole_messages_where_it_stands_outside_one() -> None:
    messages = {"p.j2": "{% system %}x{% endsystem %}\n"}

    assert codes('{% include "p" %}{% user %}x{% enduser %}', messages) == []
    assert codes('{% user %}{% include "p" %}{% enduser %}', messages) == ["E130"]
    assert codes('{% include "p" %}{% user %}x{% enduser %}', {"p.j2": "text"}) == ["E130"]


def test_names_set_in_a_partial_end_with_it() -> None:
    assert codes('{% include "p" %}{{ y }}', {"p.j2": "{% set y = 1 %}"}) == ["E110"]


@pytest.mark.parametrize(
    "name", ["nothing", "../secret", "/etc/passwd", "_partials/../../x", "a.prompt.j2", ""]
)
def test_only_partials_of_the_folder_can_be_included(name: str) -> None:
    assert codes(f'{{% include "{name}" %}}', {"_partials/x.j2": "x"}) == ["E111"]


@pytest.mark.parametrize(
    ("tag", "code"),
    [
        ("{% include x %}", "E120"),
        ("{% include ['p', 'q'] %}", "E120"),
        ("{% include 'p' ignore missing %}", "E123"),
        ("{% include 'p' without context %}", "E123"),
    ],
)
def test_an_include_is_one_literal_name_and_nothing_else(tag: str, code: str) -> None:
    assert codes(tag, {"p.j2": "p"}) == [code]


def test_includes_that_go_in_a_circle_are_refused() -> None:
    found = problems(
        '{% include "a" %}', {"a.j2": '{% include "b" %}', "b.j2": '{% include "a" %}'}
    )

    assert [(p.code, p.file) for p in found] == [("E112", "prompts/b.j2")]
    assert "a.j2 → b.j2 → a.j2" in found[0].message


def test_includes_may_be_five_deep_and_no_deeper() -> None:
    def chain(length: int) -> dict[str, str]:
        files = {f"p{n}.j2": f'{{% include "p{n + 1}" %}}' for n in range(1, length)}
        return files | {f"p{length}.j2": "end"}

    assert codes('{% include "p1" %}', chain(MAX_DEPTH)) == []
    assert codes('{% include "p1" %}', chain(MAX_DEPTH + 1)) == ["E112"]


def test_a_broken_partial_is_told_of_under_its_own_name() -> None:
    found = problems('{% include "p" %}', {"p.j2": "a\n  {% if %}"})

    assert [(p.code, p.file, p.line, p.column) for p in found] == [("E103", "prompts/p.j2", 2, 3)]
