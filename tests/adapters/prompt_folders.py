"""Prompt folders for tests: a small sound prompt, and writing one at a path."""

from __future__ import annotations

from pathlib import Path

HEAD = """---
# yaml-language-server: $schema=../schema/prompt.schema.json
api: prompt/v1
name: code/x
version: "1.0.0"
description: A prompt.
inputs:
  rules: {type: text, trust: project, default: ""}
  code: {type: text, trust: untrusted, default: ""}
  ask: {type: text, trust: user, default: ""}
"""
CACHE = "cache: {order: [rules, code, ask]}\n"
TESTS = """tests:
  - name: says it
    inputs: {code: CODE, ask: ASK}
    render: {roles: [system, user], contains: [CODE, ASK]}
"""
BODY = """{% system %}
You read code.
{{ rules }}
{% endsystem %}
{% user %}
{{ code }}
{{ ask }}
{% enduser %}
"""


def write(root: Path, path: str, text: str) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    return file


def prompt(more: str = "", *, head: str = HEAD + CACHE + TESTS, body: str = BODY) -> str:
    return f"{head}{more}---\n{body}"


def folder(root: Path, more: str = "", **parts: str) -> Path:
    write(root, "code/x.prompt.j2", prompt(more, **parts))
    return root


VARIANTS = """variants:
  - {id: base, weight: 75}
  - {id: cold, weight: 25, params: {temperature: 0}}
  - {id: brief, weight: 0, template: _variants/x-brief}
"""
BRIEF = "{% system %}Brief.{% endsystem %}{% user %}{{ code }}{{ ask }}{{ rules }}{% enduser %}"
KOREAN = """---
api: prompt/v1
name: code/x
tests:
  - name: 한국어
    inputs: {code: CODE}
    render: {roles: [system, user], contains: [코드]}
---
{% system %}코드를 설명하세요. {{ rules }}{% endsystem %}
{% user %}{{ code }} {{ ask }}{% enduser %}
"""
