"""Mutated answers: a true new text, wrapped and bent as models do, comes back exactly or not."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.answer import Answer, Original, Protocol, Resolution, resolve

PREFILL = "<rewritten>\n"


@dataclass(frozen=True)
class Truth:
    """A selection in its file, and what it is to become."""

    name: str
    original: Original
    new: str


@dataclass(frozen=True)
class Wrapped:
    answer: Answer
    protocol: Protocol | None = None


def truth(name: str, language: str, parts: tuple[str, str, str, str], *, eol: str = "\n") -> Truth:
    before, selected, after, new = (part.replace("\n", eol) for part in parts)
    return Truth(name, Original(selected, before, after, language, eol), new)


PYTHON = (
    "import math\n\n\nclass Shape:\n    sides = 0\n\n",
    "    def mean(self, values):\n        total = sum(values)\n"
    "        return total / len(values)\n",
    "\n    def name(self):\n        return self.__class__.__name__\n\n    def close(self): ...\n",
    "    def mean(self, values):\n        if not values:\n            return 0.0\n"
    "        total = sum(values)\n        return total / len(values)\n",
)

TRUTHS = [
    truth("a method", "python", PYTHON),
    truth("a method with CRLF", "python", PYTHON, eol="\r\n"),
    truth(
        "a Go block with tabs",
        "go",
        (
            "package main\n\nfunc main() {\n\tx := read()\n",
            "\tfor i := 0; i < 10; i++ {\n\t\tfmt.Println(i)\n\t}\n",
            "\tclose(x)\n\tos.Exit(0)\n}\n",
            "\tfor i := range 10 {\n\t\tfmt.Println(i)\n\t\tlog.Print(x)\n\t}\n",
        ),
    ),
    truth(
        "the end of a file without a final newline",
        "javascript",
        (
            "const a = 1;\nconst b = 2;\n\n",
            "export function add(a, ...rest) {\n  return a + rest[0];\n}",
            "",
            "export function add(a, ...rest) {\n  // sum of all\n"
            "  return rest.reduce((x, y) => x + y, a);\n}",
        ),
    ),
    truth(
        "HTML with entities",
        "html",
        (
            "<body>\n  <main>\n",
            "    <p>a &lt; b &amp;&amp; c</p>\n    <option selected>x</option>\n",
            "  </main>\n</body>\n",
            "    <p>a &lt;= b &amp;&amp; c</p>\n    <option selected>&quot;x&quot;</option>\n",
        ),
    ),
    truth(
        "Korean comments and trailing spaces",
        "python",
        (
            "# 시작\nimport os\n",
            "def 읽기(path):  \n    # 파일을 연다\t\n    return open(path)\n",
            "\n\nprint(읽기('a'))\nprint('끝')\n",
            "def 읽기(path):  \n    # 파일을 연다\t\n"
            "    with open(path) as file:\n        return file.read()\n",
        ),
    ),
    truth(
        "blank lines at the edges",
        "python",
        (
            "import a\nimport b\n",
            "\n\ndef f(value):\n    return value\n\n\n",
            "def g(value):\n    return -value\n",
            "\n\ndef f(value: int) -> int:\n    return value\n\n\n",
        ),
    ),
    truth(
        "a docstring with a fence in it",
        "python",
        (
            "import re\n\n",
            'def f(x):\n    """Use it:\n\n    ```python\n    f(1)\n    ```\n'
            '    """\n    return x\n',
            "\nf(2)\nf(3)\n",
            'def f(x: int):\n    """Use it:\n\n    ```python\n    f(1)\n    ```\n'
            '    """\n    return x\n',
        ),
    ),
    truth(
        "removed lines in a C function",
        "c",
        (
            "int main(void) {\n  int n = 3;\n  while (n) {\n",
            '    printf("%d\\n", n);\n    if (n > 2) {\n      n -= 2;\n    }\n    n--;\n',
            "  }\n  return 0;\n}\n",
            '    printf("%d\\n", n);\n    n--;\n',
        ),
    ),
    truth(
        "one line of YAML",
        "yaml",
        ("service:\n  name: a\n", "  replicas: 1\n", "  port: 80\n", "  replicas: 3\n"),
    ),
]

