"""The layout of prompt files: once is enough, and what a file means never changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.adapters.prompt_format import format_folder, formatted
from tests.adapters.prompt_folders import folder, prompt, write

SHIPPED = Path(__file__).parents[2] / "prompts"
MESSY = """\ufeff---\r
name: code/x
# what it is for
description: A prompt.
api: prompt/v1
version: "1.0.0"
inputs: {x: {type: text, trust: user}}
---

{%user%}
{{x|upper}} {%-if x-%}{{ x }}{%endif%}{# {{kept}} #}
{%raw%}{{kept}}{%endraw%}
{%enduser%}


"""
TIDY = """---
# yaml-language-server: $schema=../schema/prompt.schema.json
api: prompt/v1
name: code/x
version: "1.0.0"
# what it is for
description: A prompt.
inputs: {x: {type: text, trust: user}}
---
{% user %}
{{ x|upper }} {%- if x -%}{{ x }}{% endif %}{# {{kept}} #}
{%raw%}{{kept}}{%endraw%}
{% enduser %}
"""


def test_keys_spaces_and_line_ends_are_put_in_order() -> None:
    assert formatted("code/x.prompt.j2", MESSY) == TIDY


def test_a_second_time_changes_nothing() -> None:
    assert formatted("code/x.prompt.j2", TIDY) == TIDY


@pytest.mark.parametrize("file", sorted(SHIPPED.rglob("*.j2")), ids=lambda file: file.name)
def test_shipped_files_are_laid_out(file: Path) -> None:
    text = file.read_text("utf-8")

    assert formatted(file.relative_to(SHIPPED).as_posix(), text) == text


@pytest.mark.parametrize(
    "text",
    [
        "no front matter",
        "---\na: [\n---\n{%user%}x{%enduser%}\n",
        "---\nname: x\n---\n{%user%}\n",
        # A brace inside a string is text, not a tag.
        "---\nname: x\n---\n{%user%}{{ '{{x}}' }}{%enduser%}\n",
    ],
)
def test_what_cannot_be_read_or_would_change_stays(text: str) -> None:
    assert formatted("x.prompt.j2", text) == text


def test_blank_lines_of_a_partial_are_its_text() -> None:
    assert formatted("_partials/a.j2", "\n{{x}}\n\n") == "\n{{ x }}\n\n"


def test_a_folder_is_written_only_where_asked_and_not_its_history(tmp_path: Path) -> None:
    file = folder(tmp_path) / "code" / "x.prompt.j2"
    messy = prompt().replace("{{ code }}", "{{code}}")
    file.write_text(messy, "utf-8")
    kept = write(tmp_path, "_versions/code/x/000000000000/code/x.prompt.j2", messy)

    assert format_folder(tmp_path, write=False) == [file]
    assert file.read_text("utf-8") == messy
    assert format_folder(tmp_path, write=True) == [file]
    assert file.read_text("utf-8") == prompt()
    assert kept.read_text("utf-8") == messy
    assert format_folder(tmp_path, write=True) == []
