"""The tests that a prompt file carries: inputs rendered, a recorded answer resolved, no model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gateway.adapters.prompt_front import AnswerExpected, RenderExpected, Trial
from gateway.adapters.prompts import Loaded, PromptFiles
from gateway.domain.answer import Answer, Original, Protocol, Resolution, resolve
from gateway.domain.diff import apply, compare
from gateway.domain.errors import GatewayError
from gateway.domain.ports import Rendered


def failures(prompts: PromptFiles, name: str) -> list[str]:
    """What does not hold in the tests of this prompt, a sentence each; empty when all hold."""
    loaded = prompts.loaded(name)
    return [
        f"{loaded.source.file}: E140 test {trial.name!r}: {what}"
        for trial in loaded.front.tests
        for what in _failures(prompts, loaded, trial)
    ]


def _failures(prompts: PromptFiles, loaded: Loaded, trial: Trial) -> Iterator[str]:
    try:
        rendered = prompts.render(loaded.front.name, trial.inputs)
    except GatewayError as error:
        yield f"it does not render: {error}"
        return
    yield from _of_messages(rendered, trial.render)
    if trial.reply is not None and trial.expect is not None:
        yield from _of_answer(prompts.restore(trial.reply), loaded, trial, rendered)


def _of_messages(rendered: Rendered, expected: RenderExpected) -> Iterator[str]:
    roles = [message["role"] for message in rendered.messages]
    text = "\n".join(message["content"] for message in rendered.messages)
    if expected.roles is not None and roles != expected.roles:
        yield f"the roles are {roles}, not {expected.roles}"
    for part in expected.contains:
        if part not in text:
            yield f"the messages do not contain {part!r}"
    for part in expected.lacks:
        if part in text:
            yield f"the messages contain {part!r}"
    if expected.max_chars is not None and len(text) > expected.max_chars:
        yield f"the messages have {len(text)} characters, more than {expected.max_chars}"


def _of_answer(reply: str, loaded: Loaded, trial: Trial, rendered: Rendered) -> Iterator[str]:
    file = _selected_file(loaded, trial.inputs)
    if file is None or rendered.tag is None:
        yield "a 'reply' needs an input code[…,selected,…] and a 'tag'"
        return
    original = Original(
        selected=file["selected"],
        before=file.get("before", ""),
        after=file.get("after", ""),
        language=file.get("language", "plaintext"),
    )
    # A server cuts the closing tag off, because it is a stop word, and says so.
    closed = f"</{rendered.tag}" in reply
    answer = Answer(reply, "stop", None if closed else f"</{rendered.tag}>")
    echoes = (f"selected{rendered.suffix}",)
    protocol = Protocol(rendered.tag, rendered.prefill or "", echoes, rendered.edits)
    resolution = resolve(answer, original, protocol)
    assert trial.expect is not None
    yield from _of_resolution(resolution, trial.expect)
    wants_diff = trial.expect.model_fields_set & {"diff_applies", "added", "removed"}
    if resolution.status not in ("changed", "no_change"):
        if wants_diff:
            yield f"there is no diff: the answer is {resolution.status!r}"
    else:
        yield from _of_diff(original, resolution, trial.expect)


def _of_resolution(resolution: Resolution, expected: AnswerExpected) -> Iterator[str]:
    if expected.status not in (None, resolution.status):
        why = "".join(f" ({remark.message})" for remark in resolution.warnings)
        yield f"the answer is {resolution.status!r}, not {expected.status!r}{why}"
    if expected.text not in (None, resolution.text):
        yield f"the text is {resolution.text!r}, not {expected.text!r}"


def _of_diff(original: Original, resolution: Resolution, expected: AnswerExpected) -> Iterator[str]:
    before = (original.before + original.selected + original.after).encode()
    after = (original.before + resolution.text + original.after).encode()
    found = compare("file", before, after)
    applies = apply(found.diff, before) == after
    for word, actual, wanted in (
        ("diff_applies", applies, expected.diff_applies),
        ("added", found.added, expected.added),
        ("removed", found.removed, expected.removed),
    ):
        if wanted not in (None, actual):
            yield f"{word} is {actual}, not {wanted}"


def _selected_file(loaded: Loaded, inputs: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for name, spec in loaded.front.inputs.items():
        if spec.shape.kind == "code" and "selected" in spec.shape.names and name in inputs:
            return dict(inputs[name])
    return None