MIXED = Truth(
    "mixed line ends",
    Original("a = 1\r\nb = 2\nc = 3\r\nd = 4\n", "x = 0\n", "y = 0\n", "python", "\n"),
    "a = 1\r\nb = 22\nc = 3\r\nnew = 5\r\nd = 4\n",
)

# ── what models wrap around the text ─────────────────────────────────────────────────────────────


def tagged(text: str) -> str:
    return f"<rewritten>\n{text}</rewritten>"


WRAPPERS: dict[str, Callable[[str], Wrapped]] = {
    "the tag": lambda text: Wrapped(Answer(tagged(text), "stop")),
    "a tag that the stop string closed": lambda text: Wrapped(
        Answer(f"<rewritten>\n{text}", "stop", "</rewritten>")
    ),
    "a tag that never closes": lambda text: Wrapped(Answer(f"<rewritten>\n{text}", "stop")),
    "a tag with its end on the last line": lambda text: Wrapped(
        Answer(f"<rewritten>\n{text.rstrip()}</rewritten>\n", "stop")
    ),
    "the tag in capitals": lambda text: Wrapped(Answer(f"<REWRITTEN>\n{text}</REWRITTEN>", "stop")),
    "the tag twice around it": lambda text: Wrapped(
        Answer(f"<rewritten>\n<rewritten>\n{text}</rewritten></rewritten>", "stop")
    ),
    "the same block twice": lambda text: Wrapped(
        Answer(f"{tagged(text)}\n\n{tagged(text)}", "stop")
    ),
    "prose around the tag": lambda text: Wrapped(
        Answer(f"Sure, here it is:\n{tagged(text)}\nI changed the loop.", "stop")
    ),
    "thinking before the tag": lambda text: Wrapped(
        Answer(f"<think>\n```\nmaybe x\n```\n</think>\n\n{tagged(text)}", "stop")
    ),
    "thinking opened by the template": lambda text: Wrapped(
        Answer(f"So the user wants\n<rewritten> tags.\n</think>\n{tagged(text)}", "stop")
    ),
    "the selection's own tags": lambda text: Wrapped(
        Answer(tagged(f"<selected>\n{text}</selected>\n"), "stop")
    ),
    "a fence in the tag": lambda text: Wrapped(
        Answer(tagged(f"````python\n{text}\n````\n"), "stop")
    ),
    "a fence": lambda text: Wrapped(Answer(f"````\n{text}\n````", "stop")),
    "a short fence": lambda text: Wrapped(Answer(f"```python\n{text}\n```\n", "stop")),
    "prose around a fence": lambda text: Wrapped(
        Answer(f"Here is the code:\n\n````js\n{text}\n````\n\nIt is better now.", "stop")
    ),
    "a prefill that is continued": lambda text: Wrapped(
        Answer(text, "stop", "</rewritten>"), Protocol(prefill=PREFILL)
    ),
    "a prefill that is continued and closed": lambda text: Wrapped(
        Answer(f"{text}</rewritten>\nDone.", "stop"), Protocol(prefill=PREFILL)
    ),
    "a prefill that is repeated": lambda text: Wrapped(
        Answer(f"{PREFILL}{text}", "stop"), Protocol(prefill=PREFILL)
    ),
    "a prefill with a fence": lambda text: Wrapped(
        Answer(f"````\n{text}\n````\n", "stop", "</rewritten>"), Protocol(prefill=PREFILL)
    ),
    "a prefill with the tag again": lambda text: Wrapped(
        Answer(f"\n{tagged(text)}", "stop"), Protocol(prefill=PREFILL)
    ),
    "nothing at all": lambda text: Wrapped(Answer(text, "stop")),
}

# ── how models bend the text itself ──────────────────────────────────────────────────────────────


