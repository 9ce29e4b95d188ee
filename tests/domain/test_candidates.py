"""Candidates: every part that was sent, near things first, in few and short pieces to count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import lines, source
from gateway.domain.budget import Budget
from gateway.domain.candidates import (
    CHARS_PER_TOKEN,
    MARKER,
    MOST_PIECES,
    MOST_RELATED,
    MOST_RULES,
    MOST_TURNS,
    Item,
    Piece,
    candidates,
    marker,
    strings,
    tiers,
)
from gateway.domain.material import Diagnostic, Material, Related, Rule, Turn
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


# ── an item and its strings ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("keep", "text"), [("all", "1\n2\n"), ("head", "1\n2\n")])
def test_the_text_of_an_item_is_its_pieces_in_reading_order(keep: str, text: str) -> None:
    pieces = (Piece("x", "1\n", "<frame>"), Piece("y", "2\n"))
    assert Item("i", "turn", pieces=pieces, keep=keep).text == text  # type: ignore[arg-type]


def test_an_item_that_keeps_its_tail_has_the_nearest_piece_first() -> None:
    pieces = (Piece("near", "9\n"), Piece("far", "7\n8\n"))
    assert Item("before", "before", pieces=pieces, keep="tail").text == "7\n8\n9\n"


def test_a_string_is_counted_with_the_frame_that_a_template_puts_around_it() -> None:
    item = Item("i", "related", pieces=(Piece("p", "text", "<frame>"), Piece("q", "more")))
    assert strings([item]) == {
        MARKER: marker(999_999),
        "p": "<frame>text",
        "q": "more",
    }


def test_no_marker_is_longer_than_the_one_that_is_counted() -> None:
    assert marker(12) == "[... 12 lines not shown ...]\n"
    assert len(marker(999_999)) == len(strings([])[MARKER])


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
    assert (chosen.path, chosen.range, chosen.keep) == ("src/a.py", (1, 2), "all")


# ── the file around the selection ────────────────────────────────────────────────────────────────


def test_the_file_is_cut_into_pieces_that_double_from_the_selection_on() -> None:
    content = rows(100)
    (before,) = of("before", material(content, 70))
    sizes = [piece.text.count("\n") for piece in before.pieces]
    assert sizes == [8, 16, 32, 14]
    assert before.pieces[0].text == "".join(f"row {number}\n" for number in range(62, 70))
    assert before.text == "".join(f"row {number}\n" for number in range(70))
    assert (before.range, before.keep, before.unseen) == ((0, 70), "tail", 0)
    (after,) = of("after", material(content, 70))
    assert [piece.text.count("\n") for piece in after.pieces] == [8, 16, 5]
    assert after.text == "".join(f"row {number}\n" for number in range(71, 100))
    assert (after.range, after.keep, after.unseen) == ((71, 100), "head", 0)


def test_the_last_piece_takes_all_the_rest() -> None:
    (after,) = of("after", material(rows(20_000), 0))
    assert len(after.pieces) == MOST_PIECES
    assert [piece.key for piece in after.pieces] == [f"after#{at}" for at in range(MOST_PIECES)]
    assert after.pieces[-1].text.endswith("row 19999\n")
    assert after.pieces[-2].text.count("\n") == 8 * 2**8


def test_what_is_too_far_away_is_unseen_but_in_the_range() -> None:
    (before,) = of("before", material(rows(1000, "x"), 900), Budget(100, 20))
    seen = before.text.count("\n")
    assert 0 < seen < 900
    assert (before.range, before.unseen) == ((0, 900), 900 - seen)
    assert before.text.endswith("x 899\n")
    assert len(before.text) <= CHARS_PER_TOKEN * 80


def test_what_one_side_does_not_need_the_other_may_have() -> None:
    (below,) = of("after", material(rows(1000), 0), Budget(100, 0))
    (both,) = of("after", material(rows(1000), 500), Budget(100, 0))
    assert len(below.text) > 1.8 * len(both.text)


def test_a_side_without_text_or_without_room_says_so() -> None:
    alone = material("a\n", 0)
    assert refusals("before", alone) == {"before": "nothing is there"}
    assert refusals("after", alone) == {"after": "nothing is there"}
    wide = material(f"{'x' * 900}\nb\nc\n", 1)
    assert refusals("before", wide, Budget(20, 0)) == {"before": "no room in its share"}
    (before,) = of("before", wide, Budget(20, 0))
    assert (before.pieces, before.unseen) == ((), 1)


def test_only_line_feeds_count_as_lines() -> None:
    (before,) = of("before", material("a\rb\u2028c\x0c\r\nd\n", 2))
    assert (before.text, before.range) == ("a\rb\u2028c\x0c\r\n", (0, 1))


# ── related files ────────────────────────────────────────────────────────────────────────────────


def test_files_that_the_user_attached_come_first_then_definitions_and_imports() -> None:
    given_reasons = ("open", "import", "attached", "definition", "other", "attached")
    sent = tuple(Related(f"{at}.py", "x\n", why) for at, why in enumerate(given_reasons))
    found = of("related", material(related=sent))
    assert [(item.path, item.reason) for item in found] == [
        ("2.py", "attached"),
        ("5.py", "attached"),
        ("3.py", "definition"),
        ("1.py", "import"),
        ("0.py", "open"),
        ("4.py", "other"),
    ]
    assert [item.id for item in found][:2] == ["related:2.py", "related:5.py"]


def test_a_related_file_has_its_frame_and_keeps_its_head() -> None:
    (item,) = of("related", material(related=(Related("b.py", "x\ny", "import"),)))
    assert (item.keep, item.range, item.text) == ("head", (0, 2), "x\ny")
    assert item.pieces[0].frame == '<context path="b.py" reason="import">\n\n</context>\n'


@pytest.mark.parametrize("path", ["src/a.py", "/src/a.py", "./src/a.py", "src//a.py", "src/./a.py"])
def test_the_file_itself_is_not_related_however_its_path_is_written(path: str) -> None:
    sent = material(related=(Related(path, "x\n"),))
    assert refusals("related", sent) == {"related:src/a.py#0": "the same file is there already"}


def test_each_path_is_taken_once_and_an_empty_file_not_at_all() -> None:
    sent = material(
        related=(
            Related("b.py", "1\n"),
            Related("/b.py", "2\n"),
            Related("c.py", " \r\n\t"),
            Related("d.py", "3\n"),
        )
    )
    assert refusals("related", sent) == {
        "related:b.py#1": "the same file is there already",
        "related:c.py": "it is empty",
    }
    assert [item.text for item in of("related", sent) if not item.refused] == ["1\n", "3\n"]


def test_only_so_many_related_files_are_looked_at_and_refused_ones_do_not_count() -> None:
    empty = Related("empty.py", "", "attached")
    sent = tuple(Related(f"{at}.py", "x\n") for at in range(MOST_RELATED + 1))
    assert refusals("related", material(related=(empty, *sent))) == {
        "related:empty.py": "it is empty",
        f"related:{MOST_RELATED}.py": f"only {MOST_RELATED} related files are looked at",
    }


# ── rules, diagnostics, the conversation ─────────────────────────────────────────────────────────


def test_rules_come_nearest_first_and_far_ones_are_refused() -> None:
    sent = tuple(Rule(f"{at}/AGENTS.md", " \r\n" if at == 5 else "be kind\n") for at in range(10))
    found = of("rule", material(rules=sent))
    assert [item.id for item in found][:2] == ["rule:9:9/AGENTS.md", "rule:8:8/AGENTS.md"]
    late = f"only the nearest {MOST_RULES} files of rules are looked at"
    assert refusals("rule", material(rules=sent)) == {
        "rule:5:5/AGENTS.md": "it is empty",
        "rule:1:1/AGENTS.md": late,
        "rule:0:0/AGENTS.md": late,
    }
    assert found[0].pieces[0].frame == '<rules path="9/AGENTS.md">\n</rules>\n'


def test_two_files_of_rules_at_one_path_are_two() -> None:
    sent = material(rules=(Rule("AGENTS.md", "a\n"), Rule("AGENTS.md", "b\n")))
    assert [item.text for item in of("rule", sent)] == ["b\n", "a\n"]
    assert len({item.id for item in of("rule", sent)}) == 2


def test_diagnostics_are_one_item_of_a_line_each_nearest_first() -> None:
    said = tuple(Diagnostic(line, "error", f"bad {line}") for line in (2, 0, 1))
    (item,) = of("diagnostics", material(diagnostics=said))
    assert item.text == "line 2 error: bad 1\nline 3 error: bad 2\nline 1 error: bad 0\n"
    assert (item.range, item.path, item.keep) == (None, "src/a.py", "head")
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


# ── the first cut ────────────────────────────────────────────────────────────────────────────────


def test_a_long_file_is_cut_at_a_line_before_anything_is_counted() -> None:
    sent = material(related=(Related("b.py", rows(5000)),))
    (item,) = of("related", sent, Budget(200, 0))
    kept = item.text.count("\n")
    assert item.text == rows(kept)
    assert (item.range, item.unseen) == ((0, 5000), 5000 - kept)
    assert len(item.text) <= CHARS_PER_TOKEN * 200


def test_a_file_whose_first_line_has_no_room_is_refused() -> None:
    sent = material(related=(Related("b.min.js", "x" * 50_000),))
    assert refusals("related", sent, Budget(200, 0)) == {"related:b.min.js": "no room in its share"}


def test_attached_files_take_before_others_do() -> None:
    sent = material(
        related=(Related("b.py", rows(400), "open"), Related("c.py", rows(400), "attached"))
    )
    attached, other = of("related", sent, Budget(1000, 0))
    assert (attached.path, attached.unseen) == ("c.py", 0)
    assert other.unseen > 0


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("related", [["b", "d"], ["a", "c"]]),
        ("rules", [["a"], ["b"], ["c"], ["d"]]),
        ("history", [["a"], ["b"], ["c"], ["d"]]),
    ],
)
def test_attached_files_are_a_tier_and_rules_and_messages_go_one_by_one(
    name: str, found: list[list[str]]
) -> None:
    group = [
        Item(item, "related", reason="attached" if item in "bd" else "open") for item in "abcd"
    ]
    assert [[item.id for item in tier] for tier in tiers(name, group)] == found


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
    counted = strings(items)
    assert len(counted) == 1 + sum(len(item.pieces) for item in items) <= 60
    assert all(item.refused == "" or item.pieces == () for item in items)


@given(materials(), st.integers(0, 4000))
def test_what_is_seen_and_unseen_is_all_there_is(sent: Material, window: int) -> None:
    for item in candidates(sent, Budget(window, 0)):
        if item.kind in ("before", "after"):
            assert item.range is not None
            start, end = item.range
            assert len(lines.split(item.text)) + item.unseen == end - start
            side = sent.file.before(sent.span), sent.file.after(sent.span)
            assert side[0].endswith(item.text) if item.kind == "before" else True
            assert side[1].startswith(item.text) if item.kind == "after" else True
        elif item.kind == "related" and not item.refused:
            assert item.range == (0, len(lines.split(item.text)) + item.unseen)


@given(materials(), st.integers(0, 4000))
def test_no_more_is_counted_than_could_ever_fit(sent: Material, window: int) -> None:
    items = candidates(sent, Budget(window, 0))
    optional = sum(len(item.text) for item in items if not item.required)
    assert optional <= CHARS_PER_TOKEN * window
