"""What `gateway ai` asks about: FILE[:A-B], its project, its rules, what a compiler said of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from gateway.client.errors import InvalidAnswer, UnusableFile
from gateway.client.files import File, Rule, named
from gateway.client.places import Diagnostic, Severity

RULES = "AGENTS.md"

_LINES = re.compile(r"(?P<file>.+):(?P<first>\d+)(?:-(?P<last>\d+))?")
_SAID = re.compile(
    r"(?P<path>[^\s:][^:]*):(?P<line>\d+)(?::(?P<column>\d+))?:?\s+"
    r"(?:(?P<severity>error|fatal error|warning|note|info|information|hint)\b:?\s*)?(?P<text>\S.*)"
)
_SEVERITIES: dict[str, Severity] = {
    "warning": "warning",
    "note": "information",
    "info": "information",
    "information": "information",
    "hint": "hint",
}


@dataclass(frozen=True, slots=True)
class Target:
    """A file and its project: `root` is the top of its git checkout, else the folder it is seen
    from. `lines` are from 1 and inclusive, None for the whole file."""

    place: Path
    root: Path
    file: File
    lines: tuple[int, int] | None = None


def target_of(text: str, encoding: str) -> Target:
    """From FILE, FILE:A or FILE:A-B. OSError, and UnusableFile when the lines are not there."""
    found = None if Path(text).exists() else _LINES.fullmatch(text)
    place = Path(found["file"] if found else text)
    root = project_of(place)
    file = File.read(place, root=root, encoding=encoding)
    if found is None:
        return Target(place, root, file)
    first = int(found["first"])
    lines = first, int(found["last"] or first)
    file.lines(*lines)
    return Target(place, root, file, lines)


def project_of(place: Path) -> Path:
    """The top of the git checkout that holds `place`; without one this folder, if that holds it."""
    absolute = Path.cwd() / place
    folder = absolute if absolute.is_dir() else absolute.parent
    folder = folder.resolve()
    for one in (folder, *folder.parents):
        if (one / ".git").exists():
            return one
    here = Path.cwd()
    return here if folder.is_relative_to(here) else folder


def rules_of(root: Path, place: Path) -> tuple[list[Rule], list[str]]:
    """Each AGENTS.md from `root` down to the folder of `place`, and a line on each that is left
    out: one that is a link to somewhere else could send what nobody meant to send."""
    folder = (Path.cwd() / place).parent.resolve()
    chain = [folder, *folder.parents] if folder.is_relative_to(root) else [root]
    found, left_out = [], []
    for one in reversed([step for step in chain if step.is_relative_to(root)]):
        file = one / RULES
        if not file.is_file():
            continue
        if not file.resolve().is_relative_to(root):
            left_out.append(f"{file} is left out: it links to a file outside the project")
            continue
        try:
            found.append(Rule(named(file, root), File.read(file, root=root).text))
        except (OSError, UnusableFile) as error:
            left_out.append(f"{file} is left out: {error}")
    return found, left_out


def diagnostics_of(said: str, target: Target) -> list[Diagnostic]:
    """Those about the target in what a compiler printed, or in a JSON list of LSP diagnostics.

    Raises click's UsageError when there are none.
    """
    if said.lstrip().startswith(("[", "{")):
        found = list(_from_json(said))
    else:
        found = [one for line in said.splitlines() if (one := _from_line(line, target))]
    if target.lines is not None:
        first, last = target.lines
        found = [one for one in found if first <= one.range.start.line + 1 <= last]
    if not found:
        raise click.UsageError(
            f"no diagnostic is about {target.file.path}: each is a line such as "
            f"{target.file.path}:3:5: error: name 'x' is not defined"
        )
    return found


def _from_line(line: str, target: Target) -> Diagnostic | None:
    found = _SAID.fullmatch(line.strip())
    if found is None or not _same(found["path"], target):
        return None
    number = min(max(int(found["line"]), 1), max(target.file.line_count, 1))
    severity = _SEVERITIES.get(found["severity"] or "", "error")
    return Diagnostic.at(number, found["text"], column=int(found["column"] or 1), severity=severity)


def _same(path: str, target: Target) -> bool:
    """Whether a compiler that ran in some folder of the project means this file."""
    wanted = Path(path.removeprefix("./"))
    if wanted.is_absolute():
        return wanted.resolve() == (Path.cwd() / target.place).resolve()
    parts = Path(target.file.path).parts
    return bool(wanted.parts) and parts[-len(wanted.parts) :] == wanted.parts


def _from_json(said: str) -> Iterator[Diagnostic]:
    from gateway.client.shapes import read

    try:
        rows = json.loads(said)
        for row in [rows] if isinstance(rows, Mapping) else rows:
            wanted: dict[str, Any] = {**row, "severity": _severity(row.get("severity"))}
            code = wanted.pop("code", None)
            one = read(Diagnostic, wanted, where="the diagnostic")
            yield Diagnostic(one.range, one.message, one.severity, code)
    except (ValueError, TypeError, AttributeError, InvalidAnswer) as error:
        raise click.UsageError(
            f"the diagnostics are no JSON list of LSP diagnostics: {error}"
        ) from None


def _severity(said: object) -> Severity:
    """LSP numbers them; this API names them."""
    numbered: dict[object, Severity] = {1: "error", 2: "warning", 3: "information", 4: "hint"}
    names: dict[object, Severity] = {one: one for one in numbered.values()}
    return numbered.get(said) or names.get(said) or "error"