def numbered(text: str, case: Truth) -> str:
    first = case.original.before.count("\n") + 1
    rows = text.split("\n")
    end = "\n" if rows[-1] == "" else ""
    rows = rows[:-1] if end else rows
    return "\n".join(f"{first + index:4} | {row}" for index, row in enumerate(rows)) + end


def with_context(text: str, case: Truth, *, above: int, below: int) -> str:
    before, after = (
        part.replace("\r\n", "\n").splitlines(keepends=True)
        for part in (case.original.before, case.original.after)
    )
    tail = "".join(after[:below])
    return "".join(before[len(before) - above :] if above else []) + text + tail


BENT: dict[str, Callable[[str, Truth], str]] = {
    "as it is": lambda text, case: text,
    "with CRLF": lambda text, case: text.replace("\n", "\r\n"),
    "without a final newline": lambda text, case: text.removesuffix("\n"),
    "with one more newline": lambda text, case: text + "\n",
    "after a blank line": lambda text, case: "\n" + text,
    "stripped": lambda text, case: text.strip(),
    "stripped of blank lines": lambda text, case: text.strip("\n"),
    "at column 0": lambda text, case: textwrap.dedent(text),
    "further in": lambda text, case: textwrap.indent(text, "    "),
    "without trailing spaces": lambda text, case: "".join(
        row.rstrip() + "\n" for row in text.split("\n")
    ).removesuffix("\n"),
    "with line numbers": numbered,
    "with all the text above": lambda text, case: with_context(text, case, above=99, below=0),
    "with three lines below": lambda text, case: with_context(text, case, above=0, below=3),
    "with all the file": lambda text, case: with_context(text, case, above=99, below=99),
}

# What cannot be told from a meant edit: no line is shared to compare the indentation with, and one
# repeated line may be wanted. Both are marked by a warning.
UNDECIDABLE = {
    ("HTML with entities", "further in"): ["indent"],
    ("one line of YAML", "further in"): ["indent"],
    ("one line of YAML", "with three lines below"): ["repeated_context"],
}


def said(case: Truth, wrap: str, bend: str) -> tuple[Resolution, str]:
    text = BENT[bend](case.new.replace("\r\n", "\n"), case)
    wrapped = WRAPPERS[wrap](text)
    return resolve(wrapped.answer, case.original, wrapped.protocol), text


@pytest.mark.parametrize("wrap", WRAPPERS)
@pytest.mark.parametrize("case", TRUTHS, ids=lambda case: case.name)
def test_a_bent_answer_is_resolved_exactly_or_refused(case: Truth, wrap: str) -> None:
    for bend in BENT:
        found, text = said(case, wrap, bend)
        if found.status == "unresolved":
            continue
        if (case.name, bend) in UNDECIDABLE:
            codes = [warning.code for warning in found.warnings if warning.code != "unmarked_end"]
            assert codes == UNDECIDABLE[case.name, bend]
            continue
        assert found.text == case.new, (bend, text, found)
        assert found.status == "changed"


def test_nearly_all_bent_answers_are_resolved() -> None:
    refused = [
        (case.name, wrap, bend)
        for case, wrap, bend in product(TRUTHS, WRAPPERS, BENT)
        if said(case, wrap, bend)[0].status == "unresolved"
    ]
    assert len(TRUTHS) * len(WRAPPERS) * len(BENT) > 2500
    assert len(refused) <= 5, refused


@pytest.mark.parametrize("wrap", WRAPPERS)
@pytest.mark.parametrize("case", TRUTHS, ids=lambda case: case.name)
def test_an_unchanged_selection_bent_as_models_do_is_no_change(case: Truth, wrap: str) -> None:
    same = Truth(case.name, case.original, case.original.selected)
    for bend in BENT:
        if (case.name, bend) in UNDECIDABLE | {
            # where only these changed they are the wish, and a diff shows them
            ("Korean comments and trailing spaces", "without trailing spaces"): [],
        } or bend == "further in":
            continue
        found, text = said(same, wrap, bend)
        if found.status != "unresolved":
            assert (found.status, found.text) == ("no_change", same.new), (bend, text, found)


