"""The first text of a new prompt: it lints, and its test holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Kind = Literal["text", "rewrite", "review", "file"]

_HEAD = """---
# yaml-language-server: $schema=@UP@schema/prompt.schema.json
api: prompt/v1
name: @NAME@
version: "0.1.0"
description: @WORDS@
"""
_SHOWN = """{% user %}
<file path={{ file.path | json }} language={{ file.language | json }}>
{{ file.before }}<selected>
{{ file.selected }}</selected>
{{ file.after }}</file>
"""
_ASKED = """<instruction>
{{ instruction }}
</instruction>
{% enduser %}
"""
_TEXT = (
    """inputs:
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
"""
    + _SHOWN
    + """{% if answer_language %}
Write the answer in this language: {{ answer_language }}
{% endif %}
"""
    + _ASKED
)
_REWRITE = (
    """inputs:
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
"""
    + _SHOWN
    + _ASKED
)
_REVIEW = (
    """inputs:
  file: {type: "code[path,language,before,selected,after]", trust: untrusted}
  answer_language: {type: text, trust: user, default: "", max_chars: 40}
  instruction: {type: text, trust: user, default: "", max_chars: 4000}
output:
  kind: review
  protocol: json
  schema:
    type: object
    additionalProperties: false
    required: [findings, summary]
    properties:
      findings:
        type: array
        items:
          type: object
          additionalProperties: false
          required: [quote, message, severity, category, suggestion]
          properties:
            quote: {type: string}
            message: {type: string}
            severity: {type: string, enum: [error, warning, information, hint]}
            category: {type: string, enum: [bug, security, performance, readability, tests, other]}
            suggestion: {type: string}
      summary: {type: string}
cache: {order: [file, answer_language, instruction]}
tests:
  - name: a finding quotes a line
    inputs:
      instruction: Look for bugs.
      file: {path: a.py, language: python, before: "", selected: "print(1 / 0)\\n", after: ""}
    render: {roles: [system, user], contains: ["print(1 / 0)", "Look for bugs."], max_tokens: 400}
    reply: >-
      {"findings": [{"quote": "print(1 / 0)", "message": "Divides by zero.", "severity": "error",
      "category": "bug", "suggestion": ""}], "summary": "One bug."}
    expect: {valid: true}
---
{% system %}
You review source code. Report what is wrong with the selected lines as one JSON object: findings,
each with quote, message, severity, category and suggestion, and a summary.
quote: one whole line of the selected code, copied character for character.
{% endsystem %}
"""
    + _SHOWN
    + """{% if answer_language %}
Write message, suggestion and summary in this language: {{ answer_language }}
{% endif %}
"""
    + _ASKED
)
_FILE = (
    """inputs:
  file: {type: "code[path,language,before,selected,after]", trust: untrusted}
  instruction: {type: text, trust: user, default: "", max_chars: 4000}
output: {kind: file, protocol: tagged, tag: written, prefill: true}
cache: {order: [file, instruction]}
tests:
  - name: writes a whole file
    inputs:
      instruction: Call it.
      file: {path: a.py, language: python, before: "", selected: "def f(): ...\\n", after: ""}
    render: {roles: [system, user], contains: ["def f(): ...", "Call it."], max_tokens: 400}
    reply: "from a import f\\n\\nf()\\n</written>"
    expect: {status: changed, text: "from a import f\\n\\nf()\\n", diff_applies: true, added: 3}
---
{% system %}
You write a new source file for code that you are shown.
Reply with the whole file between <written> and </written>, and nothing else.
{% endsystem %}
"""
    + _SHOWN
    + _ASKED
)
_BODIES: Mapping[Kind, str] = {
    "text": _TEXT,
    "rewrite": _REWRITE,
    "review": _REVIEW,
    "file": _FILE,
}


def scaffold(name: str, kind: Kind = "text") -> str:
    """The text of NAME.prompt.j2."""
    words = name.rpartition("/")[2].replace("-", " ").replace("_", " ").capitalize()
    text = _HEAD + _BODIES[kind]
    up = "../" * name.count("/")
    return text.replace("@UP@", up).replace("@NAME@", name).replace("@WORDS@", f"{words}.")
