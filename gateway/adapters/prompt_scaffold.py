"""The first text of a new prompt: it lints, and its test holds."""

from __future__ import annotations

from typing import Literal

Kind = Literal["text", "rewrite"]

_HEAD = """---
# yaml-language-server: $schema=@UP@schema/prompt.schema.json
api: prompt/v1
name: @NAME@
version: "0.1.0"
description: @WORDS@
"""
_TEXT = """inputs:
  file: {type: "code[path,language,before,selected,after]", trust: untrusted}
  answer_language: {type: text, trust: user, default: "", max_chars: 40}
  instruction: {type: text, trust: user, default: "", max_chars: 4000}
cache: {order: [file, answer_language, instruction]}
tests:
  - name: shows the selection
    inputs:
      instruction: Say it in one line.
      file: {path: a.py, language: python, before: "", selected: "print(1)\\n", after: ""}
    render: {roles: [system, user], contains: ["print(1)", "Say it in one line."], max_tokens: 400}
---
{% system %}
You answer questions about source code. Be exact and brief.
{% endsystem %}
{% user %}
<file path={{ file.path | json }} language={{ file.language | json }}>
{{ file.before }}<selected>
{{ file.selected }}</selected>
{{ file.after }}</file>
{% if answer_language %}
Write the answer in this language: {{ answer_language }}
{% endif %}
<instruction>
{{ instruction }}
</instruction>
{% enduser %}
"""
_REWRITE = """inputs:
  file: {type: "code[path,language,before,selected,after]", trust: untrusted}
  instruction: {type: text, trust: user, max_chars: 4000}
output: {kind: rewrite, protocol: tagged, tag: rewritten, prefill: true}
cache: {order: [file, instruction]}
tests:
  - name: adds a guard
    inputs:
      instruction: print 2
      file: {path: a.py, language: python, before: "", selected: "print(1)\\n", after: ""}
    render: {roles: [system, user], contains: ["print(1)", "print 2"], max_tokens: 400}
    reply: "print(2)\\n</rewritten>"
    expect: {status: changed, diff_applies: true, added: 1, removed: 1}
---
{% system %}
You rewrite one part of a source file.
Reply with their new text between <rewritten> and </rewritten>, and nothing else.
{% endsystem %}
{% user %}
<file path={{ file.path | json }} language={{ file.language | json }}>
{{ file.before }}<selected>
{{ file.selected }}</selected>
{{ file.after }}</file>
<instruction>
{{ instruction }}
</instruction>
{% enduser %}
"""


def scaffold(name: str, kind: Kind = "text") -> str:
    """The text of NAME.prompt.j2."""
    words = name.rpartition("/")[2].replace("-", " ").replace("_", " ").capitalize()
    text = _HEAD + (_REWRITE if kind == "rewrite" else _TEXT)
    up = "../" * name.count("/")
    return text.replace("@UP@", up).replace("@NAME@", name).replace("@WORDS@", f"{words}.")
