"""Reading a folder of prompts: every mistake in the front matter has its line, caret and fix."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from gateway.adapters.prompt_files import PromptProblem, read_folder
from gateway.domain.document import ConfigError, Problem

HEAD = """---
api: prompt/v1
name: a/b
version: "1.0.0"
description: A prompt.
{more}---
{{% user %}}
Hello
{{% enduser %}}
"""


def write(root: Path, text: str, path: str = "a/b.prompt.j2") -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")


def problems(root: Path) -> list[Problem]:
    return read_folder(root).problems


def the_one(root: Path) -> PromptProblem:
    found = problems(root)
    assert len(found) == 1, "\n".join(map(str, found))
    assert isinstance(found[0], PromptProblem)
    return found[0]


def test_a_sound_file_is_read_with_its_lines_kept(tmp_path: Path) -> None:
    write(tmp_path, HEAD.format(more=""))

    folder = read_folder(tmp_path)

    assert folder.problems == []
    source = folder.prompts["a/b"].source
    assert source.template.split("\n")[6] == source.text.split("\n")[6] == "{% user %}"
    assert source.template[:6] == "\n" * 6


def test_an_unknown_key_is_refused_with_its_line_a_caret_and_what_was_meant(
    tmp_path: Path,
) -> None:
    write(tmp_path, HEAD.format(more="inputs:\n  x: {type: text, trsut: user}\n"))

    found = next(p for p in problems(tmp_path) if getattr(p, "code", "") == "E101")

    assert isinstance(found, PromptProblem)
    assert (found.line, found.column) == (7, 19)
    assert str(found) == (
        f"{tmp_path}/a/b.prompt.j2:7:19: E101 unknown key 'inputs.x.trsut'\n"
        "    7 |   x: {type: text, trsut: user}\n"
        "      |                   ^^^^^\n"
        "    fix: did you mean 'trust'?"
    )


@pytest.mark.parametrize(
    ("more", "code", "line", "message"),
    [
        ("owner: [me]\n", "E101", 6, "unknown key 'owner'"),
        ("model: {params: {temprature: 1}}\n", "E101", 6, "unknown key 'model.params.temprature'"),
        ("inputs: {x: {type: txt, trust: user}}\n", "E102", 6, "inputs.x.type is not a type"),
        ("inputs:\n  x: {type: text}\n", "E102", 7, "inputs.x.trust is missing"),
        ("cache: {order: [x]}\n", "E101", 6, "there is no input 'x'"),
        ("description: twice\n", "E100", 6, "not valid YAML"),
        ("owners: [me\n", "E100", 7, "not valid YAML"),
        (
            "output: {protocol: tagged}\n",
            "E102",
            6,
            "or 'edits' and 'tag' go together",
        ),
        (
            "output:\n  protocol: json\n  schema:\n    type: objekt\n",
            "E102",
            9,
            "'output.schema.type' must be",
        ),
        (
            "tests:\n  - {name: t, inputs: {y: 1}}\n",
            "E101",
            7,
            "there is no input 'y'",
        ),
    ],
)
def test_each_mistake_has_its_code_and_line(
    tmp_path: Path, more: str, code: str, line: int, message: str
) -> None:
    write(tmp_path, HEAD.format(more=more))

    found = the_one(tmp_path)

    assert (found.code, found.line) == (code, line)
    assert message in found.message
    assert found.fix


@pytest.mark.parametrize("version", ["1.10", "1.0.0", "one", "'1.0'"])
def test_the_version_must_be_three_numbers_in_quotes(tmp_path: Path, version: str) -> None:
    write(tmp_path, HEAD.format(more="").replace('"1.0.0"', version))

    found = the_one(tmp_path)

    assert (found.code, found.line) == ("E102", 4)
    assert "quotes" in found.message
    assert found.fix == 'version: "1.0.0"'


def test_the_name_must_be_the_path(tmp_path: Path) -> None:
    write(tmp_path, HEAD.format(more=""), "a/c.prompt.j2")

    found = the_one(tmp_path)

    assert (found.code, found.line) == ("E102", 3)
    assert "write name: a/c" in found.fix


def test_each_input_stands_in_the_cache_order_once(tmp_path: Path) -> None:
    one = "{type: text, trust: user}"
    write(
        tmp_path,
        HEAD.format(more=f"inputs:\n  x: {one}\n  y: {one}\ncache:\n  order: [x, x]\n"),
    )

    found = [(p.line, p.message) for p in problems(tmp_path)]

    assert found == [(10, "'x' stands twice"), (10, "the input 'y' is missing from the order")]


@pytest.mark.parametrize("text", ["", "Hello", "--- \nHello", "{% user %}x{% enduser %}\n---\n"])
def test_a_file_without_front_matter_is_told_how_to_begin(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)

    found = the_one(tmp_path)

    assert found.code == "E100"
    assert 'begin with a line "---"' in found.fix


def test_empty_front_matter_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "---\n---\n")

    assert the_one(tmp_path).message == "the front matter has no keys"


def test_dashes_in_the_template_do_not_end_the_front_matter(tmp_path: Path) -> None:
    write(tmp_path, HEAD.format(more="").replace("Hello", "---\nHello"))

    assert "---\nHello" in read_folder(tmp_path).prompts["a/b"].source.template


def test_line_ends_and_a_byte_order_mark_do_not_matter(tmp_path: Path) -> None:
    write(tmp_path, "")
    text = "\ufeff" + HEAD.format(more="").replace("\n", "\r\n")
    (tmp_path / "a/b.prompt.j2").write_bytes(text.encode())

    folder = read_folder(tmp_path)

    assert folder.problems == []
    assert "\r" not in folder.prompts["a/b"].source.text


def test_a_file_that_is_not_utf8_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "x.j2").write_bytes(b"\xff\xfe")

    assert "cannot be read: it is not UTF-8" in str(problems(tmp_path)[0])


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    outside = tmp_path / "secret.j2"
    outside.write_text("secret")
    root = tmp_path / "prompts"
    write(root, HEAD.format(more=""))
    os.symlink(outside, root / "leak.j2")

    folder = read_folder(root)

    assert "leads out" in folder.problems[0].message
    assert folder.partials == {}


def test_a_linked_folder_is_not_walked(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere", "secret", "x.j2")
    root = tmp_path / "prompts"
    write(root, HEAD.format(more=""))
    os.symlink(tmp_path / "elsewhere", root / "inside")

    assert read_folder(root).partials == {}


def test_the_copies_of_a_mounted_config_map_are_not_read_twice(tmp_path: Path) -> None:
    write(tmp_path, HEAD.format(more=""), "..2026_01_01/a/b.prompt.j2")
    os.symlink("..2026_01_01", tmp_path / "..data")
    os.symlink("..data/a", tmp_path / "a")
    (tmp_path / "b.prompt.j2").symlink_to(tmp_path / "..data/a/b.prompt.j2")

    assert [p.message for p in problems(tmp_path)] == ["the name 'a/b' is not the file's path"]


def test_no_folder_and_no_prompts_say_which_option_to_use(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape("--prompts DIR")):
        read_folder(tmp_path / "none")

    assert "no file *.prompt.j2" in problems(tmp_path)[0].message


def test_all_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    write(tmp_path, HEAD.format(more="owner: me\nmodle: {}\n"))
    write(tmp_path, "", "a/c.prompt.j2")

    assert [problem.line for problem in problems(tmp_path)] == [6, 7, 1]
