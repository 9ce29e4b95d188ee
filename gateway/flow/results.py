"""What /api/ai/* answers, as JSON: a shape for each form of result, with the context report."""

from __future__ import annotations

import hashlib
from dataclasses import asdict

from gateway.client.in_process import Completion
from gateway.domain import columns, commit_message, references
from gateway.domain.call import Call
from gateway.domain.commit_message import MOST_SUBJECT
from gateway.domain.diff import compare
from gateway.domain.new_file import NewFile
from gateway.domain.review import Finding, Review
from gateway.domain.text_edits import TextEdit, column_edit, edits
from gateway.flow.context import Context
from gateway.flow.provenance import (
    JSON,
    place,
    position,
    provenance,
    range_of,
    remark_of,
    warnings_of,
)
from gateway.flow.revision import Revision
from gateway.flow.task import Task


def explanation(call: Call, task: Task, context: Context, said: Completion, text: str) -> JSON:
    """The answer of `explain`: Markdown, the places it names, and which lines it is about."""
    named = references.find(text, task.question.material, context.survey)
    return {
        "id": call.id,
        "explanation": text.strip(),
        "references": [_reference(one) for one in named],
        "range": range_of(task),
        "warnings": _of_text(task, context, said),
        **provenance(call, context, said),
    }


def message(call: Call, task: Task, context: Context, said: Completion, text: str) -> JSON:
    """The answer of `chat`: Markdown."""
    return {
        "id": call.id,
        "message": text.strip(),
        "warnings": _of_text(task, context, said),
        **provenance(call, context, said),
    }


def commit(call: Call, task: Task, context: Context, said: Completion, text: str) -> JSON:
    """The answer of `commit-message`: the message, and its subject and body apart."""
    found = commit_message.read(text)
    warnings = _of_text(task, context, said)
    if not found.fits:
        warnings.append(remark_of("no_message", "The answer is no commit message; ask again."))
    elif len(found.subject) > MOST_SUBJECT:
        why = f"The subject has {len(found.subject)} characters; git shows {MOST_SUBJECT}."
        warnings.append(remark_of("long_subject", why))
    return {
        "id": call.id,
        "message": found.message,
        "subject": found.subject,
        "body": found.body,
        "warnings": warnings,
        **provenance(call, context, said),
    }


def reviewing(call: Call, task: Task, context: Context, said: Completion, review: Review) -> JSON:
    """The answer of `review`: findings at their lines; the model's words where it is not whole."""
    result: JSON = {
        "id": call.id,
        "status": review.status,
        "summary": review.summary,
        "findings": [_finding(one) for one in review.findings],
        "range": range_of(task),
        "repaired": False,
        "warnings": warnings_of(task, context) + [asdict(one) for one in review.warnings],
        **provenance(call, context, said),
    }
    if review.status != "reviewed":
        result["text"] = review.text
    return result


def writing(call: Call, task: Task, context: Context, said: Completion, file: NewFile) -> JSON:
    """The answer of `tests`: a new file, and the diff that creates it."""
    return {
        "id": call.id,
        "status": file.status,
        "path": file.path,
        "text": file.text,
        "diff": file.diff,
        "sha256": file.sha256,
        "range": range_of(task),
        "syntax": file.syntax,
        "repaired": False,
        "notes": file.notes,
        "warnings": warnings_of(task, context) + [asdict(one) for one in file.warnings],
        **provenance(call, context, said),
    }


def rewriting(
    call: Call, task: Task, context: Context, said: Completion, revision: Revision
) -> JSON:
    """The answer of `rewrite`: a status and, when something changed, the diff that makes it so."""
    file, resolution = task.question.material.file, revision.resolution
    return {
        "id": call.id,
        "status": resolution.status,
        "range": range_of(task),
        **_changes(task, revision),
        "base_sha256": file.sha256,
        "result_sha256": hashlib.sha256(revision.after).hexdigest(),
        "newline": file.newline,
        "adjusted": list(resolution.adjusted),
        "syntax": revision.syntax,
        "repaired": False,
        "notes": resolution.notes,
        "warnings": warnings_of(task, context) + [asdict(remark) for remark in resolution.warnings],
        **provenance(call, context, said),
    }


def edit_of(edit: TextEdit) -> JSON:
    """One edit as the language server protocol has it."""
    return {"range": place(edit.range), "new_text": edit.new_text}


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


def _of_text(task: Task, context: Context, said: Completion) -> list[JSON]:
    """The warnings of an answer that is a text."""
    warnings = warnings_of(task, context)
    if said.finish_reason == "length":
        why = "The model reached its limit of output tokens; the text ends early."
        warnings.append(remark_of("truncated", why))
    elif not said.text.strip():
        warnings.append(remark_of("empty_answer", "The model said nothing; ask again."))
    return warnings


def _reference(one: references.Reference) -> JSON:
    first, end = one.lines
    found: JSON = {"path": one.path}
    found["range"] = {"start": position(first, 0), "end": position(end, 0)}
    return found | ({"name": one.name} if one.name else {})


def _finding(one: Finding) -> JSON:
    return {**one.fields, "range": None if one.place is None else place(one.place)}
