"""What /api/ai/* answers: an explanation or a rewrite as JSON, with the context report."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Any

from gateway.client import Completion
from gateway.domain import columns
from gateway.domain.call import Call
from gateway.domain.context import Entry
from gateway.domain.diff import compare
from gateway.domain.source import Selection
from gateway.domain.text_edits import TextEdit, column_edit, edits
from gateway.flow.context import Context
from gateway.flow.revision import Revision
from gateway.flow.task import Task

JSON = dict[str, Any]
_MOST_RANGES = 100


def explanation(call: Call, task: Task, context: Context, said: Completion, text: str) -> JSON:
    """The answer of `explain`: Markdown, which lines it is about, and how it came to be."""
    warnings = _warnings(task, context)
    if said.finish_reason == "length":
        why = "The model reached its limit of output tokens; the explanation ends early."
        warnings.append({"code": "truncated", "message": why})
    return {
        "id": call.id,
        "explanation": text.strip(),
        "range": _range(task),
        "warnings": warnings,
        **_provenance(call, context, said),
    }


def rewriting(
    call: Call, task: Task, context: Context, said: Completion, revision: Revision
) -> JSON:
    """The answer of `rewrite`: a status and, when something changed, the diff that makes it so."""
    file, resolution = task.question.material.file, revision.resolution
    return {
        "id": call.id,
        "status": resolution.status,
        "range": _range(task),
        **_changes(task, revision),
        "base_sha256": file.sha256,
        "result_sha256": hashlib.sha256(revision.after).hexdigest(),
        "newline": file.newline,
        "adjusted": list(resolution.adjusted),
        "syntax": revision.syntax,
        "repaired": False,
        "notes": resolution.notes,
        "warnings": _warnings(task, context) + [asdict(remark) for remark in resolution.warnings],
        **_provenance(call, context, said),
    }


def edit_of(edit: TextEdit) -> JSON:
    """One edit as the language server protocol has it."""
    start, end = edit.range.start, edit.range.end
    place = {"start": _at(start.line, start.character), "end": _at(end.line, end.character)}
    return {"range": place, "new_text": edit.new_text}


def _changes(task: Task, revision: Revision) -> JSON:
    """The change in the formats asked for. The words of a model that gave none are always told."""
    file, resolution = task.question.material.file, revision.resolution
    comparison = compare(file.path, file.content, revision.after, context=task.diff_context)
    found: JSON = {"hunks": [asdict(hunk) for hunk in comparison.hunks]}
    if "diff" in task.formats:
        found["diff"] = comparison.diff.decode(file.encoding)
    if "text" in task.formats or resolution.status in ("truncated", "unresolved"):
        found["text"] = resolution.text
    if "edits" in task.formats:
        found["edits"] = [edit_of(edit) for edit in _edits(task, revision)]
    return found


def _edits(task: Task, revision: Revision) -> tuple[TextEdit, ...]:
    """By lines; inside of a very long one by columns: a line of megabytes is no answer."""
    file, span = task.question.material.file, task.question.material.span
    if revision.resolution.status == "changed" and any(columns.cut(file, span)):
        return (column_edit(file, span, revision.resolution.text, task.units),)
    return edits(file, revision.after, task.units)


def preview(call: Call, task: Task, context: Context) -> JSON:
    """The answer of `context/preview`: what an answer would have been made of."""
    return {
        "id": call.id,
        "range": _range(task),
        "warnings": _warnings(task, context),
        "model": call.model,
        "prompt": context.rendered.ref.shown,
        "context": context_report(context),
    }


def context_report(context: Context) -> JSON:
    """What went into the prompt, what was cut, and why; all numbers are tokens."""
    report = context.fitted.report(context.rendered.ref.sha)
    return {
        "window": report.window,
        "reserved_output": report.reserved_output,
        "used": report.used,
        "exact": context.exact,
        "prefix_sha": report.prefix_sha,
        "items": [_entry(entry) for entry in report.items],
    }


def _entry(entry: Entry) -> JSON:
    shown = asdict(entry)
    runs = shown.pop("runs")
    ranges = [{"start": _at(first, 0), "end": _at(end, 0)} for first, end in runs]
    if ranges:
        shown["range"] = {"start": ranges[0]["start"], "end": ranges[-1]["end"]}
    if len(ranges) > 1:
        shown["ranges"] = ranges[:_MOST_RANGES]
    for name in ("path", "redacted"):
        if not shown[name]:
            del shown[name]
    return shown


def _provenance(call: Call, context: Context, said: Completion) -> JSON:
    """Who answered, at which cost, on which prompt."""
    usage = said.usage
    counted = usage and {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "cached_tokens": usage.cached,
    }
    return {
        "model": call.model,
        "served_model": said.model,
        "replica": said.replica,
        "finish_reason": said.finish_reason,
        "attempts": said.attempts,
        "usage": counted,
        "prompt": context.rendered.ref.shown,
        "context": context_report(context),
    }


def _warnings(task: Task, context: Context) -> list[JSON]:
    found = [asdict(remark) for remark in (*task.remarks, *context.remarks)]
    if not context.exact:
        why = "No replica could be asked to count tokens; the context was fitted by an estimate."
        found.append({"code": "estimated_tokens", "message": why})
    return found


def remark_of(code: str, message: str) -> JSON:
    """A warning."""
    return {"code": code, "message": message}


def _range(task: Task) -> JSON:
    """The lines or columns that the answer is about, as the client counts positions."""
    material = task.question.material
    found: Selection = material.file.selection(material.span, task.units)
    return {
        "start": _at(found.start.line, found.start.character),
        "end": _at(found.end.line, found.end.character),
    }


def _at(line: int, character: int) -> JSON:
    return {"line": line, "character": character}
