"""What each field of a result of /api/ai/* holds, for the reference page: type and meaning."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.domain.actions import Form

Told = Mapping[str, tuple[str, str]]
"""Fields by name, each with its type and what it means; `type?` may be null or left out."""

EVERY: Told = {
    "id": ("string", "of the request: the header `x-request-id`, the log, the trace"),
    "warnings": ("array of warning", "to be shown next to the answer; mostly empty"),
    "model": ("string", "the name that was asked for"),
    "served_model": ("string", "what the replica calls it"),
    "replica": ("string", "who answered"),
    "finish_reason": ("string?", "`stop`; `length`: the limit of tokens was reached"),
    "attempts": ("integer", "requests that replicas got for this answer"),
    "usage": ("usage?", "tokens; null where nobody counted"),
    "prompt": ("prompt", "which text of which prompt was used"),
    "context": ("context", "what went into the prompt"),
}

_RANGE = ("range", "the lines that the answer is about, as they grew")
_REPAIRED = ("boolean", "the answer was asked for a second time, and this is that one")
_NOTES = ("string", "the model's prose around the text; mostly empty")
_DIFF = ("string", "a diff of git's; empty where nothing changes")

OWN: Mapping[Form, Told] = {
    "explanation": {
        "explanation": ("string", "Markdown"),
        "references": ("array of reference", "the places that it names"),
        "range": _RANGE,
    },
    "rewriting": {
        "status": ("string", "`changed`, `no_change`, `truncated` or `unresolved`"),
        "text": ("string?", "takes the place of `range`; left out unless in `options.format`"),
        "diff": (_DIFF[0] + "?", _DIFF[1] + "; left out unless in `options.format`"),
        "edits": ("array of edit?", "left out unless in `options.format`"),
        "hunks": ("array of hunk", "the numbers of the diff"),
        "range": _RANGE,
        "base_sha256": ("string", "of the file's bytes before, in hex"),
        "result_sha256": ("string", "of the file's bytes afterwards"),
        "newline": ("string", "`lf`, `crlf` or `mixed`: of the file as sent"),
        "syntax": ("string", "`ok`, `worse` or `unknown`"),
        "adjusted": ("array of string", "what was mended in the answer"),
        "repaired": _REPAIRED,
        "notes": _NOTES,
    },
    "review": {
        "status": ("string", "`reviewed`, `truncated` or `unresolved`"),
        "summary": ("string", "the whole in a sentence or two"),
        "findings": ("array of finding", "the worst first; may be empty"),
        "text": ("string?", "the model's own words, where the status is not `reviewed`"),
        "range": _RANGE,
        "repaired": _REPAIRED,
    },
    "file": {
        "status": ("string", "`created`, `truncated` or `unresolved`"),
        "path": ("string", "of the new file, in the project"),
        "text": ("string", "of the new file; the model's own words where there is none"),
        "diff": ("string", "creates the file; empty where there is none"),
        "sha256": ("string?", "of the new file's bytes (UTF-8), in hex"),
        "range": _RANGE,
        "syntax": ("string", "`ok`, `worse` or `unknown`"),
        "repaired": _REPAIRED,
        "notes": _NOTES,
    },
    "commit_message": {
        "message": ("string", "subject, an empty line and body"),
        "subject": ("string", "the first line"),
        "body": ("string", "the rest; may be empty"),
    },
    "message": {"message": ("string", "Markdown")},
}

PARTS: Mapping[str, Told] = {
    "position": {
        "line": ("integer", "from 0"),
        "character": ("integer", "from 0, in units of `position_encoding`"),
    },
    "range": {"start": ("position", "the first character"), "end": ("position", "after the last")},
    "warning": {"code": ("string", "for programs"), "message": ("string", "for people")},
    "usage": {
        "prompt_tokens": ("integer", "a repair included"),
        "completion_tokens": ("integer", "a repair included"),
        "cached_tokens": ("integer", "of `prompt_tokens`, those from the replica's cache"),
    },
    "prompt": {
        "name": ("string", "of its file"),
        "version": ("string", "as in the file"),
        "sha": ("string", "12 hex digits of the text's hash"),
        "variant": ("string?", "left out where there are none"),
        "locale": ("string?", "`ko`; left out for the first text"),
    },
    "reference": {
        "path": ("string", "one of the files that were sent"),
        "range": ("range", "whole lines"),
        "name": ("string?", "of the definition; left out for `path:line`"),
    },
    "edit": {
        "range": ("range", "in positions of the old file"),
        "new_text": ("string", "takes its place"),
    },
    "hunk": {
        "old_start, old_lines": ("integer", "from 1, as in `@@`; 0 where there are none"),
        "new_start, new_lines": ("integer", "the same in the new file"),
        "added, removed": ("integer", "lines"),
    },
    "finding": {
        "severity": ("string", "`error`, `warning`, `information` or `hint`"),
        "category": (
            "string",
            "`bug`, `security`, `performance`, `readability`, `tests` or `other`",
        ),
        "quote": ("string", "the line that it is about, as the model quotes it"),
        "message": ("string", "what is wrong"),
        "suggestion": ("string", "what to write instead; may be empty"),
        "range": ("range?", "where the quoted line stands; null where it does not"),
    },
    "context": {
        "window, reserved_output, used": ("integer", "tokens: the model's, the answer's, ours"),
        "exact": ("boolean", "false where nobody could be asked to count"),
        "prefix_sha": ("string", "equal in two prompts that begin alike"),
        "items": (
            "array of item",
            "[what became of each part](../how-to/context.md#read-the-report)",
        ),
    },
    "item": {
        "id, kind, reason, why": ("string", "which part, why it is a candidate, what is missing"),
        "state": ("string", "`included`, `outlined`, `ranges`, `trimmed` or `dropped`"),
        "tokens": ("integer", "of it in the prompt"),
        "path": ("string?", "left out where it is no file"),
        "range": ("range?", "from the first to the last line that went in"),
        "ranges": ("array of range?", "where they are several runs; 100 at most"),
        "redacted": ("integer?", "secrets taken out; left out for none"),
    },
}
"""The objects that those fields hold."""
