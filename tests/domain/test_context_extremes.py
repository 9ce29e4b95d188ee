"""The budget holds for minified lines, long rules and many open files, in any mixture."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain import columns, layout, lines, source
from gateway.domain.budget import Budget, ContextTooLarge
from gateway.domain.candidates import MOST_RULE_BYTES, MOST_STRINGS, candidates
from gateway.domain.context import SHRINKS, Fitted, fit, measured, shrink
from gateway.domain.item import strings
from gateway.domain.material import Material, Related, Rule, Survey
from gateway.domain.source import Position, Selection

OVERHEAD = 40


def count(text: str) -> int:
    """A tokenizer that dislikes long words and what is not ASCII."""
    dear = sum(not character.isascii() for character in text)
    return sum(math.ceil(len(word) / 4) for word in text.split(" ")) + text.count("\n") + dear


words = st.sampled_from(["x=1;", "f(a,b);", "한글 ", "load_user ", "\U0001f600", "};", "a b c "])
rows = st.one_of(
    st.builds(lambda word, times: word * times, words, st.integers(0, 8)),
    st.builds(lambda word, times: word * times, words, st.integers(500, 3000)),
)
ends = st.sampled_from(["\n", "\r\n"])
texts = st.builds(lambda found, end: end.join(found), st.lists(rows, min_size=1, max_size=8), ends)
folders = st.sampled_from(["", "src/", "src/deep/", "other/"])
rules = st.builds(
    lambda folder, row, times: Rule(f"{folder}AGENTS.md", f"{row}\n" * times),
    folders,
    st.sampled_from(["be kind", "값 " * 30, "x" * 3000]),
    st.integers(0, 1500),
)
reasons = st.sampled_from(["open", "open", "open", "attached", "import", "definition"])
budgets = st.builds(
    Budget, st.one_of(st.integers(0, 4000), st.integers(0, 40_000)), st.integers(0, 2000)
)


@st.composite
def materials(draw: st.DrawFn) -> Material:
    """A selection that may begin and end in the middle of lines of any length."""
    file = source.read("src/deep/a.js", draw(texts))
    found = lines.split(file.text(file.whole)) or [""]
    places = []
    for _ in range(2):
        line = draw(st.integers(0, len(found) - 1))
        most = len(found[line].rstrip("\r\n"))
        places.append((line, draw(st.integers(0, most))))
    start, end = sorted(places)
    span = columns.span(file, Selection(Position(*start), Position(*end)), "utf-32")
    sent = draw(st.lists(st.tuples(texts, reasons), max_size=4))
    sent *= draw(st.sampled_from([1, 1, 10]))
    return Material(
        file,
        span,
        draw(st.sampled_from(["go", "", "make it fast " * 20])),
        related=tuple(Related(f"{at:02}.js", text, why) for at, (text, why) in enumerate(sent)),
        rules=tuple(draw(st.lists(rules, max_size=6))),
    )


def chosen(sent: Material, budget: Budget) -> Fitted:
    found = tuple(layout.read(lines.split(other.content)) for other in sent.related)
    items = candidates(sent, budget, Survey(layout.read(sent.rows), found))
    texts_to_count = strings(items)
    assert len(texts_to_count) <= MOST_STRINGS
    tokens = {key: count(text) for key, text in texts_to_count.items()}
    return fit(items, tokens, budget, OVERHEAD)


def rendered(fitted: Fitted, more: float) -> int:
    """What the prompt really costs: `more` than its parts, counted by themselves."""
    return OVERHEAD + math.ceil(more * sum(count(part.text) for part in fitted.parts))


def check(sent: Material, found: Fitted) -> None:
    """Nothing of the reserve is used, what must be there is, and the report accounts for all."""
    report = found.report()
    assert found.used == report.used <= found.budget.window - found.budget.reserve
    assert sum(entry.tokens for entry in report.items) == report.used
    assert [entry.id for entry in report.items[1:]] == [item.id for item in found.items]
    assert (found.text("selection"), found.text("instruction")) == (sent.selected, sent.instruction)
    shown = {part.id for part in found.parts}
    for entry in report.items[1:]:
        assert (entry.id in shown) == (entry.state != "dropped")
        assert bool(entry.why) == (entry.state != "included")


@settings(deadline=None)
@given(materials(), budgets)
def test_the_reserve_stays_free_and_the_report_adds_up(sent: Material, budget: Budget) -> None:
    needed = OVERHEAD + count(sent.selected) + count(sent.instruction)
    if needed > budget.available:
        with pytest.raises(ContextTooLarge) as caught:
            chosen(sent, budget)
        assert (caught.value.needed, caught.value.available) == (needed, budget.available)
        return
    check(sent, chosen(sent, budget))


@settings(deadline=None)
@given(materials(), budgets, st.sampled_from([0.9, 1.0, 1.2]))
def test_the_prompt_as_counted_holds_too_or_is_refused(
    sent: Material, budget: Budget, more: float
) -> None:
    try:
        found = chosen(sent, budget)
        for _ in range(SHRINKS):
            if found.holds(rendered(found, more)):
                break
            found = shrink(found, rendered(found, more))
        found = measured(found, rendered(found, more))
    except ContextTooLarge:
        needed = OVERHEAD + math.ceil(more * count(sent.selected + "\n" + sent.instruction))
        assert 2 * needed > budget.available, "what is not required was the reason"
        return
    check(sent, found)


@settings(deadline=None)
@given(materials())
def test_rules_have_their_bytes_together_the_nearest_first(sent: Material) -> None:
    found = chosen(sent, Budget(10_000_000, 0))
    texts_of = {part.id: part.text.split("[... ")[0] for part in found.of("rule")}
    assert sum(len(text.encode()) for text in texts_of.values()) <= MOST_RULE_BYTES
    held = [
        item for item in found.items if item.kind == "rule" and "of another" not in item.refused
    ]
    whole = [
        item.id in texts_of and not item.unseen for item in held if item.refused != "it is empty"
    ]
    assert whole == sorted(whole, reverse=True), "none is there without those that are nearer"
