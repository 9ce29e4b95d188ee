"""What must hold of an answer to a task, however little a model knows: assert_honest."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path
from typing import Any

from gateway.domain.actions import BY_NAME, COMMON
from tests.live.tasks import LiveTask

Result = dict[str, Any]

SEVERITIES = ("error", "warning", "information", "hint")


def assert_honest(task: LiveTask, said: Result, folder: Path) -> None:
    """The shape of its action, a report that adds up, and changes that git makes byte for byte."""
    action = BY_NAME[task.action]
    promised = {*COMMON, *action.fields}
    assert promised <= set(said) <= promised | {"text"}, set(said) ^ promised
    assert said["finish_reason"] in ("stop", "length")
    assert said["usage"]["completion_tokens"] <= (2 if said.get("repaired") else 1) * task.tokens
    _assert_named(said["prompt"], action.prompt)
    _assert_adds_up(said["context"])
    if "range" in said:
        _assert_inside(said["range"], task.content)
    {
        "explanation": _explanation,
        "rewriting": _rewriting,
        "review": _review,
        "file": _new_file,
        "commit_message": _commit_message,
        "message": _message,
    }[action.form](task, said, folder)


def status(said: Result) -> str:
    """How it went, in one word: what a result without a status says by being there."""
    return str(said.get("status", said["finish_reason"]))


def streamed(task: LiveTask, text: str) -> Result:
    """The result at the end of a stream, whose other events agree with it."""
    *events, last = text.strip().split("\n\n")
    assert last == "data: [DONE]", text
    told = [event.split("\n", 1) for event in events if not event.startswith(":")]
    names = [head.removeprefix("event: ") for head, _ in told]
    bodies = [json.loads(rest.removeprefix("data: ")) for _, rest in told]
    assert names[0] == "context", names
    assert names[-1] == "result", bodies[-1]
    assert set(names[1:-1]) <= {"delta", "hunk", "repair"}, names
    result: Result = bodies[-1]
    assert bodies[0] == result["context"]
    field = {"explanation": "explanation", "message": "message"}.get(BY_NAME[task.action].form)
    if field:
        deltas = (body for name, body in zip(names, bodies, strict=True) if name == "delta")
        joined = "".join(delta["choices"][0]["delta"].get("content") or "" for delta in deltas)
        assert joined.strip() == result[field].strip()
    return result


def _assert_named(prompt: Result, name: str) -> None:
    assert prompt["name"] == name
    assert re.fullmatch(r"\d+\.\d+\.\d+", prompt["version"])
    assert re.fullmatch(r"[0-9a-f]{12}", prompt["sha"])


def _assert_adds_up(context: Result) -> None:
    assert context["used"] == sum(item["tokens"] for item in context["items"])
    assert context["used"] + context["reserved_output"] <= context["window"]


def _assert_inside(place: Result, content: str) -> None:
    """Both ends are in the file (in UTF-16 units), the first before the second."""
    start, end = ((place[end]["line"], place[end]["character"]) for end in ("start", "end"))
    rows = re.split("\r\n|\r|\n", content)
    assert (0, 0) <= start <= end
    for line, character in (start, end):
        assert character <= len(rows[line].encode("utf-16-le")) // 2


def _explanation(task: LiveTask, said: Result, folder: Path) -> None:
    assert said["explanation"].strip()


def _message(task: LiveTask, said: Result, folder: Path) -> None:
    assert said["message"].strip()


def _commit_message(task: LiveTask, said: Result, folder: Path) -> None:
    parts = [part for part in (said["subject"], said["body"]) if part]
    assert said["message"] == "\n\n".join(parts) != ""
    assert "\n" not in said["subject"]


def _rewriting(task: LiveTask, said: Result, folder: Path) -> None:
    assert said["status"] in ("changed", "no_change", "truncated", "unresolved")
    assert bool(said["diff"]) == (said["status"] == "changed") == bool(said["edits"])
    before = task.content.encode()
    assert said["base_sha256"] == _sha(before)
    assert said["newline"] == ("crlf" if b"\r\n" in before else "lf")
    path = task.sent["file"]["path"]
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(before)
    if said["status"] in ("truncated", "unresolved"):
        assert said["text"]
        assert said["warnings"]
    if said["diff"]:
        _git_apply(said["diff"], folder)
        assert file.read_bytes() != before
        assert _edited(task.content, said["edits"]).encode() == file.read_bytes()
    assert said["result_sha256"] == _sha(file.read_bytes())


def _edited(content: str, edits: list[Result]) -> str:
    """The file after the LSP edits, all of which speak of it as it was; a byte order mark is no
    character to them."""
    mark, content = ("\ufeff", content[1:]) if content.startswith("\ufeff") else ("", content)
    units = content.encode("utf-16-le")
    starts = [0] + [match.end() for match in re.finditer("\r\n|\r|\n", content)]
    offsets = [len(content[:start].encode("utf-16-le")) for start in starts]

    def offset(position: Result) -> int:
        return offsets[position["line"]] + 2 * int(position["character"])

    for edit in sorted(edits, key=lambda one: offset(one["range"]["start"]), reverse=True):
        first, end = offset(edit["range"]["start"]), offset(edit["range"]["end"])
        units = units[:first] + edit["new_text"].encode("utf-16-le") + units[end:]
    return mark + units.decode("utf-16-le")


def _review(task: LiveTask, said: Result, folder: Path) -> None:
    assert said["status"] in ("reviewed", "truncated", "unresolved")
    assert ("text" in said) == (said["status"] != "reviewed")
    if said["status"] != "reviewed":
        assert said["text"]
        assert said["warnings"]
    if said["status"] == "truncated":
        assert said["finish_reason"] == "length"
    for finding in said["findings"]:
        assert finding["severity"] in SEVERITIES
        if finding["range"] is not None:
            _assert_inside(finding["range"], task.content)
            first = finding["range"]["start"]["line"]
            row = re.split("\r\n|\r|\n", task.content)[first]
            assert finding["quote"].strip() == row.strip() or finding["quote"].strip() in row


def _new_file(task: LiveTask, said: Result, folder: Path) -> None:
    assert said["status"] in ("created", "truncated", "unresolved")
    assert bool(said["diff"]) == (said["status"] == "created")
    assert said["text"]
    wanted = task.sent.get("options", {}).get("target_path")
    assert wanted in (None, said["path"])
    if said["diff"]:
        _git_apply(said["diff"], folder)
        content = (folder / said["path"]).read_bytes()
        assert _sha(content) == said["sha256"]
        assert content.decode() == said["text"]


def _git_apply(diff: str, folder: Path) -> None:
    command = ["git", "apply", "-"]
    ran = subprocess.run(command, input=diff.encode(), cwd=folder, capture_output=True, check=False)
    assert ran.returncode == 0, (ran.stderr.decode(), diff)


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
