"""A commit message out of a model's answer: its subject, and its body."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.domain import fences, prose
from gateway.domain.envelope import Protocol, bare

MOST_SUBJECT = 72
"""Characters of a subject that tools show whole."""

_OF_DIFF = ("diff --git", "--- ", "+++ ", "@@ ", "```")
_LABEL = re.compile(
    r"(?:\*\*)?(?:commit message|subject|제목|커밋 메시지)(?:\*\*)?\s*:\s*(?:\*\*)?", re.I
)


@dataclass(frozen=True, slots=True)
class CommitMessage:
    """`subject` is one line; `body` may be empty."""

    subject: str
    body: str

    @property
    def fits(self) -> bool:
        """Whether it may be one at all: there is a subject, and it is no line of a diff."""
        return bool(self.subject) and not self.subject.startswith(_OF_DIFF)

    @property
    def message(self) -> str:
        """As `git commit -F -` takes it."""
        return f"{self.subject}\n\n{self.body}" if self.body else self.subject


def read(text: str) -> CommitMessage:
    """The message in `text`, without thinking, a fence around it, or a label before it."""
    said, _ = bare(text, Protocol(), "")
    rows = _inside(said or "").strip().split("\n")
    rows = [row.rstrip() for row in rows]
    subject = rows[0].strip()
    label = _LABEL.match(subject)
    if label:
        rest = subject[label.end() :].strip()
        rows = [rest, *rows[1:]] if rest else "\n".join(rows[1:]).strip("\n").split("\n")
        subject = rows[0].strip()
    for mark in ("**", "`", '"'):
        if len(subject) > 2 * len(mark) and subject.startswith(mark) and subject.endswith(mark):
            subject = subject[len(mark) : -len(mark)].strip()
    return CommitMessage(subject, "\n".join(rows[1:]).strip())


def _inside(text: str) -> str:
    """The fence's text where the message is in one, and all that is around it is a sentence."""
    closed = fences.blocks(text)
    if len(closed) != 1:
        return text
    around = (text[: closed[0].start] + text[closed[0].end :]).strip()
    if not around or (closed[0].start and prose.is_sentence(around.split("\n")[0])):
        return closed[0].text
    return text
