"""The file around the selection: what matters goes in first, and every gap is marked."""

from __future__ import annotations

from gateway.domain import columns, source, window
from gateway.domain.item import CHARS_PER_TOKEN, MARKER, Item, Part, strings
from gateway.domain.material import Material
from gateway.domain.source import Position, Selection
from gateway.domain.structure import Definition, Structure, size
from gateway.domain.window import MOST_PIECES, windows

AMPLE = (10**9, 10**9)
NOTHING = Structure()


def material(content: str, at: int) -> Material:
    file = source.read("src/a.py", content)
    return Material(file, file.span(Selection(Position(at, 0), Position(at, 0))), "go")


def rows(count: int) -> str:
    return "".join(f"row {number}\n" for number in range(count))


def tokens(item: Item) -> dict[str, int]:
    return {key: len(text) for key, text in strings([item]).items()}


def cut(item: Item, room: int) -> Part | None:
    return window.cut(item, tokens(item), room)


def test_the_file_is_cut_into_pieces_that_double_from_the_selection_on() -> None:
    before, after = windows(material(rows(100), 70), NOTHING, AMPLE)
    assert [size(piece.runs) for piece in before.pieces] == [8, 16, 32, 14]
    assert before.pieces[0].runs == ((62, 70),)
    assert (before.range, before.unseen) == ((0, 70), 0)
    assert [size(piece.runs) for piece in after.pieces] == [8, 16, 5]
    assert after.range == (71, 100)


def test_the_last_piece_takes_all_the_rest() -> None:
    _, after = windows(material(rows(200_000), 0), NOTHING, AMPLE)
    assert len(after.pieces) <= MOST_PIECES
    assert after.pieces[-1].runs[-1][1] == 200_000


def test_what_is_too_far_away_is_unseen_but_in_the_range() -> None:
    before, _ = windows(material(rows(1000), 900), NOTHING, (400, 400))
    seen = before.text.count("\n")
    assert 0 < seen < 900
    assert (before.range, before.unseen) == ((0, 900), 900 - seen)
    assert len(before.text) <= CHARS_PER_TOKEN * 80


def test_a_side_without_text_or_without_room_says_so() -> None:
    before, after = windows(material("a\n", 0), NOTHING, AMPLE)
    assert (before.refused, after.refused) == ("nothing is there", "nothing is there")
    before, _ = windows(material(f"{'x' * 900}\nb\n", 1), NOTHING, (20, 20))
    assert (before.refused, before.pieces, before.unseen) == ("no room in its share", (), 1)


def test_only_line_feeds_count_as_lines() -> None:
    before, _ = windows(material("a\rb\u2028c\x0c\r\nd\n", 2), NOTHING, AMPLE)
    assert (before.text, before.range) == ("a\rb\u2028c\x0c\r\n", (0, 1))


# ── with a structure ─────────────────────────────────────────────────────────────────────────────

CONTENT = "".join(
    [
        "import os\n",
        *(f"# far {number}\n" for number in range(1, 20)),
        "class Cart:\n",  # 20
        *(f"    # between {number}\n" for number in range(21, 200)),
        "    def total(self):\n",  # 200
        *(f"        step {number}\n" for number in range(201, 300)),
        "        use(helper)\n",  # 300
        *(f"        step {number}\n" for number in range(301, 400)),
        "def helper():\n",  # 400
        "    return 1\n",
        "def other():\n",  # 402
        *(f"    deep {number}\n" for number in range(403, 500)),
    ]
)
FOUND = Structure(
    (
        Definition("Cart", 20, 400, (21, 400), scope=True),
        Definition("total", 200, 400, (201, 400)),
        Definition("helper", 400, 402, (401, 402)),
        Definition("other", 402, 500, (403, 500)),
    ),
    ((0, 1),),
    "syntax",
)


def test_headers_around_the_selection_and_imports_come_before_lines_that_are_near() -> None:
    before, _ = windows(material(CONTENT, 300), FOUND, AMPLE)
    assert [piece.runs for piece in before.pieces][:3] == [
        ((20, 21), (200, 201)),
        ((0, 1),),
        ((292, 300),),
    ]
    part = cut(before, 450)
    assert part is not None
    text = part.text.splitlines()
    assert text[:6] == [
        "import os",
        "[... 19 lines not shown ...]",
        "class Cart:",
        "[... 179 lines not shown ...]",
        "    def total(self):",
        f"[... {299 - 201 - len(text) + 7} lines not shown ...]",
    ]
    assert text[-1] == "        step 299"
    assert part.state == "trimmed"
    assert part.why == f"{part.lines} of 300 lines fit into its share"


