"""What an edit changes: files, messages, tokens, and whether a server's cache still helps."""

from __future__ import annotations

from pathlib import Path

from gateway.adapters.prompt_bundle import Bundle, bundles
from gateway.adapters.prompt_diff import PromptDiff, compared
from gateway.adapters.prompt_files import read_folder
from tests.adapters.prompt_folders import BODY, KOREAN, folder, write


def bundle(root: Path) -> Bundle:
    return bundles(read_folder(root))[0]["code/x"]


def edit(root: Path, old: str, new: str) -> PromptDiff:
    was = bundle(folder(root))
    folder(root, body=BODY.replace(old, new))
    return compared(was, bundle(root), len)


def test_an_edit_of_the_stable_part_breaks_the_prefix(tmp_path: Path) -> None:
    found = edit(tmp_path, "You read code.", "You know code well.")

    [one] = found.renderings
    assert "-You read code.\n+You know code well.\n" in found.files
    assert "+You know code well." in one.diff
    assert one.after - one.before == len("You know code well.") - len("You read code.")
    assert not one.keeps
    assert one.same_chars < one.prefix_chars


def test_an_edit_behind_the_last_input_keeps_it(tmp_path: Path) -> None:
    [one] = edit(tmp_path, "{{ ask }}", "{{ ask }} Now.").renderings

    assert one.keeps
    assert one.same_chars == one.prefix_chars


def test_no_edit_is_no_difference(tmp_path: Path) -> None:
    found = edit(tmp_path, "x", "x")

    assert (found.files, found.before) == ("", found.after)
    assert [(one.diff, one.keeps) for one in found.renderings] == [("", True)]


def test_each_language_is_compared_with_itself(tmp_path: Path) -> None:
    write(folder(tmp_path), "code/x.ko.prompt.j2", KOREAN)
    was = bundle(tmp_path)
    write(tmp_path, "code/x.ko.prompt.j2", KOREAN.replace("설명하세요", "설명해"))

    found = compared(was, bundle(tmp_path), len)

    assert [(one.locale, bool(one.diff)) for one in found.renderings] == [("", False), ("ko", True)]
    assert found.as_dict()["renderings"][1]["test"] == "한국어"


def test_a_new_prompt_is_all_new(tmp_path: Path) -> None:
    found = compared(None, bundle(folder(tmp_path)), len)

    assert (found.before, found.renderings) == ("nothing", ())
    assert "+You read code." in found.files


def test_a_test_that_the_old_text_cannot_render_is_told(tmp_path: Path) -> None:
    was = bundle(folder(tmp_path))
    head = (tmp_path / "code" / "x.prompt.j2").read_text("utf-8")
    write(
        tmp_path,
        "code/x.prompt.j2",
        head.replace("code: {type: text", "code: {type: integer")
        .replace('untrusted, default: ""', "untrusted, default: 1")
        .replace("code: CODE", "code: 7"),
    )

    [one] = compared(was, bundle(tmp_path), len).renderings

    assert "must be text" in one.fault
