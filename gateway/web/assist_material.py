"""From the body of POST /api/ai/* to the material of a question: positions become lines."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from gateway.domain import columns
from gateway.domain.errors import InvalidRequest
from gateway.domain.material import Diagnostic, Material, Related, Rule, Turn
from gateway.domain.source import Position, Selection, SourceFile, Span

if TYPE_CHECKING:
    from gateway.web.assist_request import AssistRequest, RelatedFile, Said


class StaleFile(InvalidRequest):
    """The client's hash is not that of the content it sent: it speaks of another version."""

    status = 409
    code = "stale_file"

    def __init__(
        self, sent: str, actual: str, *, param: str = "file.sha256", path: str = ""
    ) -> None:
        self.sent, self.actual = sent, actual
        whose = f" for {path}" if path else ""
        super().__init__(
            f"{param} is {sent}, but the content sent{whose} has {actual}; send the content and "
            "the hash of one version of the file.",
            param=param,
        )

    def body(self, request_id: str = "") -> dict[str, Any]:
        """With both hashes, for a client that wants to tell which of its copies is old."""
        body = super().body(request_id)
        body["error"] |= {"sent_sha256": self.sent, "content_sha256": self.actual}
        return body


def material_of(request: AssistRequest, file: SourceFile) -> Material:
    """What the client sent, positions turned into lines. InvalidRange (422), StaleFile (409)."""
    return Material(
        file=file,
        span=_span(request, file),
        instruction=request.instruction,
        related=(
            *(_related(one, at) for at, one in enumerate(request.related)),
            *(
                Related(one.path, one.text, "declaration", name=one.name)
                for one in request.declarations
            ),
            *(Related(one.path, one.diff, "edit") for one in request.recent_edits),
        ),
        rules=tuple(Rule(one.path, one.content) for one in request.rules),
        diagnostics=tuple(
            Diagnostic(one.range.start.line, one.severity, _said(one))
            for one in request.diagnostics
        ),
        conversation=tuple(Turn(one.role, one.content) for one in request.conversation),
    )


def _related(one: RelatedFile, at: int) -> Related:
    """StaleFile (409) when its hash is of another content."""
    if one.sha256 is not None:
        found = hashlib.sha256(one.content.encode("utf-8", "replace")).hexdigest()
        if one.sha256.lower() != found:
            name = f"related.{at}.sha256"
            raise StaleFile(one.sha256.lower(), found, param=name, path=one.path)
    ranges = ((part.start.line, part.end) for part in one.ranges or ())
    runs = tuple((first, end.line + (end.character > 0)) for first, end in ranges)
    return Related(one.path, one.content, one.reason, ranges=runs)


def _said(one: Said) -> str:
    return f"{one.message} ({one.code})" if one.code is not None else one.message


def _span(request: AssistRequest, file: SourceFile) -> Span:
    if request.selection is None or request.scope == "file":
        return file.whole
    start, end = request.selection.start, request.selection.end
    chosen = Selection(Position(start.line, start.character), Position(end.line, end.character))
    return columns.span(file, chosen, request.position_encoding)
