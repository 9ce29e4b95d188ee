"""Context: the reserve stays free whatever is sent, and every part is accounted for."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import context, layout, source
from gateway.domain import lines as lines_
from gateway.domain.budget import Budget, ContextTooLarge
from gateway.domain.candidates import MOST_STRINGS, candidates
from gateway.domain.context import Fitted, fit, measured, shrink
from gateway.domain.item import MARKER, strings
from gateway.domain.material import Diagnostic, Material, Related, Rule, Survey, Turn
from gateway.domain.structure import excerpt


def count(text: str) -> int:
    """A tokenizer that dislikes long words: not linear in characters, as real ones are not."""
    return sum(math.ceil(len(word) / 4) for word in text.split(" ")) + text.count("\n")


def fitted(material: Material, budget: Budget, overhead: int = 40) -> Fitted:
    items = candidates(material, budget)
    counts = {key: count(text) for key, text in strings(items).items()}
    return fit(items, counts, budget, overhead)


def material(
    rows: int = 30, at: int = 15, instruction: str = "make it fast", **more: object
) -> Material:
    content = "".join(f"line {number} = {number * 7}\n" for number in range(rows))
    file = source.read("src/a.py", content)
    cursor = source.Position(at, 0)
    span = file.span(source.Selection(cursor, cursor))
    return Material(file, span, instruction, **more)  # type: ignore[arg-type]


short = st.text(alphabet="ab \n", max_size=60)
contents = st.lists(st.text("xy z", max_size=30), max_size=60).map("\n".join)
reasons = st.sampled_from(["open", "attached", "import", "definition"])
paths = st.sampled_from(["b.py", "c.py", "d/e.py", "src/a.py", "z", "f.py", "g.py"])


@st.composite
def materials(draw: st.DrawFn) -> Material:
    file = source.read("src/a.py", draw(contents))
    lines = file.content.count(b"\n") + 1
    first = draw(st.integers(0, lines - 1))
    last = draw(st.integers(first, min(first + 4, lines - 1)))
    span = file.span(source.Selection(source.Position(first, 0), source.Position(last, 9)))
    return Material(
        file,
        span,
        draw(short),
        related=tuple(draw(st.lists(st.builds(Related, paths, contents, reasons), max_size=20))),
        rules=tuple(draw(st.lists(st.builds(Rule, paths, contents), max_size=10))),
        diagnostics=tuple(
            draw(st.lists(st.builds(Diagnostic, st.integers(0, 60), st.just("error"), short)))
        ),
        conversation=tuple(
            draw(st.lists(st.builds(Turn, st.sampled_from(["user", "assistant"]), short)))
        ),
    )


functions = st.lists(
    st.sampled_from(
        [
            *("import os\n", "def load_user(a):\n    x\n    y\n    z\n", "class A:\n    b = 1\n"),
            *("\n", "    load_user(1)\n", "text of a line\n", "def f():\n    return load_user\n"),
        ]
    ),
    min_size=1,
    max_size=60,
).map("".join)


@st.composite
def structured(draw: st.DrawFn) -> Material:
    """A file and others with functions in them, each path once."""
    file = source.read("src/a.py", draw(functions))
    rows = file.content.count(b"\n")
    first = draw(st.integers(0, rows - 1))
    span = file.lines(first, min(first + draw(st.integers(1, 6)), rows))
    given_paths = draw(st.lists(st.sampled_from("bcdefghi"), unique=True))
    related = tuple(
        Related(f"{path}.py", draw(functions), draw(reasons), language="python")
        for path in given_paths
    )
    return Material(file, span, draw(short), related=related)


budgets = st.builds(Budget, st.integers(0, 3000), st.integers(0, 1500))


@given(materials(), budgets, st.integers(0, 60))
def test_the_reserve_stays_free_and_the_report_adds_up(
    sent: Material, budget: Budget, overhead: int
) -> None:
    items = candidates(sent, budget)
    required = count(sent.file.text(sent.span)) + count(sent.instruction) + overhead
    if required > budget.available:
        with pytest.raises(ContextTooLarge) as caught:
            fitted(sent, budget, overhead)
        assert (caught.value.needed, caught.value.available) == (required, budget.available)
        return
    found = fitted(sent, budget, overhead)
    report = found.report()
    assert report.used == found.used <= max(budget.window - budget.reserve, 0)
    assert sum(entry.tokens for entry in report.items) == report.used
    assert [entry.id for entry in report.items[1:]] == [item.id for item in items]
    assert len({item.id for item in items}) == len(items)
    assert len(strings(items)) <= MOST_STRINGS
    for entry in report.items:
        assert bool(entry.why) == (entry.state != "included")
        assert (entry.state == "dropped") == (
            entry.id not in {part.id for part in found.parts}
        ) or (entry.id == "template")
    sent_paths = len(sent.related) + len(sent.rules) + len(sent.conversation)
    assert len(items) == 4 + sent_paths + bool(sent.diagnostics)


@given(materials(), budgets)
def test_what_goes_in_is_what_was_sent(sent: Material, budget: Budget) -> None:
    try:
        found = fitted(sent, budget)
    except ContextTooLarge:
        return
    assert found.text("selection") == sent.file.text(sent.span)
    assert found.text("instruction") == sent.instruction
    before, after = sent.file.before(sent.span), sent.file.after(sent.span)
    for part in found.of("before"):
        assert before.endswith(part.text.split("not shown ...]\n")[-1])
        assert part.range == (sent.span.first_line - part.lines, sent.span.first_line)
    for part in found.of("after"):
        assert after.startswith(part.text.split("[... ")[0])
        assert part.range == (sent.span.end_line, sent.span.end_line + part.lines)
    texts = {file.path: file.content for file in reversed(sent.related)}
    for part in found.of("related"):
        own = part.text.split("[... ")[0]
        assert any(file.content.startswith(own) for file in sent.related if file.path == part.path)
        assert part.path in texts


def read(sent: Material) -> Survey:
    """By layout, as a gateway without grammars would."""
    return Survey(
        layout.read(sent.rows),
        tuple(layout.read(lines_.split(other.content)) for other in sent.related),
    )


@given(structured(), budgets)
def test_with_structures_all_of_it_holds_too(sent: Material, budget: Budget) -> None:
    items = candidates(sent, budget, read(sent))
    counts = {key: count(text) for key, text in strings(items).items()}
    try:
        found = fit(items, counts, budget, 40)
    except ContextTooLarge:
        return  # its numbers are looked at above
    report = found.report()
    assert report.used == sum(entry.tokens for entry in report.items) <= budget.available
    assert found.text("selection") == sent.selected
    assert found.text("instruction") == sent.instruction
    assert len(counts) <= MOST_STRINGS
    rows = sent.rows
    for part in found.of("before", "after"):
        first, end = part.item.range or (0, 0)
        assert part.text == excerpt(rows[first:end], part.runs, first)
    sent_files = {f"{other.path}": other for other in reversed(sent.related)}
    for part in found.of("related"):
        own = lines_.split(sent_files[part.path].content)
        assert part.text == excerpt(own, part.runs)


@given(structured(), budgets)
def test_the_prompt_of_the_same_files_in_another_order_is_the_same(
    sent: Material, budget: Budget
) -> None:
    mixed = replace(sent, related=sent.related[::-1])
    shown = []
    for one in (sent, mixed):
        items = candidates(one, budget, read(one))
        counts = {key: count(text) for key, text in strings(items).items()}
        try:
            found = fit(items, counts, budget, 40)
        except ContextTooLarge:
            return
        shown.append(([(part.kind, part.path, part.text) for part in found.parts], found.report()))
    assert shown[0][0] == shown[1][0]
    assert shown[0][1].prefix_sha == shown[1][1].prefix_sha


def test_the_prefix_changes_with_files_and_rules_and_not_with_the_question() -> None:
    def sha(**more: object) -> str:
        sent = material(related=(Related("b.py", more.pop("text", "x = 1\n")),), **more)  # type: ignore[arg-type]
        return fitted(sent, Budget(4000, 500)).report("p").prefix_sha

    assert sha() == sha(at=3) == sha(instruction="else") == sha(rows=9, at=2)
    assert len({sha(), sha(text="y = 1\n"), sha(rules=(Rule("AGENTS.md", "z\n"),))}) == 3


@given(materials())
def test_with_room_for_all_nothing_is_cut(sent: Material) -> None:
    found = fitted(sent, Budget(1_000_000, 1000))
    cut = [entry for entry in found.report().items if entry.state == "trimmed"]
    assert cut == []
    assert found.text("before") == sent.file.before(sent.span)
    assert found.text("after") == sent.file.after(sent.span)


@given(materials(), budgets, st.integers(1, 400))
def test_shrinking_frees_what_the_exact_count_was_over(
    sent: Material, budget: Budget, over: int
) -> None:
    try:
        found = fitted(sent, budget)
        rendered = budget.available + over
        smaller = shrink(found, rendered)
    except ContextTooLarge:
        return
    assert smaller.used <= budget.available
    chosen = found.used - found.overhead
    assert smaller.used - smaller.overhead <= chosen or over <= 0
    assert smaller.used - smaller.overhead <= budget.available - (rendered - chosen)


def test_near_lines_stay_and_the_marker_says_how_many_are_gone() -> None:
    found = fitted(material(rows=4000, at=2000), Budget(1000, 400))
    before, after = found.of("before")[0], found.of("after")[0]
    rows = before.text.splitlines()
    assert rows[0] == f"[... {2000 - before.lines} lines not shown ...]"
    assert rows[-1] == f"line 1999 = {1999 * 7}"
    assert after.text.splitlines()[0] == f"line 2001 = {2001 * 7}"
    assert after.text.endswith(f"[... {1999 - after.lines} lines not shown ...]\n")
    assert found.used > 0.95 * 600
    entry = next(entry for entry in found.report().items if entry.id == "before")
    assert (entry.state, entry.runs) == ("trimmed", ((2000 - before.lines, 2000),))
    assert entry.why == f"{before.lines} of 2000 lines fit into its share"


def test_the_side_without_text_leaves_its_half_to_the_other() -> None:
    top = fitted(material(rows=4000, at=0), Budget(1000, 400))
    assert not top.of("before")
    assert top.used > 0.95 * 600


def test_related_files_get_a_quarter_and_the_order_of_their_paths() -> None:
    related = tuple(
        Related(f"{name}.py", f"{name} = 1\n" * 300, reason)
        for name, reason in [("zz", "attached"), ("b", "open"), ("a", "import")]
    )
    found = fitted(material(rows=3000, at=1500, related=related), Budget(5000, 1000))
    parts = found.of("related")
    assert [part.path for part in parts] == sorted(part.path for part in parts)
    assert sum(part.tokens for part in parts) <= 0.26 * 4000
    sizes = {part.path: part.tokens for part in parts}
    assert sizes["zz.py"] == max(sizes.values())


def test_without_a_long_file_related_files_may_take_the_rest() -> None:
    related = (Related("b.py", "value = 1\n" * 200),)
    found = fitted(material(rows=3, at=1, related=related), Budget(2000, 500))
    assert found.report().items[-1].state == "included"


def test_rules_keep_the_nearest_and_stand_in_the_order_given() -> None:
    rules = (Rule("AGENTS.md", "root\n" * 200), Rule("src/AGENTS.md", "near\n" * 20))
    found = fitted(material(rows=2000, at=1000, rules=rules), Budget(2000, 500))
    assert [part.path for part in found.of("rule")] == ["AGENTS.md", "src/AGENTS.md"]
    assert found.of("rule")[1].lines == 20
    assert found.of("rule")[0].lines < 200


def test_the_conversation_keeps_its_newest_messages_without_a_gap() -> None:
    talk = tuple(Turn("user", f"{number} " * (400 if number == 6 else 10)) for number in range(9))
    found = fitted(material(rows=900, at=450, conversation=talk), Budget(1500, 500))
    assert [part.text.split()[0] for part in found.of("turn")] == ["7", "8"]
    assert [part.item.reason for part in found.of("turn")] == ["user", "user"]


def test_diagnostics_next_to_the_selection_come_first() -> None:
    said = tuple(Diagnostic(line, "error", f"bad\n  thing {line}") for line in (29, 15, 0, 16))
    found = fitted(material(diagnostics=said), Budget(4000, 500))
    assert found.text("diagnostics").splitlines() == [
        "line 16 error: bad thing 15",
        "line 17 error: bad thing 16",
        "line 30 error: bad thing 29",
        "line 1 error: bad thing 0",
    ]


def test_what_is_no_candidate_is_reported_with_its_reason() -> None:
    related = (
        Related("/src/a.py", "x"),
        Related("b.py", " \n"),
        *(Related(f"c{number}.py", "x\n") for number in range(22)),
        Related("c0.py", "again\n"),
    )
    found = fitted(material(related=related), Budget(9000, 500))
    reasons = {entry.id: entry.why for entry in found.report().items if entry.state == "dropped"}
    assert reasons == {
        "related:src/a.py#0": "the same file is there already",
        "related:b.py": "it is empty",
        "related:c8.py": "only 20 related files are looked at",
        "related:c9.py": "only 20 related files are looked at",
        "related:c0.py#24": "the same file is there already",
    }


def test_a_selection_that_does_not_fit_is_refused_with_the_numbers() -> None:
    with pytest.raises(ContextTooLarge, match=r"needs \d+ tokens \(prompt 40, instruction 3, sel"):
        fitted(material(instruction="a b c"), Budget(300, 256))


def test_the_strings_to_count_are_bounded_in_number_and_in_length() -> None:
    long = "value = compute(1)\n" * 40_000
    file = source.read("a.py", long)
    span = file.span(source.Selection(source.Position(20_000, 0), source.Position(20_001, 0)))
    sent = Material(
        file,
        span,
        "go",
        related=tuple(Related(f"{number}.py", long) for number in range(30)),
        rules=tuple(Rule(f"{number}/AGENTS.md", long) for number in range(30)),
        conversation=tuple(Turn("user", "word " * 500) for _ in range(90)),
    )
    budget = Budget(32_768, 1024)
    texts = strings(candidates(sent, budget))
    assert len(texts) <= MOST_STRINGS
    assert sum(map(len, texts.values())) < 6.5 * budget.available
    found = fitted(sent, budget)
    assert 0.95 * budget.available < found.used <= budget.available


def test_the_exact_count_stands_in_the_report() -> None:
    budget = Budget(2000, 500)
    found = measured(fitted(material(), budget), 777)
    assert found.report().used == 777 == sum(entry.tokens for entry in found.report().items)
    with pytest.raises(ContextTooLarge):
        measured(found, budget.available + 1)


def test_the_loop_of_a_caller_ends_within_the_prompt_that_was_counted() -> None:
    sent = material(rows=5000, at=2500, related=(Related("b.py", "word word\n" * 900),))
    budget = Budget(3000, 600)
    found = fitted(sent, budget)

    def render(chosen: Fitted) -> int:
        """The real prompt is longer than its parts by an eighth."""
        return 40 + math.ceil(1.125 * sum(part.tokens for part in chosen.parts))

    assert not found.holds(render(found))
    for _ in range(context.SHRINKS):
        if found.holds(render(found)):
            break
        found = shrink(found, render(found))
    found = measured(found, render(found))
    assert 0.9 * budget.available < found.used <= budget.available


def test_the_marker_is_paid_for() -> None:
    items = candidates(material(rows=4000, at=2000), Budget(1000, 400))
    counts = {key: count(text) for key, text in strings(items).items()}
    cheap = fit(items, counts, Budget(1000, 400), 40)
    dear = fit(items, counts | {MARKER: 100}, Budget(1000, 400), 40)
    assert dear.of("before")[0].lines < cheap.of("before")[0].lines


def test_rules_beyond_32_kib_are_reported_and_never_cut_in_silence() -> None:
    near, far, root = (Rule(f"{path}AGENTS.md", "be kind to all\n" * count)
                       for path, count in (("src/", 1000), ("src/", 2000), ("", 10)))  # fmt: skip
    found = fitted(material(rules=(root, far, near)), Budget(1_000_000, 1000))
    entries = {entry.id: entry for entry in found.report().items if entry.kind == "rule"}
    seen = (32_768 - 15_000) // 15
    assert [(entry.state, entry.why) for entry in entries.values()] == [
        ("included", ""),
        ("trimmed", f"{seen} of 2000 lines fit into the 32768 bytes of all rules"),
        ("dropped", "no line of it fits into the 32768 bytes of all rules, nearer ones first"),
    ]
    (cut, _) = found.of("rule")
    assert cut.text.endswith(f"[... {2000 - seen} lines not shown ...]\n")
    assert cut.tokens >= count(cut.text)
    tight = fitted(material(rules=(far,)), Budget(6000, 1000))
    assert tight.of("rule")[0].why.endswith("fit into its share")
