"""Twenty tasks as a developer would send them to /api/ai/*: TASKS. Small, for a small model.

Between them they have every action, nine languages, Korean, and files as they are found: CRLF, a
byte order mark, tabs, no last newline, an error in the syntax, more related files than fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DOMAIN = Path(__file__).resolve().parents[2] / "gateway" / "domain"


@dataclass(frozen=True, slots=True)
class LiveTask:
    """One request: POST /api/ai/{action} with this body, answered in at most `tokens` tokens."""

    id: str
    action: str
    sent: Mapping[str, Any] = field(repr=False)
    tokens: int = 48

    @property
    def body(self) -> dict[str, Any]:
        """The whole body."""
        own = dict(self.sent.get("options", {}))
        return {**self.sent, "options": {**own, "max_output_tokens": self.tokens}}

    @property
    def content(self) -> str:
        """What is in the file that it is about; "" where there is none."""
        return str(self.sent.get("file", {}).get("content", ""))


def file(path: str, content: str) -> dict[str, Any]:
    return {"path": path, "content": content}


def at(line: int, character: int = 0) -> dict[str, int]:
    return {"line": line, "character": character}


def lines(first: int, last: int) -> dict[str, Any]:
    """From the beginning of line `first` to that of the line after `last`, counted from 0."""
    return {"start": at(first), "end": at(last + 1)}


PYTHON = "import os\n\n\ndef mean(xs):\n    return sum(xs) / len(xs)\n\n\nprint(os.name)\n"
KOREAN = (
    "# 평균을 구한다 😀\ndef mean(xs):\n    # 빈 목록은 생각하지 않는다\n"
    "    return sum(xs) / len(xs)\n"
)
JAVASCRIPT = (
    "function total(items) {\r\n  var sum = 0;\r\n  for (var i = 0; i < items.length; i++) {\r\n"
    "    sum += items[i].price;\r\n  }\r\n  return sum;\r\n}\r\n"
)
BROKEN = "function area(w, h {\n  return w * h;\n}\n\nconsole.log(area(2, 3));\n"
TYPESCRIPT = "\ufeffexport function greet(name: string): string {\n  return 'Hello, ' + name;\n}\n"
UNTYPED = "export function twice(value) {\n  const half = value / 2;\n  return value * 2;\n}\n"
JAVA = (
    "class Account {\n    private int cents;\n\n    void take(int amount) {\n"
    "        cents -= amount;\n    }\n}"
)
C = (
    "#include <string.h>\n\nvoid copy(char *to, const char *from)\n{\n\tstrcpy(to, from);\n"
    "\tto[0] = 0;\n}\n"
)
GO = "package shop\n\nfunc Price(cents int) float64 {\n\treturn float64(cents) / 100\n}\n"
RUST = (
    "fn longest<'a>(a: &'a str, b: &'a str) -> &'a str {\n    if a.len() > b.len() { a } else { b }"
    "\n}\n"
)
CPP = "#include <vector>\n\n" + "".join(
    f"int step_{n}(const std::vector<int>& xs) {{\n  int sum = {n};\n"
    "  for (int x : xs) sum += x;\n  return sum;\n}\n\n"
    for n in range(24)
)
DIFF = """\
diff --git a/mean.py b/mean.py
--- a/mean.py
+++ b/mean.py
@@ -1,2 +1,4 @@
 def mean(xs):
+    if not xs:
+        return 0
     return sum(xs) / len(xs)
