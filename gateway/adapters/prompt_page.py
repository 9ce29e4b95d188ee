"""docs/reference/prompt-files.md, made of the schema of the front matter and the lint codes."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from gateway.adapters.prompt_front import PARTS, FrontMatter

CODES = {
    "E100": "the front matter is no YAML",
    "E101": "an unknown key or name",
    "E102": "a value that may not stand there",
    "E103": "the template's syntax",
    "E110": "a variable that no input declares",
    "E111": "a missing partial, text of a variant or default language",
    "E112": "includes in a circle, or more than five inside each other",
    "E120": "a call",
    "E121": "a name with an underscore, or an item by a computed name",
    "E122": "arithmetic other than + and - with a whole number",
    "E123": "a tag, filter or test that is not allowed",
    "E130": "text outside a message, or a message in a wrong place",
    "E131": "a control token of a chat template",
    "E140": "a test that does not hold",
    "E150": "another text under a version that was promoted",
    "E151": "a label or kept text that is not what it was",
    "W210": "an input that nothing uses",
    "W220": "an untrusted input in the system message",
    "W230": "something that changes often before something that does not",
    "W240": "a test with more tokens than its `max_tokens`",
    "W250": "no test",
    "W260": "a field of an input that may be missing, outside of an `if` that asks for it",
}


def reference() -> str:
    """The page, in Markdown."""
    lines = [
        "# Prompt files",
        "",
        "<!-- Made by `make docs` from gateway/adapters/prompt_front.py; do not edit. -->",
        "",
        "The front matter of `<area>/<name>.prompt.j2`: YAML 1.2 between two lines of dashes.",
        "The [tutorial](../tutorial/prompts.md) shows how to work with it. A file in another",
        "language, `<name>.ko.prompt.j2`, has only `api`, `name`, `description` and `tests`.",
    ]
    for path, part in PARTS:
        lines += _section(path, part)
    lines += ["", "## Codes of `gateway prompts lint`", "", "| code | means |", "|---|---|"]
    lines += [f"| {code} | {meaning} |" for code, meaning in CODES.items()]
    return "\n".join(lines) + "\n"


def _section(path: tuple[str, ...], part: type[BaseModel]) -> list[str]:
    name = ".".join(path).replace("*", "NAME" if path[:1] == ("inputs",) else "N")
    schema = part.model_json_schema(by_alias=True)
    about = "" if part is FrontMatter else schema.get("description", "")
    lines = ["", f"## {name or 'The file'}", "", *([about, ""] if about else [])]
    lines += ["| key | type | default | means |", "|---|---|---|---|"]
    required = schema.get("required", ())
    for key, field in schema["properties"].items():
        default = "required" if key in required else _plain(field.get("default"))
        meaning = str(field.get("description", "")).replace("|", "\\|")
        lines.append(f"| `{key}` | {_type(field)} | {default} | {meaning} |")
    return lines


def _type(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        kinds = [_type(one) for one in field["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in field:
        return ", ".join(f"`{word}`" for word in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}"
    if "$ref" in field:
        return "see below"
    words = {"object": "mapping", "string": "text"}
    kind = str(field.get("type", "any"))
    low = field.get("minimum", field.get("exclusiveMinimum"))
    high = field.get("maximum")
    bounds = f" {low} to {high}" if low is not None and high is not None else ""
    return words.get(kind, kind) + bounds


def _plain(default: object) -> str:
    if default is None or default in ([], {}, ""):
        return ""
    return "" if isinstance(default, dict) else f"`{str(default).lower()}`"


if __name__ == "__main__":
    print(reference(), end="")
