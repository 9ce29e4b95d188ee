"""The tests that a prompt file carries: inputs rendered, a recorded answer resolved, no model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from gateway.adapters.prompt_bundle import Bundle, every_face
from gateway.adapters.prompt_files import PromptProblem, front_of, problem_at
from gateway.adapters.prompt_front import AnswerExpected, RenderExpected, Trial
from gateway.adapters.prompt_render import Loaded, render
from gateway.adapters.prompts import PromptFiles
from gateway.domain import control_tokens
from gateway.domain.answer import Answer, Original, Protocol, Resolution, resolve
from gateway.domain.diff import apply, compare
from gateway.domain.errors import GatewayError
from gateway.domain.prompt import Rendered


@dataclass(frozen=True, slots=True)
class Verdict:
    """One test on one of a prompt's texts. `faults` says what does not hold, a sentence each."""

    prompt: str
    locale: str
    variant: str
    number: int
    name: str
    faults: tuple[str, ...]
    problem: PromptProblem | None


def failures(prompts: PromptFiles, name: str) -> list[str]:
    """What does not hold in the tests of this prompt, a sentence each; empty when all hold."""
    return [
        f"{verdict.problem.file}: E140 test {verdict.name!r}: {fault}"
        for verdict in verdicts(prompts.family(name).working)
        if verdict.problem is not None
        for fault in verdict.faults
    ]


def verdicts(bundle: Bundle) -> Iterator[Verdict]:
    """Every test on the text of its language; on a variant with a text of its own, whether that
    has the same roles."""
    for locale, variant, loaded in every_face(bundle):
        plain = bundle.faces[locale, ""]
        if variant and loaded.source is plain.source:
            continue
        for number, trial in enumerate(loaded.front.tests):
            faults = tuple(_of_variant(loaded, trial) if variant else _of(bundle, loaded, trial))
            problem = _problem(plain, variant, number, faults) if faults else None
            yield Verdict(bundle.name, locale, variant, number, trial.name, faults, problem)


def _problem(plain: Loaded, variant: str, number: int, faults: tuple[str, ...]) -> PromptProblem:
    name = plain.front.tests[number].name
    where = f" with variant {variant}" if variant else ""
    message = f"test {name!r}{where}: {'; '.join(faults)}"
    fix = "change the text, or what the test expects of it"
    source = plain.source
    return problem_at(source, front_of(source), ("tests", number, "name"), "E140", message, fix)


def _of_variant(loaded: Loaded, trial: Trial) -> Iterator[str]:
    roles = RenderExpected(roles=trial.render.roles)
    rendered = _rendered(loaded, trial.inputs)
    yield from [rendered] if isinstance(rendered, str) else _of_messages(rendered, roles)


def _of(bundle: Bundle, loaded: Loaded, trial: Trial) -> Iterator[str]:
    rendered = _rendered(loaded, trial.inputs)
    if isinstance(rendered, str):
        yield rendered
        return
    yield from _of_messages(rendered, trial.render)
    if trial.render.same_prefix_as is not None:
        yield from _of_prefix(bundle, loaded, trial, rendered)
    if trial.reply is not None and trial.expect is not None:
        reply = control_tokens.restore(trial.reply)
        if loaded.front.output.protocol in ("tagged", "edits"):
            yield from _of_tagged(reply, loaded, trial, rendered)
        else:
            yield from _of_text(reply, loaded, trial.expect)


def _rendered(loaded: Loaded, inputs: Mapping[str, Any]) -> Rendered | str:
    try:
        return render(loaded, inputs)
    except GatewayError as error:
        return f"it does not render: {error}"


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


def _of_prefix(bundle: Bundle, loaded: Loaded, trial: Trial, rendered: Rendered) -> Iterator[str]:
    other = trial.render.same_prefix_as or ""
    locale = loaded.prompt.ref.locale
    inputs = {one.name: one.inputs for one in loaded.front.tests}.get(other, trial.inputs)
    face = bundle.faces.get((locale, other), loaded)
    if face is loaded and other not in {one.name for one in loaded.front.tests}:
        yield f"same_prefix_as: there is no test and no variant {other!r}"
        return
    against = _rendered(face, inputs)
    if isinstance(against, str) or against.messages[0] != rendered.messages[0]:
        yield f"its first message is not that of {other!r}"


def _of_text(reply: str, loaded: Loaded, expected: AnswerExpected) -> Iterator[str]:
    """A plain answer is its text; a structured one is JSON."""
    told = expected.model_fields_set - {"contains", "text", "valid"}
    if told:
        yield f"{', '.join(sorted(told))}: only an answer in a tag has that"
    if expected.text not in (None, reply.strip()):
        yield f"the text is {reply.strip()!r}, not {expected.text!r}"
    yield from (f"the answer lacks {part!r}" for part in expected.contains if part not in reply)
    schema = loaded.front.output.answer_schema
    if expected.valid is not None:
        why = "it is not held to a schema" if schema is None else _unfit(reply, schema)
        if expected.valid != (not why):
            yield f"valid is {not why}" + (f": {why}" if why else "")


def _unfit(reply: str, schema: Mapping[str, Any]) -> str:
    """What is wrong with an answer that the server did not hold to its schema."""
    try:
        answer = json.loads(reply)
    except json.JSONDecodeError as error:
        return f"not JSON, line {error.lineno}: {error.msg}"
    found = best_match(Draft202012Validator(schema).iter_errors(answer))
    return f"{found.json_path}: {found.message}" if found else ""


def _of_tagged(reply: str, loaded: Loaded, trial: Trial, rendered: Rendered) -> Iterator[str]:
    original = _original(loaded, trial.inputs)
    if original is None or rendered.tag is None:
        yield "a 'reply' needs an input code[…,selected,…] and a 'tag'"
        return
    # A server cuts the closing tag off, because it is a stop word, and says so.
    closed = f"</{rendered.tag}" in reply or trial.finish == "length"
    answer = Answer(reply, trial.finish, None if closed else f"</{rendered.tag}>")
    echoes = (f"selected{rendered.suffix}",)
    protocol = Protocol(rendered.tag, rendered.prefill or "", echoes, rendered.edits)
    resolution = resolve(answer, original, protocol)
    if loaded.front.output.kind == "file" and not resolution.text.strip():
        resolution = Resolution("unresolved", reply)
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
    lacks = (part for part in expected.contains if part not in resolution.text)
    yield from (f"the text lacks {part!r}" for part in lacks)


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


def _original(loaded: Loaded, inputs: Mapping[str, Any]) -> Original | None:
    """What the answer takes the place of: the selection, or nothing where it is a new file."""
    for name, spec in loaded.front.inputs.items():
        if spec.shape.kind == "code" and "selected" in spec.shape.names and inputs.get(name):
            file = dict(inputs[name])
            language = file.get("language", "plaintext")
            if loaded.front.output.kind == "file":
                return Original("", language=language)
            return Original(
                selected=file.get("selected", ""),
                before=file.get("before", ""),
                after=file.get("after", ""),
                language=language,
            )
    return None