"""
UNDEFINED = {
    "range": {"start": at(1, 8), "end": at(1, 13)},
    "severity": "error",
    "code": "F821",
    "message": "Undefined name `totl`",
}
IMPLICIT = {
    "range": {"start": at(0, 22), "end": at(0, 27)},
    "code": 7006,
    "message": "Parameter 'value' implicitly has an 'any' type.",
}
UNUSED = {
    "range": {"start": at(1, 8), "end": at(1, 12)},
    "severity": "warning",
    "code": 6133,
    "message": "'half' is declared but its value is never read.",
}
MISSPELLED = "def total(xs):\n    print(totl)\n    return sum(xs)\n"
RELATED = [
    {**file(f"gateway/domain/{name}.py", (DOMAIN / f"{name}.py").read_text("utf-8")), "reason": why}
    for name, why in (("context", "open"), ("envelope", "import"), ("diff", "attached"))
]

EXPLAIN = (
    LiveTask("explain-python", "explain", {"file": file("a/mean.py", PYTHON)}),
    LiveTask(
        "explain-rust-in-korean",
        "explain",
        {"file": file("src/lib.rs", RUST), "selection": lines(0, 2), "answer_language": "ko"},
    ),
    LiveTask(
        "explain-cpp-with-more-than-fits",
        "explain",
        {
            "file": file("src/steps.cpp", CPP),
            "selection": lines(26, 30),
            "related": RELATED,
            "instruction": "What does this return for an empty vector?",
        },
    ),
    LiveTask(
        "explain-broken-javascript",
        "explain",
        {"file": file("area.js", BROKEN), "selection": lines(0, 2)},
    ),
)
REWRITE = (
    LiveTask(
        "rewrite-python",
        "rewrite",
        {
            "file": file("src/mean.py", PYTHON),
            "selection": lines(3, 4),
            "instruction": "Return 0 if the list is empty.",
        },
        72,
    ),
    LiveTask(
        "rewrite-javascript-crlf",
        "rewrite",
        {
            "file": file("total.js", JAVASCRIPT),
            "selection": lines(1, 4),
            "instruction": "Use let instead of var.",
        },
        72,
    ),
    LiveTask(
        "rewrite-typescript-bom",
        "rewrite",
        {"file": file("greet.ts", TYPESCRIPT), "instruction": "Use a template literal."},
        72,
    ),
    LiveTask(
        "rewrite-java-without-last-newline",
        "rewrite",
        {
            "file": file("src/Account.java", JAVA),
            "selection": {"start": at(3), "end": at(6, 1)},
            "instruction": "Refuse amounts below zero.",
        },
        72,
    ),
    LiveTask(
        "rewrite-c-tabs",
        "rewrite",
        {
            "file": file("copy.c", C),
            "selection": lines(4, 5),
            "instruction": "Remove the last statement.",
        },
        72,
    ),
    LiveTask(
        "rewrite-python-in-korean",
        "rewrite",
        {
            "file": file("평균.py", KOREAN),
            "instruction": "함수 이름을 average로 바꿔 줘.",
            "answer_language": "ko",
        },
        72,
    ),
)
CHANGE = (
    LiveTask("docstring-go", "docstring", {"file": file("price.go", GO)}, 72),
    LiveTask(
        "fix-python",
        "fix",
        {"file": file("total.py", MISSPELLED), "diagnostics": [UNDEFINED]},
        72,
    ),
    LiveTask(
        "fix-typescript",
        "fix",
        {
            "file": file("twice.ts", UNTYPED),
            "selection": lines(0, 3),
            "diagnostics": [IMPLICIT, UNUSED],
        },
        72,
    ),
)
JUDGE = (
    LiveTask("review-java", "review", {"file": file("src/Account.java", JAVA)}, 192),
    LiveTask(
        "review-python-in-korean",
        "review",
        {
            "file": file("mean.py", KOREAN),
            "selection": lines(1, 3),
            "answer_language": "ko",
            "options": {"repair": 1},
        },
    ),
    LiveTask("tests-python", "tests", {"file": file("src/mean.py", PYTHON)}, 144),
    LiveTask(
        "tests-go-at-a-path",
        "tests",
        {"file": file("price.go", GO), "options": {"target_path": "checks/price_test.go"}},
    ),
)
SAY = (
    LiveTask("commit-message", "commit-message", {"diff": DIFF}),
    LiveTask("chat-without-a-file", "chat", {"instruction": "What does a mutex do?"}),
    LiveTask(
        "chat-about-a-file",
        "chat",
        {
            "instruction": "And in Rust?",
            "file": file("price.go", GO),
            "selection": lines(2, 4),
            "conversation": [
                {"role": "user", "content": "How do I print a price in Go?"},
                {"role": "assistant", "content": "With fmt.Printf."},
            ],
        },
    ),
)

TASKS = (*EXPLAIN, *REWRITE, *CHANGE, *JUDGE, *SAY)
