"""What an answer is to replace: the selected lines, and all the text around them."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.domain.source import SourceFile, Span


@dataclass(frozen=True, slots=True)
class Original:
    """`selected`, whole lines of a file, between `before` and `after`; `eol` is for new lines."""

    selected: str
    before: str = ""
    after: str = ""
    language: str = "plaintext"
    eol: str = "\n"
    encoding: str = "utf-8"

    @classmethod
    def of(cls, file: SourceFile, span: Span) -> Original:
        """The lines `span` of `file`."""
        return cls(
            selected=file.text(span),
            before=file.before(span),
            after=file.after(span),
            language=file.language,
            eol=file.eol,
            encoding=file.encoding,
        )

    @property
    def first_line(self) -> int:
        """The number of the first selected line, from 1."""
        return self.before.count("\n") + 1

    def has_row(self, row: str) -> bool:
        """Whether one of the selected lines is `row`, spaces around it aside."""
        return any(own.strip() == row.strip() for own in self.selected.split("\n"))
