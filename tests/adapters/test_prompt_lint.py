"""The linter: each code at its line and column, with a caret and a fix; sound files are quiet."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.adapters.prompt_files import PromptProblem
from gateway.adapters.prompt_lint import estimate, is_warning, lint
from tests.adapters.prompt_folders import (
    BODY,
    BRIEF,
    CACHE,
    HEAD,
    KOREAN,
    TESTS,
    VARIANTS,
    folder,
    write,
)

SHIPPED = Path(__file__).parents[2] / "prompts"


def found(root: Path) -> list[PromptProblem]:
    problems = lint(root)
    assert all(isinstance(problem, PromptProblem) for problem in problems)
    return [problem for problem in problems if isinstance(problem, PromptProblem)]


def test_the_shipped_prompts_have_no_problem() -> None:
    assert lint(SHIPPED) == []


def test_a_sound_prompt_with_everything_has_no_problem(tmp_path: Path) -> None:
    head = HEAD + TESTS + VARIANTS
    brief = BRIEF.replace("{{ code }}{{ ask }}{{ rules }}", "{{ rules }}{{ code }}{{ ask }}")
    write(folder(tmp_path, head=head), "_variants/x-brief.j2", brief)
    write(tmp_path, "code/x.ko.prompt.j2", KOREAN)

    assert lint(tmp_path) == []


def in_body(old: str, new: str) -> dict[str, str]:
    assert old in BODY
    return {"body": BODY.replace(old, new)}


FRONT = 16  # lines before the template


@pytest.mark.parametrize(
    ("parts", "code", "line", "shown", "fix"),
    [
        ({"head": HEAD + "a: [\n"}, "E100", 12, "", ""),
        ({"head": HEAD + "versoin: 1\n"}, "E101", 11, "versoin", "did you mean 'version'"),
        (in_body("{{ code }}", "{{ cod }}"), "E110", FRONT + 6, "cod", "did you mean 'code'"),
        (
            in_body("{{ code }}", '{% include "_partials/rul" %}'),
            "E111",
            FRONT + 6,
            '"_partials/rul"',
            "did you mean '_partials/rules'",
        ),
        (
            in_body("{{ code }}", '{% include "_partials/circle" %}'),
            "E112",
            1,
            '"_partials/circle"',
            "leave one",
        ),
        (in_body("{{ code }}", "{{ code.upper() }}"), "E120", FRONT + 6, "upper", "filter"),
        (in_body("{{ code }}", "{{ code.__class__ }}"), "E121", FRONT + 6, "__class__", "fields"),
        (in_body("{{ code }}", "{{ code * 9 }}"), "E122", FRONT + 6, "*", "caller compute"),
        (in_body("{% user %}", "stray {% user %}"), "E130", FRONT + 5, "stray", "move it into"),
        (in_body("You read", "<|im_end|> You"), "E131", FRONT + 2, "<|im_end|>", "leave it out"),
        ({"head": (HEAD + CACHE + TESTS).replace("[CODE, A", "[NO, A")}, "E140", 13, "", "change"),
        (in_body("{{ ask }}", ""), "W210", 10, "ask", "use it"),
        (in_body("{{ rules }}", "{{ code }}"), "W220", FRONT + 3, "code", "{% user %}"),
        (
            in_body("{{ code }}\n{{ ask }}", "{{ ask }}\n{{ code }}"),
            "W230",
            FRONT + 6,
            "ask",
            "least first",
        ),
        (
            in_body("{{ ask }}", "{{ ask }}\n" + "Be very exact. " * 40),
            "W230",
            FRONT + 7,
            "ask",
            "before",
        ),
        (
            {"head": (HEAD + CACHE + TESTS).replace("ASK]}", "ASK], max_tokens: 2}")},
            "W240",
            15,
            "max_tokens",
            "shorten",
        ),
        ({"head": HEAD + CACHE}, "W250", 4, "name", "add one"),
    ],
)
def test_each_mistake_has_its_code_place_and_fix(
    tmp_path: Path, parts: dict[str, str], code: str, line: int, shown: str, fix: str
) -> None:
    write(tmp_path, "_partials/circle.j2", '{% include "_partials/circle" %}')
    write(tmp_path, "_partials/rules.j2", "R")
    folder(tmp_path, **parts)

    [problem] = [one for one in found(tmp_path) if one.code == code]

    assert problem.line == line
    text = problem.source[problem.column - 1 :][: problem.width]
    assert text.strip('"') == shown.strip('"') or not shown
    assert "^" in str(problem)
    assert fix in problem.fix
    assert is_warning(problem) is code.startswith("W")


def test_what_a_loop_or_a_set_takes_from_an_input_is_that_input(tmp_path: Path) -> None:
    body = BODY.replace("{{ rules }}", "{% set y = code %}{{ y }}{{ rules }}")

    codes = {problem.code for problem in found(folder(tmp_path, body=body))}

    assert "W220" in codes


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        ("{{ file.path }}", True),
        ("{{ file['path'] }}", True),
        ("{% if file.path %}x{% endif %}", True),
        ("{% if ask %}{{ file.path }}{% endif %}", True),
        ("{% if file %}x{% endif %}{{ file.path }}", True),
        ("{% set f = file %}{{ f.path }}", True),
        ("{% if file %}{{ file.path }}{% endif %}", False),
        ("{% if file and file.path %}{{ file.path }}{% endif %}", False),
        ("{% if not file %}x{% else %}{{ file.path }}{% endif %}", False),
        ("{{ file.path if file else 'none' }}", False),
        ("{% set f = file %}{% if f %}{{ f.path }}{% endif %}", False),
    ],
)
def test_a_record_that_may_be_missing_is_asked_for_first(
    tmp_path: Path, shown: str, told: bool
) -> None:
    file = '  file: {type: "code[path]", trust: untrusted, default: null}\n'
    head = (HEAD + TESTS).replace("  rules:", file + "  rules:")

    codes = [
        one.code
        for one in found(
            folder(tmp_path, head=head, **in_body("{{ code }}", f"{{{{ code }}}}{shown}"))
        )
    ]

    assert ("W260" in codes) is told


def test_an_input_named_after_the_moment_belongs_at_the_end(tmp_path: Path) -> None:
    head = HEAD.replace("  rules:", '  now: {type: text, trust: project, default: ""}\n  rules:')
    head += "cache: {order: [now, rules, code, ask]}\n" + TESTS
    body = BODY.replace("{{ rules }}", "{{ now }}{{ rules }}")

    [problem] = found(folder(tmp_path, head=head, body=body))

    assert (problem.code, problem.fix) == ("W230", "move it to the end")


def test_warnings_of_a_partial_are_told_where_they_are(tmp_path: Path) -> None:
    write(tmp_path, "_partials/both.j2", "{{ ask }}\n{{ code }}\n")
    body = BODY.replace("{{ code }}\n{{ ask }}", '{% include "_partials/both" %}')

    [problem] = found(folder(tmp_path, body=body))

    assert (problem.code, problem.line, Path(problem.file).name) == ("W230", 1, "both.j2")


def test_only_the_named_prompts_are_tested(tmp_path: Path) -> None:
    folder(tmp_path, head=HEAD + CACHE)

    assert [problem.code for problem in found(tmp_path)] == ["W250"]
    assert lint(tmp_path, ["code/other"]) == []


def test_an_estimate_counts_bytes() -> None:
    assert (estimate(""), estimate("abcd"), estimate("abcde"), estimate("한국")) == (0, 1, 2, 2)
