"""From the body of POST /api/ai/* to a Task: held to its action, and told what to type instead."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from gateway.domain.actions import ACTIONS, BY_NAME, INTENTS, Action, meant, own_options
from gateway.domain.document import did_you_mean
from gateway.domain.errors import InvalidRequest
from gateway.flow.task import ALL_FORMATS, Question, Task
from gateway.web.assist_body import SHAPES, Asked, MessageRequest
from gateway.web.assist_material import material_of, target_of

ROUTE = "/api/ai/"


class InvalidBody(InvalidRequest):
    """A JSON body whose fields do not fit the schema."""

    status = 422
    code = "invalid_body"


_SAY = {
    "instruction": 'say what to change, for example "instruction": "handle an empty list"',
    "diagnostics": "send what a compiler or linter says, each with its range and message; without "
    f"any, say what to change at {ROUTE}rewrite",
    "diff": "send what `git diff --staged` writes",
}


def read_request(body: dict[str, Any], action: Action) -> tuple[Asked, Action]:
    """The request, and the action that it means. InvalidBody (422) names each field that does not
    fit, and what was meant."""
    intent = body.get("action")
    wanted = action
    if isinstance(intent, str) and intent in INTENTS:
        found = meant(action, intent)
        if found is None:
            raise InvalidBody(_elsewhere(action, intent), param="action")
        wanted = found
    request = _valid(SHAPES[action.subject], body, action)
    _check(request, wanted)
    return request, wanted


def read_preview(body: dict[str, Any]) -> tuple[Asked, Action]:
    """The request for a preview, whose field `action` names the action. InvalidBody as above."""
    name = body.get("action", ACTIONS[0].name)
    if not isinstance(name, str) or name not in BY_NAME:
        known = ", ".join(BY_NAME)
        hint = did_you_mean(name, BY_NAME) if isinstance(name, str) else f"known: {known}."
        raise InvalidBody(f"action: is not one of {known}; {hint}", param="action")
    rest = {key: value for key, value in body.items() if key != "action"}
    return read_request(rest, BY_NAME[name])


def _elsewhere(action: Action, intent: str) -> str:
    there = f"send this to {ROUTE}{INTENTS[intent]}"
    fits = " or ".join(map(repr, action.intents))
    instead = f"send {fits}, or leave it out" if fits else "leave it out"
    return f"action: {intent!r} does not fit {ROUTE}{action.name}; {there}, or {instead}."


def _valid(shape: type[Asked], body: dict[str, Any], action: Action) -> Asked:
    try:
        return shape.model_validate(body)
    except ValidationError as error:
        raise _explained(error, shape, action) from None


def _check(request: Asked, action: Action) -> None:
    """What the action needs is there, and nothing that only others have."""
    for name in action.needs:
        held = getattr(request, name)
        if not (held.strip() if isinstance(held, str) else held):
            where = f" for {ROUTE}{action.name}"
            say = _SAY[name]
            if action.subject == "message":
                say = 'say what you want to know, for example "instruction": "What is a mutex?"'
            raise InvalidBody(f"{name} is missing{where}: {say}.", param=name)
    for name, owners in own_options().items():
        if action.name not in owners and getattr(request.options, name) is not None:
            routes = " and ".join(ROUTE + owner for owner in owners)
            raise InvalidBody(
                f"options.{name} is for {routes}, not for {ROUTE}{action.name}; leave it out.",
                param=f"options.{name}",
            )
    if isinstance(request, MessageRequest) and request.file is None:
        for name in ("selection", "diagnostics"):
            if getattr(request, name):
                raise InvalidBody(f"{name} without a file: send file as well.", param=name)


def _explained(error: ValidationError, shape: type[Asked], action: Action) -> InvalidBody:
    found = []
    for item in error.errors(include_url=False, include_input=False)[:5]:
        where = ".".join(str(step) for step in item["loc"]) or "the body"
        says = item["msg"][0].lower() + item["msg"][1:]
        if item["type"] == "extra_forbidden":
            hint = did_you_mean(str(item["loc"][-1]), _names(item["loc"][:-1], shape))
            says = f"is not known to {ROUTE}{action.name}; {hint}"
        elif item["type"] == "missing" and where in _SAY:
            says = f"{says}; {_SAY[where]}"
        found.append(f"{where}: {says}" + ("" if says.endswith(("?", ".")) else "."))
    param = ".".join(str(step) for step in error.errors()[0]["loc"])
    return InvalidBody(" ".join(found), param=param or None)


def _names(path: tuple[int | str, ...], shape: type[Asked]) -> list[str]:
    """The fields that there are where `path` leads to."""
    schema = shape.model_json_schema()
    here: dict[str, Any] = schema
    for step in path:
        here = here.get("items", here) if isinstance(step, int) else here["properties"][step]
        for option in here.get("anyOf", [here]):
            here = option if "$ref" in option or "items" in option else here
        if "$ref" in here:
            here = schema["$defs"][here["$ref"].rsplit("/", 1)[1]]
    return list(here.get("properties", {}))


def task_of(request: Asked, action: Action) -> Task:
    """The Task. StaleFile (409) when the hash is of another version; BadPath, BadEncoding,
    InvalidRange, NoDiff (422)."""
    options, material = request.options, material_of(request)
    about = request if isinstance(request, MessageRequest) else None
    return Task(
        question=Question(
            material=material,
            prompt=request.prompt.name or action.prompt,
            answer_language=request.answer_language,
            scope=about.scope if about and about.selection else "file",
            session=request.client.session or "",
        ),
        model=request.model,
        prompt_version=request.prompt.version,
        prompt_variant=request.prompt.variant,
        session=request.client.session or "",
        units=about.position_encoding if about else "utf-16",
        diff_context=options.diff_context,
        max_tokens=options.max_output_tokens,
        formats=ALL_FORMATS if options.format is None else frozenset(options.format),
        repairs=bool(options.repair),
        syntax_check=options.syntax_check,
        dry_run=options.dry_run,
        target_path=target_of(options.target_path, material),
    )