def test_what_the_selection_uses_comes_before_the_outline_of_the_rest() -> None:
    _, after = windows(material(CONTENT, 300), FOUND, AMPLE)
    order = [piece.runs for piece in after.pieces]
    assert ((400, 402),) in order
    assert order.index(((400, 402),)) < order.index(((402, 403),))
    part = cut(after, 1300)
    assert part is not None
    assert "def helper():\n    return 1\ndef other():\n[... 97 lines not shown ...]\n" in part.text


def test_what_is_taken_never_costs_more_than_the_room() -> None:
    for item in windows(material(CONTENT, 300), FOUND, AMPLE):
        for room in range(0, 9000, 37):
            part = cut(item, room)
            if part is not None:
                assert part.tokens <= room
                # Each character is a token here; the marker is counted at its longest.
                assert len(part.text) <= part.tokens


def test_with_room_for_all_of_it_the_text_is_the_file() -> None:
    before, after = windows(material(CONTENT, 300), FOUND, AMPLE)
    parts = cut(before, 10**6), cut(after, 10**6)
    assert parts[0] is not None
    assert parts[1] is not None
    assert parts[0].text + "        use(helper)\n" + parts[1].text == CONTENT
    assert parts[0].state == parts[1].state == "included"


def test_a_line_that_only_a_machine_writes_is_shown_in_part_and_told() -> None:
    before, _ = windows(material(f"{'x' * 9000}\nb\n", 1), NOTHING, AMPLE)
    part = cut(before, 10**6)
    assert part is not None
    assert (part.state, part.why) == ("trimmed", "1 lines are too long to be shown whole")
    assert "[... 8000 characters not shown ...]" in part.text


def test_the_marker_is_paid_for() -> None:
    before, _ = windows(material(CONTENT, 300), FOUND, AMPLE)
    counts = tokens(before)
    cheap = window.cut(before, counts, 2000)
    dear = window.cut(before, counts | {MARKER: 300}, 2000)
    assert cheap is not None
    assert dear is not None
    assert dear.lines < cheap.lines


def long_line(at: int, to: int, *, rows: str = "above\n", below: str = "below\n") -> Material:
    """Columns `at:to` of a line of 6000 characters are selected."""
    line = "".join(f"{number:05};" for number in range(1000))
    file = source.read("src/a.js", f"{rows}{line}\n{below}")
    here = rows.count("\n")
    return Material(file, columns.span(file, Selection(Position(here, at), Position(here, to))), "")


def test_beside_a_selection_in_a_long_line_stands_what_is_next_to_it() -> None:
    sent = long_line(3000, 3012)
    before, after = windows(sent, NOTHING, AMPLE)
    assert sent.selected == "00500;00501;"
    assert (
        before.text
        == "above\n[... 2000 characters not shown ...]"
        + "".join(f"{number:05};" for number in range(500))[-1000:]
    )
    assert after.text.startswith("00502;00503;")
    assert after.text.endswith(";0066[... 1988 characters not shown ...]\nbelow\n")
    assert (before.range, after.range) == ((0, 2), (1, 3))
    assert (before.clipped, after.clipped) == (1, 1)
    part = cut(after, 10_000)
    assert part
    assert (part.state, part.why) == (
        "trimmed",
        "1 lines are too long to be shown whole",
    )
    assert part.tokens >= len(after.text), "the marker is paid for"


def test_a_short_rest_of_a_long_line_is_shown_whole() -> None:
    before, after = windows(long_line(12, 5994, rows=""), NOTHING, AMPLE)
    assert (before.text, before.clipped) == ("00000;00001;", 0)
    assert (after.text, after.clipped) == ("00999;\nbelow\n", 0)
    before, after = windows(long_line(0, 5994, rows="", below=""), NOTHING, AMPLE)
    assert (before.refused, after.text) == ("nothing is there", "00999;\n")


def test_without_room_for_the_columns_the_line_is_one_that_is_not_shown() -> None:
    before, _ = windows(long_line(3000, 3012), NOTHING, (500, 500))
    assert before.refused == "no room in its share"
