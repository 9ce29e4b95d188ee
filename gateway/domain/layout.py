"""The structure of a file by its layout alone: headers and what is indented below them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gateway.domain.structure import Definition, Run, Structure

MOST_LINES = 50_000
"""Lines of a file that are looked at."""

_LONGEST = 500  # characters of a line: longer ones are no headers
_SCOPE = "class|interface|trait|impl|module|namespace|object|protocol|extension|struct|enum|union"
_HEADER = re.compile(
    r"(?:[\w@]+\s+){0,5}?"
    rf"(?:(?P<scope>{_SCOPE})|def|fn|func|fun|function|sub|proc|procedure|macro|type|create)\b"
    r"(?:\s*\*?\s*(?:\([^)]*\)\s*)?(?P<name>[^\W\d][\w.:]*))?",
    re.I,
)
_CALL_SHAPE = re.compile(r"(?!(?:if|for|while|switch|return|catch|else|with)\b)[\w<>:*&\s\[\],.~]*?"
                         r"(?P<name>[^\W\d]\w*)\s*\([^;]*(?:\)|,)[^;=]*\{?$")  # fmt: skip
_IMPORT = re.compile(
    r"(?:import|from\s+\S+\s+import|use|using|require|include|#\s*include|package)\b[^({=]*"
)
_CLOSER = re.compile(r"(?:[})\]]|end\b|fi\b|done\b|esac\b|else\b|except\b|finally\b|catch\b)", re.I)


def read(rows: Sequence[str], remark: str = "") -> Structure:
    """What headers and indentation tell of a file: right for code that is laid out as usual."""
    if len(rows) > MOST_LINES:
        return Structure(remark=f"{remark} It has more than {MOST_LINES} lines.".strip())
    indents = [_indent(row) for row in rows]
    definitions = []
    imports: list[Run] = []
    ends = _ends(rows, indents)
    for at, row in enumerate(rows):
        text = row.strip()
        if not text or len(text) > _LONGEST:
            continue
        if indents[at] == 0 and _IMPORT.match(text):
            imports.append((at, at + 1))
            continue
        found = _HEADER.match(text) or (_CALL_SHAPE.match(text) if text[-1] in "{)" else None)
        if not found or ends[at] <= at + 1:
            continue
        scope = bool(found.groupdict().get("scope"))
        end = ends[at]
        last = end - 1 if _CLOSER.match(rows[end - 1].strip()) else end
        definitions.append(Definition(found["name"] or "", at, end, (at + 1, last), scope))
    return Structure(tuple(definitions), tuple(imports), "layout", remark)


def _indent(row: str) -> int:
    """Columns of white space; -1 for a blank line."""
    text = row.lstrip()
    return len(row[: len(row) - len(text)].expandtabs(4)) if text else -1


def _ends(rows: Sequence[str], indents: Sequence[int]) -> list[int]:
    """Of each line, where the block ends that is indented below it: its closing line included."""
    ends = [at + 1 for at in range(len(rows))]
    waiting: list[int] = []
    last = 0  # the end of the last line that is not blank
    for at, indent in enumerate(indents):
        if indent < 0:
            continue
        while waiting and indents[waiting[-1]] >= indent:
            above = waiting.pop()
            closes = indents[above] == indent and bool(_CLOSER.match(rows[at].strip()))
            opens = rows[at].strip() == "{" and indents[above] == indent
            if opens:
                waiting.append(above)
                break
            ends[above] = at + 1 if closes and last > above + 1 else last
        waiting.append(at)
        last = at + 1
    for above in waiting:
        ends[above] = last
    return ends
