"""Candidates: every part that was sent, near things first, in few and short pieces to count."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import source
from gateway.domain.budget import Budget
from gateway.domain.candidates import (
    MOST_RULE_BYTES,
    MOST_RULES,
    MOST_STRINGS,
    MOST_TURNS,
    candidates,
)
from gateway.domain.item import CHARS_PER_TOKEN, Item, strings
from gateway.domain.material import NO_FILE, Diagnostic, Material, Related, Rule, Turn
from gateway.domain.source import Position, Selection

AMPLE = Budget(1_000_000, 0)


def material(
    content: str = "a\nb\nc\n", at: int = 1, instruction: str = "go", **more: object
) -> Material:
    file = source.read("src/a.py", content)
    cursor = Position(at, 0)
    return Material(file, file.span(Selection(cursor, cursor)), instruction, **more)  # type: ignore[arg-type]


def rows(count: int, word: str = "row") -> str:
    return "".join(f"{word} {number}\n" for number in range(count))


def of(kind: str, sent: Material, budget: Budget = AMPLE) -> list[Item]:
    return [item for item in candidates(sent, budget) if item.kind == kind]


def refusals(kind: str, sent: Material, budget: Budget = AMPLE) -> dict[str, str]:
    return {item.id: item.refused for item in of(kind, sent, budget) if item.refused}


def test_neither_the_text_of_an_item_nor_its_pieces_show_in_its_repr() -> None:
    secret = material("password = 'hunter2'\n", 0)
    assert "hunter2" not in repr(candidates(secret, AMPLE))


# ── what is required ─────────────────────────────────────────────────────────────────────────────


def test_the_wish_and_the_selection_are_required_and_whole() -> None:
    wish, chosen = candidates(material("\ufeffa\r\n  값\r\nc", 1, "더 빠르게"), Budget(0, 0))[:2]
    assert (wish.id, wish.kind, wish.text, wish.required) == (
        "instruction",
        "instruction",
        "더 빠르게",
        True,
    )
    assert (chosen.id, chosen.kind, chosen.text, chosen.required) == (
        "selection",
        "selection",
        "  값\r\n",
        True,
    )
    assert (chosen.path, chosen.range, chosen.reason) == ("src/a.py", (1, 2), "selected")


# ── rules, diagnostics, the conversation ─────────────────────────────────────────────────────────


def test_rules_come_nearest_first_and_far_ones_are_refused() -> None:
    sent = tuple(Rule(f"{at}/RULES.md", " \r\n" if at == 5 else "be kind\n") for at in range(10))
    found = of("rule", material(rules=sent))
    assert [item.id for item in found][:2] == ["rule:9:9/RULES.md", "rule:8:8/RULES.md"]
    late = f"only the nearest {MOST_RULES} files of rules are looked at"
    assert refusals("rule", material(rules=sent)) == {
        "rule:5:5/RULES.md": "it is empty",
        "rule:1:1/RULES.md": late,
        "rule:0:0/RULES.md": late,
    }
    assert found[0].pieces[0].frame == '<rules path="9/RULES.md">\n</rules>\n'


def test_two_files_of_rules_at_one_path_are_two() -> None:
    sent = material(rules=(Rule("AGENTS.md", "a\n"), Rule("AGENTS.md", "b\n")))
    assert [item.text for item in of("rule", sent)] == ["b\n", "a\n"]
    assert len({item.id for item in of("rule", sent)}) == 2


def test_diagnostics_are_one_item_of_a_line_each_nearest_first() -> None:
    said = tuple(Diagnostic(line, "error", f"bad {line}") for line in (2, 0, 1))
    (item,) = of("diagnostics", material(diagnostics=said))
    assert item.text == "line 2 error: bad 1\nline 3 error: bad 2\nline 1 error: bad 0\n"
    assert (item.range, item.path, item.keep) == ((0, 3), "src/a.py", "head")
    assert of("diagnostics", material()) == []


def test_the_conversation_comes_newest_first_and_old_messages_are_refused() -> None:
    talk = tuple(Turn("user" if at % 2 else "assistant", f"say {at}") for at in range(14))
    found = of("turn", material(conversation=talk))
    assert [item.id for item in found] == [f"turn:{at}" for at in range(13, -1, -1)]
    assert (found[0].text, found[0].reason, found[0].keep) == ("say 13", "user", "all")
    late = f"only the last {MOST_TURNS} messages are looked at"
    assert refusals("turn", material(conversation=talk)) == {"turn:1": late, "turn:0": late}


def test_a_message_that_cannot_fit_ends_the_conversation() -> None:
    talk = (Turn("user", "old"), Turn("assistant", "x" * 9_000), Turn("user", "new"))
    sent = material(conversation=talk)
    assert refusals("turn", sent, Budget(400, 0)) == {
        "turn:1": "no room in its share",
        "turn:0": "no room in its share",
    }


# ── for any material ─────────────────────────────────────────────────────────────────────────────

contents = st.lists(st.sampled_from(["x = 1\n", "\n", "값\r\n", "long " * 40 + "\n", "a\rb\n"]))
joined = contents.map("".join)


@st.composite
def materials(draw: st.DrawFn) -> Material:
    content = draw(joined)
    return material(
        content,
        draw(st.integers(0, content.count("\n"))),
        related=tuple(
            Related(draw(st.sampled_from(["b", "./b", "c", "src/a.py"])), draw(joined))
            for _ in range(draw(st.integers(0, 20)))
        ),
        rules=tuple(Rule("R", text) for text in draw(st.lists(joined, max_size=10))),
        diagnostics=tuple(Diagnostic(line, "e", "m") for line in draw(st.lists(st.integers(0, 9)))),
        conversation=tuple(Turn("user", text) for text in draw(st.lists(joined, max_size=15))),
    )


@given(materials(), st.integers(0, 4000))
def test_every_part_is_an_item_of_its_own_and_few_strings_are_counted(
    sent: Material, window: int
) -> None:
    items = candidates(sent, Budget(window, 0))
    parts = len(sent.related) + len(sent.rules) + len(sent.conversation)
    assert len(items) == 4 + parts + bool(sent.diagnostics)
    assert len({item.id for item in items}) == len(items)
    assert len(strings(items)) <= MOST_STRINGS
    assert all(item.refused == "" or (item.pieces, item.forms) == ((), ()) for item in items)


@given(materials(), st.integers(0, 4000))
def test_what_is_seen_and_unseen_of_the_file_is_all_there_is(sent: Material, window: int) -> None:
    for item in candidates(sent, Budget(window, 0)):
        if item.kind in ("before", "after"):
            assert item.range is not None
            start, end = item.range
            assert (
                item.text.count("\n")
                + (not item.text.endswith("\n") and item.text != "")
                + (item.unseen)
                == end - start
            )


@given(materials(), st.integers(0, 4000))
def test_little_more_is_counted_than_could_ever_fit(sent: Material, window: int) -> None:
    items = candidates(sent, Budget(window, 0))
    required = sum(len(item.text) for item in items if item.required)
    frames = sum(len(form.piece.frame) for item in items for form in item.forms)
    frames += sum(len(piece.frame) for item in items for piece in item.pieces)
    markers = 40 * len(strings(items))
    counted = sum(map(len, strings(items).values())) - required - frames - markers
    assert counted <= 2 * CHARS_PER_TOKEN * window


# ── rules hold for their folder ──────────────────────────────────────────────────────────────────


def test_an_agents_file_of_another_folder_does_not_hold() -> None:
    sent = (
        Rule("src/deep/AGENTS.md", "x\n"),
        Rule("AGENTS.md", "y\n"),
        Rule("src/AGENTS.md", "z\n"),
    )
    assert refusals("rule", material(rules=sent)) == {
        "rule:2:src/deep/AGENTS.md": "it is the AGENTS.md of another folder"
    }
    kept = [item.path for item in of("rule", material(rules=sent)) if not item.refused]
    assert kept == ["src/AGENTS.md", "AGENTS.md"], "nearest first, however they were sent"


def test_without_a_file_there_is_no_selection_and_nothing_around_it() -> None:
    sent = Material(NO_FILE, NO_FILE.whole, "why?", conversation=(Turn("user", "hi"),))
    assert [item.kind for item in candidates(sent, Budget(1000, 100))] == ["instruction", "turn"]


def rules_of(*sizes: int) -> Material:
    """An AGENTS.md for each folder down to the file, root first, in lines of 64 bytes."""
    row = "값" * 21 + "\n"
    paths = ["", "src/", "src/deep/", "src/deep/er/"]
    sent = tuple(
        Rule(f"{path}AGENTS.md", row * (size // 64))
        for path, size in zip(paths, sizes, strict=False)
    )
    file = source.read("src/deep/er/a.py", "x\n")
    return Material(file, file.whole, "go", rules=sent)


def test_the_chain_of_rules_has_32_kib_and_the_nearest_have_them_first() -> None:
    sent = rules_of(640, 6400, 30_080, 640)
    found = {item.path: item for item in of("rule", sent)}
    assert found["src/deep/er/AGENTS.md"].unseen == found["src/deep/AGENTS.md"].unseen == 0
    cut = found["src/AGENTS.md"]
    left = (MOST_RULE_BYTES - 30_080 - 640) // 64
    assert (cut.text.count("\n"), cut.unseen) == (left, 100 - left)
    assert cut.bound == "the 32768 bytes of all rules"
    why = "no line of it fits into the 32768 bytes of all rules, nearer ones first"
    assert refusals("rule", sent) == {"rule:0:AGENTS.md": why}


def test_rules_that_are_refused_anyway_take_nothing_of_the_chain() -> None:
    near = rules_of(640, 640)
    other = Rule("other/AGENTS.md", "x\n" * 20_000)
    sent = replace(near, rules=(*near.rules, other))
    assert list(refusals("rule", sent)) == ["rule:2:other/AGENTS.md"]


def test_rules_that_do_not_even_fit_their_share_say_that() -> None:
    sent = rules_of(64_000)
    (item,) = of("rule", sent, Budget(2000, 0))
    assert 0 < item.text.count("\n") < 512
    assert (item.bound, item.unseen) == ("", 1000 - item.text.count("\n"))
