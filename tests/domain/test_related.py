"""Other files: who comes first, in which form, and what one more of them changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import related, source
from gateway.domain.item import Item, Part, strings
from gateway.domain.material import Material, Related, Survey
from gateway.domain.related import MOST_READ, MOST_RELATED
from gateway.domain.source import Position, Selection
from gateway.domain.structure import Definition, Structure

LOAD = (
    "import db\ndef load_user(id):\n    a\n    b\n    return db\ndef drop():\n    c\n    d\n    e\n"
)
LOADS = Structure(
    (Definition("load_user", 1, 5, (2, 5)), Definition("drop", 5, 9, (6, 9))), ((0, 1),), "syntax"
)
AMPLE = 10**9


def material(*sent: Related, selected: str = "x = load_user(7)\n") -> Material:
    file = source.read("src/a.py", f"a\n{selected}c\n")
    span = file.span(Selection(Position(1, 0), Position(1, 0)))
    return Material(file, span, "go", related=sent)


def items(
    *sent: Related,
    found: tuple[Structure, ...] = (),
    places: dict[str, int] | None = None,
    room: int = AMPLE,
) -> list[Item]:
    return related.related(material(*sent), Survey(related=found, places=places or {}), room)


def pack(found: list[Item], room: int) -> dict[str, Part]:
    kept = [item for item in found if not item.refused]
    counts = {key: len(text) for key, text in strings(found).items()}
    return {part.path: part for part in related.pack(kept, counts, room)}


def paths(found: list[Item]) -> list[str]:
    return [item.path for item in found]


def py(path: str, content: str = "x\n", reason: str = "open", **more: object) -> Related:
    return Related(path, content, reason, language="python", **more)  # type: ignore[arg-type]


# ── who comes first ──────────────────────────────────────────────────────────────────────────────


def test_the_order_is_attached_definition_declaration_open_import_edit() -> None:
    reasons = ("edit", "import", "open", "declaration", "definition", "attached")
    found = items(*(Related(f"{why}.py", "x\n", why) for why in reasons))
    assert paths(found) == [f"{why}.py" for why in reversed(reasons)]
    assert {item.kind for item in found} == {"related", "declaration", "edit"}


def test_a_file_whose_names_the_selection_uses_comes_before_others_and_says_why() -> None:
    found = items(py("a.py"), py("z.py", LOAD, "import"), found=(Structure(), LOADS))
    assert paths(found) == ["z.py", "a.py"]
    assert found[0].reason == "import; referenced: load_user"


def test_a_declaration_that_the_selection_names_comes_before_others() -> None:
    one, other = (
        py(f"{name}.pyi", "x\n", "declaration", name=name) for name in ("no", "load_user")
    )
    assert paths(items(one, other)) == ["load_user.pyi", "no.pyi"]


def test_words_of_a_configuration_are_no_references() -> None:
    sent = Related("z.json", LOAD, "open", language="json")
    assert items(sent, found=(LOADS,))[0].reason == "open"


def test_open_files_that_have_the_names_of_the_selection_come_before_others() -> None:
    calls = py("z.py", "def main():\n    return load_user(1)\n")
    other = py("a.py", "def main():\n    return drop(1)\n")
    assert paths(items(other, calls)) == ["z.py", "a.py"]
    assert paths(items(calls, py("b.py", LOAD), found=(Structure(), LOADS))) == ["b.py", "z.py"]
    unread = py("z.py", "x\n" * MOST_READ + calls.content)
    assert paths(items(other, unread)) == ["a.py", "z.py"]


def test_only_open_files_are_ranked_by_what_they_have_in_common() -> None:
    sent = [py(f"{name}.py", "load_user(1)\n" * at, "import") for at, name in enumerate("ab", 1)]
    assert paths(items(*sent)) == ["a.py", "b.py"]
    later = py("c.py", "load_user(1)\n" * 9, "edit")
    assert paths(items(later, py("d.py"), py("e.py", "load_user()\n"))) == ["e.py", "d.py", "c.py"]


def test_equals_stand_in_the_order_of_their_paths() -> None:
    assert paths(items(py("c.py"), py("a.py"), py("b.py"))) == ["a.py", "b.py", "c.py"]


# ── what is no candidate ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["src/a.py", "/src/a.py", "./src/a.py", "src//a.py", "src/./a.py"])
def test_the_file_itself_is_not_related_however_its_path_is_written(path: str) -> None:
    (item,) = items(py(path))
    assert (item.id, item.refused) == ("related:src/a.py#0", "the same file is there already")


def test_each_path_is_taken_once_an_empty_file_not_at_all_and_a_refused_one_says_why() -> None:
    found = items(
        py("b.py"), py("/b.py"), py("c.py", " \r\n\t"), py("d.py", refused="denied by '*.py'")
    )
    assert sorted(item.refused for item in found) == [
        "",
        "denied by '*.py'",
        "it is empty",
        "the same file is there already",
    ]
    assert len({item.id for item in found}) == 4


def test_only_so_many_are_looked_at_and_refused_ones_do_not_count() -> None:
    found = items(py("a.py", ""), *(py(f"b{at:02}.py") for at in range(MOST_RELATED + 1)))
    refused = {item.path: item.refused for item in found if item.refused}
    assert refused == {
        "a.py": "it is empty",
        f"b{MOST_RELATED}.py": f"only {MOST_RELATED} related files are looked at",
    }


# ── in which form ────────────────────────────────────────────────────────────────────────────────

LONG = "import db\n" + "".join(
    f"def {name}(id):\n" + "    step(1)\n" * 40 for name in ("load_user", "drop", "keep")
)
OF_LONG = Structure(
    tuple(
        Definition(name, 1 + 41 * at, 42 + 41 * at, (2 + 41 * at, 42 + 41 * at))
        for at, name in enumerate(("load_user", "drop", "keep"))
    ),
    origin="syntax",
)


def test_a_file_goes_in_whole_or_as_less_and_less_of_it() -> None:
    found = items(py("b.py", LONG), found=(OF_LONG,))
    forms = [(form.state, form.why) for form in found[0].forms]
    assert forms == [
        ("included", ""),
        ("outlined", "44 of 124 lines; bodies are left out"),
        ("outlined", "4 of 124 lines; bodies are left out"),
    ]
    assert found[0].forms[1].piece.text.count("    step(1)\n") == 40
    states = {room: pack(found, room)["b.py"].state for room in (5000, 800, 320, 150)}
    assert states == {5000: "included", 800: "outlined", 320: "outlined", 150: "trimmed"}


def test_ranges_of_the_client_go_in_whole_with_an_outline_or_alone() -> None:
    found = items(py("b.py", LONG, ranges=((50, 54), (2, 3))), found=(OF_LONG,))
    states = [form.state for form in found[0].forms]
    assert states == ["ranges", "ranges"]
    assert found[0].forms[1].piece.runs == ((2, 3), (50, 54))


def test_an_attached_file_may_take_all_of_the_room() -> None:
    sent = [py("a.py", "x" * 99 + "\n", "attached"), py("b.py", "y" * 39 + "\n")]
    found = items(*sent)
    assert pack(found, 200)["a.py"].state == "included"


def test_one_file_takes_half_of_the_room_at_most_until_each_has_had_its_turn() -> None:
    found = items(py("a.py", LONG), py("b.py", "y" * 1200 + "\n"), found=(OF_LONG,))
    parts = pack(found, 2000)
    assert (parts["a.py"].state, parts["b.py"].state) == ("outlined", "included")


def test_what_is_left_makes_files_fuller_by_rank() -> None:
    found = items(py("b.py", LONG), found=(OF_LONG,))
    assert pack(found, 1900)["b.py"].state == "included", "more than half of the room, and alone"


def test_a_cut_file_shows_its_head_and_says_how_much() -> None:
    found = items(py("b.txt", "word word\n" * 500))
    part = pack(found, 400)["b.txt"]
    assert part.state == "trimmed"
    assert part.tokens <= 400
    assert part.text.endswith(f"[... {500 - part.lines} lines not shown ...]\n")
    assert part.why == f"{part.lines} of 500 lines fit into its share"


# ── sessions ─────────────────────────────────────────────────────────────────────────────────────


def test_a_file_of_the_last_prompt_keeps_its_place_when_it_has_not_fallen_far() -> None:
    sent = [py(f"{name}.py") for name in "abcde"]
    assert paths(items(*sent, places={"d.py": 0})) == [f"{name}.py" for name in "dabce"]
    assert paths(items(*sent, places={"e.py": 0})) == [f"{name}.py" for name in "abcde"]


def test_the_same_files_asked_about_again_stand_as_before() -> None:
    sent = [py(f"{name}.py") for name in "abcde"]
    first = items(*sent)
    places = {item.path: item.rank for item in first if item.path != "b.py"}
    assert paths(items(*sent, places=places)) == paths(first)


def test_what_the_user_attached_is_not_overtaken() -> None:
    sent = [py("z.py", reason="attached"), py("b.py")]
    assert paths(items(*sent, places={"b.py": 0})) == ["z.py", "b.py"]


# ── for any files ────────────────────────────────────────────────────────────────────────────────

words = st.sampled_from(["x = 1\n", "load_user()\n", "long line of words\n" * 9, "\n"])
contents = st.lists(words, min_size=1, max_size=60).map("".join)
files = st.lists(
    st.tuples(contents, st.sampled_from(["attached", "definition", "open", "import", "edit"])),
    min_size=1,
    max_size=12,
)


@given(files, contents, st.integers(100, 20_000))
def test_one_more_file_of_a_low_rank_removes_none_of_a_higher_rank(
    sent: list[tuple[str, str]], more: str, room: int
) -> None:
    known = [py(f"{at:02}.py", content, why) for at, (content, why) in enumerate(sent)]
    fewer = pack(items(*known, room=5 * room), room)
    found = items(*known, py("zz.py", more, "edit"), room=5 * room)
    assert found[-1].path == "zz.py"
    assert set(fewer) <= set(pack(found, room))


@given(files, st.integers(0, 20_000))
def test_parts_never_cost_more_than_the_room(sent: list[tuple[str, str]], room: int) -> None:
    known = [py(f"{at:02}.py", content, why) for at, (content, why) in enumerate(sent)]
    found = pack(items(*known), room)
    assert sum(part.tokens for part in found.values()) <= room
    assert sum(len(part.text) for part in found.values()) <= room


@given(files, st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_the_order_sent(
    sent: list[tuple[str, str]], chance: object
) -> None:
    known = [py(f"{at:02}.py", content, why) for at, (content, why) in enumerate(sent)]
    mixed = known[:]
    chance.shuffle(mixed)  # type: ignore[attr-defined]
    assert paths(items(*known)) == paths(items(*mixed))