@pytest.mark.parametrize("wrap", WRAPPERS)
@pytest.mark.parametrize("case", TRUTHS, ids=lambda case: case.name)
def test_an_answer_cut_at_the_limit_is_truncated_wherever_it_is_cut(case: Truth, wrap: str) -> None:
    wrapped = WRAPPERS[wrap](case.new)
    whole = wrapped.answer.text
    for end in range(0, len(whole), 7):
        found = resolve(Answer(whole[:end], "length"), case.original, wrapped.protocol)
        assert (found.status, found.text) == ("truncated", whole[:end])


@pytest.mark.parametrize("wrap", WRAPPERS)
@pytest.mark.parametrize("case", TRUTHS, ids=lambda case: case.name)
def test_a_stream_that_broke_is_never_taken_for_whole(case: Truth, wrap: str) -> None:
    wrapped = WRAPPERS[wrap](case.new)
    whole = wrapped.answer.text
    for end in range(0, len(whole), 7):
        found = resolve(Answer(whole[:end], None), case.original, wrapped.protocol)
        assert found.status == "unresolved" or found.text == case.new, (whole[:end], found)


@pytest.mark.parametrize("bend", ["as it is", "with CRLF", "stripped", "with all the file"])
@pytest.mark.parametrize("wrap", WRAPPERS)
def test_in_a_file_of_mixed_line_ends_every_line_keeps_its_own(wrap: str, bend: str) -> None:
    found, _ = said(MIXED, wrap, bend)
    assert (found.status, found.text) == ("changed", MIXED.new)


# ── properties ───────────────────────────────────────────────────────────────────────────────────

words = st.sampled_from(
    ["a = 1", "b", "call(x)", "if y:", "}", "", "  c", "\td  ", "# é 한", "```"]
)
ends = st.sampled_from(["\n", "\r\n"])
texts = st.lists(st.tuples(words, ends), max_size=8).map(
    lambda rows: "".join(row + end for row, end in rows)
)
noise = st.sampled_from(
    ["<rewritten>\n", "</rewritten>", "<think>", "</think>", "```", "````py", "<selected>", "\r",
     "</selected>", "Sure, here is it:", "... existing code ...", "1 | a", "\x00", "\ud800", "\n"]
)  # fmt: skip
answers = st.lists(st.one_of(words, noise, ends, st.text(max_size=5)), max_size=14).map("".join)
finishes = st.sampled_from(["stop", "stop", "length", None, "content_filter", "tool_calls"])


@given(texts, texts, texts, answers, finishes, st.sampled_from(["", PREFILL]))
def test_no_answer_at_all_raises_or_breaks_its_promises(
    before: str, selected: str, after: str, text: str, finish: str | None, prefill: str
) -> None:
    original = Original(selected, before, after, "python")
    found = resolve(Answer(text, finish), original, Protocol(prefill=prefill))
    if found.status in ("unresolved", "truncated"):
        assert found.text == text
        assert found.warnings
    else:
        assert (found.text == selected) == (found.status == "no_change")
        assert finish != "length"
        assert "\x00" not in found.text
        found.text.encode()
        if found.text and selected:
            assert found.text.endswith("\n") == selected.endswith("\n")


filled = st.lists(
    st.tuples(st.sampled_from(["a = 1", "b()", "  c  ", "x", "y = [", "]", "  z"]), ends),
    min_size=1,
    max_size=9,
)


@given(filled, st.data())
def test_lines_that_did_not_change_keep_their_own_bytes(
    rows: list[tuple[str, str]], data: st.DataObject
) -> None:
    selected = "".join(row + end for row, end in rows)
    at = data.draw(st.integers(0, len(rows) - 1))
    new = [row for row, _ in rows]
    lead = new[at][: len(new[at]) - len(new[at].lstrip())]
    new[at] = f"{lead}changed = True"
    text = "".join(f"{row.rstrip()}\n" for row in new)
    found = resolve(Answer(tagged(text), "stop"), Original(selected, "", "", "python"))
    expected = [row + end for row, end in rows]
    expected[at] = new[at] + rows[at][1]
    assert found.text == "".join(expected)
