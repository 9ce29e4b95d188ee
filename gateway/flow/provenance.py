"""What every answer of /api/ai/* says of itself: who made it, of what, and what to beware of."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from gateway.client.in_process import Completion
from gateway.domain.call import Call
from gateway.domain.context import Entry
from gateway.domain.source import Selection
from gateway.flow.context import Context
from gateway.flow.task import Task

JSON = dict[str, Any]
_MOST_RANGES = 100


def preview(call: Call, task: Task, context: Context) -> JSON:
    """The answer of `context/preview`: what an answer would have been made of."""
    return {
        "id": call.id,
        "range": range_of(task),
        "warnings": warnings_of(task, context),
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
    ranges = [{"start": position(first, 0), "end": position(end, 0)} for first, end in runs]
    if ranges:
        shown["range"] = {"start": ranges[0]["start"], "end": ranges[-1]["end"]}
    if len(ranges) > 1:
        shown["ranges"] = ranges[:_MOST_RANGES]
    for name in ("path", "redacted"):
        if not shown[name]:
            del shown[name]
    return shown


def provenance(call: Call, context: Context, said: Completion) -> JSON:
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


def warnings_of(task: Task, context: Context) -> list[JSON]:
    found = [asdict(remark) for remark in (*task.remarks, *context.remarks)]
    if not context.exact:
        why = "No replica could be asked to count tokens; the context was fitted by an estimate."
        found.append({"code": "estimated_tokens", "message": why})
    return found


def remark_of(code: str, message: str) -> JSON:
    """A warning."""
    return {"code": code, "message": message}


def range_of(task: Task) -> JSON | None:
    """The lines or columns that the answer is about, as the client counts; None where it is
    about no file."""
    material = task.question.material
    if not material.has_file or material.touched:
        return None
    return place(material.file.selection(material.span, task.units))


def place(found: Selection) -> JSON:
    """A range as the language server protocol has it."""
    return {
        "start": position(found.start.line, found.start.character),
        "end": position(found.end.line, found.end.character),
    }


def position(line: int, character: int) -> JSON:
    """A position, both numbers from 0."""
    return {"line": line, "character": character}
