"""From the body of POST /api/ai/* to the material of a question: positions become lines."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from gateway.domain import columns, patch_paths, source
from gateway.domain.errors import InvalidRequest
from gateway.domain.material import NO_FILE, Diagnostic, Material, Related, Rule, Turn
from gateway.domain.source import Position, Selection, SourceFile, Span

if TYPE_CHECKING:
    from gateway.web.assist_body import Asked, DiffRequest, MessageRequest, RelatedFile, Said

DIFF_PATH = "change.diff"
"""What a diff is called where a file has a path."""


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


class NoDiff(InvalidRequest):
    """What was sent as a diff is none."""

    status = 422
    code = "invalid_body"


class FileExists(InvalidRequest):
    """A new file cannot take the place of one that is there."""

    status = 422
    code = "invalid_body"


def material_of(request: Asked) -> Material:
    """What the client sent, positions turned into lines. BadPath, BadEncoding, InvalidRange, NoDiff
    (422), StaleFile (409)."""
    common = Material(
        file=NO_FILE,
        span=NO_FILE.whole,
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
        conversation=tuple(Turn(one.role, one.content) for one in request.conversation),
    )
    if hasattr(request, "diff"):
        return _with_diff(common, cast("DiffRequest", request).diff)
    return _with_file(common, cast("MessageRequest", request))


def _with_file(material: Material, request: MessageRequest) -> Material:
    """With the file and what is said of it, where there is one."""
    sent = request.file
    if sent is None:
        return material
    file = source.read(sent.path, sent.content, encoding=sent.encoding, language=sent.language)
    if sent.sha256 is not None and sent.sha256.lower() != file.sha256:
        raise StaleFile(sent.sha256.lower(), file.sha256)
    diagnostics = tuple(
        Diagnostic(one.range.start.line, one.severity, _said(one)) for one in request.diagnostics
    )
    return replace(material, file=file, span=_span(request, file), diagnostics=diagnostics)


def _with_diff(material: Material, diff: str) -> Material:
    """With a change in the place of the file, all of it selected."""
    touched = patch_paths.read(diff)
    if touched is None:
        raise NoDiff(
            "diff is no unified diff: send what `git diff --staged` writes, with its lines that "
            "begin with 'diff --git', '---', '+++' and '@@'.",
            param="diff",
        )
    try:
        file = source.read(DIFF_PATH, diff, language="diff")
    except InvalidRequest as error:
        error.param = "diff"
        raise
    return replace(material, file=file, span=file.whole, touched=touched)


def target_of(path: str | None, material: Material) -> str | None:
    """The path of a new file, as a diff wants it. BadPath; FileExists (422) where one of the files
    sent has it."""
    if path is None:
        return None
    checked = source.checked_path(path, param="options.target_path")
    if ".git" in checked.lower().split("/"):
        raise source.BadPath(
            f"options.target_path: {checked} is git's own; name a file of the project.",
            param="options.target_path",
        )
    if checked in material.paths:
        raise FileExists(
            f"options.target_path: {checked} is one of the files that you sent; name a new file, "
            "or change that one with /api/ai/rewrite.",
            param="options.target_path",
        )
    return checked


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


def _span(request: MessageRequest, file: SourceFile) -> Span:
    if request.selection is None or request.scope == "file":
        return file.whole
    start, end = request.selection.start, request.selection.end
    chosen = Selection(Position(start.line, start.character), Position(end.line, end.character))
    return columns.span(file, chosen, request.position_encoding)
