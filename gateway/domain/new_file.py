"""From a model's answer to a new file: its text, and the diff that creates it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Literal

from gateway.domain.answer import Answer, Original, Protocol, Remark, resolve
from gateway.domain.diff import creation
from gateway.domain.secret_scan import PLACEHOLDER
from gateway.domain.syntax_errors import Verdict

Status = Literal["created", "truncated", "unresolved"]


@dataclass(frozen=True, slots=True)
class NewFile:
    """`text` is the file's where the status is `created`, with LF or CRLF as asked for, in UTF-8;
    else the model's own words, and there is no diff."""

    status: Status
    path: str
    text: str = field(repr=False)
    diff: str = field(default="", repr=False)
    sha256: str | None = None
    notes: str = ""
    syntax: Verdict = "unknown"
    warnings: tuple[Remark, ...] = ()

    @property
    def problem(self) -> str:
        """What the model should mend, said to it; empty where there is nothing to."""
        if self.status == "unresolved":
            return " ".join(remark.message for remark in self.warnings)
        return _BROKEN if self.syntax == "worse" else ""

    @property
    def rank(self) -> int:
        """0 is best: of two answers to one question the lower is worth more."""
        return 2 if self.status != "created" else bool(self.problem)

    def judged(self, found: Verdict) -> NewFile:
        """The same with a verdict on its syntax, which is told where it is a bad one."""
        told = (Remark("syntax", _BROKEN),) if found == "worse" else ()
        return replace(self, syntax=found, warnings=(*self.warnings, *told))


_BROKEN = "The new file cannot be parsed."


def read(answer: Answer, path: str, language: str, protocol: Protocol, eol: str = "\n") -> NewFile:
    """The file that `answer` holds, to be created at `path`. Never raises but `DiffBroken`."""
    found = resolve(answer, Original("", language=language), protocol)
    if found.status in ("truncated", "unresolved"):
        status: Status = "truncated" if found.status == "truncated" else "unresolved"
        return NewFile(status, path, answer.text, warnings=found.warnings)
    rows = found.text.replace("\r\n", "\n").strip("\n")
    if not rows.strip():
        why = Remark("no_text", "The answer was not applied: it has no file in it.")
        return NewFile("unresolved", path, answer.text, warnings=(why,))
    text = f"{rows}\n".replace("\n", eol)
    # Half of a pair of surrogates is no text; everything else UTF-8 can hold.
    content = text.encode("utf-8", "replace")
    warnings = found.warnings
    if PLACEHOLDER in text:
        why = Remark("secret_placeholder", "A placeholder stands for a secret of the source file.")
        warnings = (*warnings, why)
    return NewFile(
        "created",
        path,
        content.decode(),
        diff=creation(path, content).decode(),
        sha256=hashlib.sha256(content).hexdigest(),
        notes=found.notes,
        warnings=warnings,
    )
