"""The body of POST /api/ai/*: its schema, and what becomes of it: a Task."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.domain import source
from gateway.domain.answer import Remark
from gateway.domain.document import did_you_mean
from gateway.domain.errors import InvalidRequest
from gateway.domain.source import PositionEncoding
from gateway.flow.job import Action
from gateway.flow.task import ALL_FORMATS, Format, Question, Task
from gateway.web.assist_material import StaleFile, material_of

Severity = Literal["error", "warning", "information", "hint"]
Asked = TypeVar("Asked", bound="AssistRequest")
Name = Annotated[str, Field(min_length=1, max_length=1024)]


class InvalidBody(InvalidRequest):
    """A JSON body whose fields do not fit the schema."""

    status = 422
    code = "invalid_body"


class Part(BaseModel):
    """A group of fields; others are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class At(Part):
    """A position, both numbers from 0."""

    line: int = Field(ge=0)
    character: int = Field(ge=0)


class Range(Part):
    """From `start` up to `end`."""

    start: At
    end: At


class File(Part):
    """The file that the question is about, as the editor has it now."""

    path: Name = Field(examples=["src/mean.py"])
    content: str = Field(examples=["def mean(xs):\n    return sum(xs) / len(xs)\n"])
    language: str | None = None
    encoding: str | None = Field(default=None, description="Encoding on disk; UTF-8 by default.")
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-fA-F]{64}$")
    version: int | None = None


class RelatedFile(Part):
    """Another file; `reason` says why it is sent."""

    path: Name
    content: str
    reason: Literal["open", "import", "definition", "attached"] = "open"
    ranges: list[Range] | None = Field(default=None, max_length=100)
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-fA-F]{64}$")


class Declaration(Part):
    """What the editor knows of a name: its signature, or all of its text."""

    name: Name
    path: Name
    text: str


class RecentEdit(Part):
    """A change of the last minutes, as a diff."""

    path: Name
    diff: str


class RuleFile(Part):
    """A file of rules such as AGENTS.md, root first."""

    path: Name
    content: str


class Said(Part):
    """What a compiler or linter says."""

    range: Range
    severity: Severity = "error"
    code: str | int | None = None
    message: str


class Message(Part):
    """A turn of the conversation so far."""

    role: Literal["user", "assistant"]
    content: str


class PromptChoice(Part):
    """Another prompt file than the route's own."""

    name: Name | None = None
    version: str | None = None
    variant: str | None = None


class Options(Part):
    """How to answer."""

    diff_context: int = Field(default=3, ge=0, le=100)
    max_output_tokens: int | None = Field(default=None, ge=1)
    timeout_s: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    format: list[Format] | None = Field(default=None, description="All when left out.")
    repair: int = Field(default=0, ge=0, le=1, description="Second tries at a useless answer.")
    syntax_check: bool = True
    dry_run: bool = False


class Client(Part):
    """What the client says of itself."""

    request_id: str | None = None
    session: str | None = None
    ide: str | None = None


class AssistRequest(Part):
    """One question about code."""

    file: File
    selection: Range | None = Field(default=None, description="Whole file when left out.")
    position_encoding: PositionEncoding = "utf-16"
    scope: Literal["selection", "auto", "file"] = "selection"
    instruction: str = Field(default="", max_length=4000)
    action: Literal["explain", "fix", "doc", "test", "refactor", "custom"] | None = None
    related: list[RelatedFile] = Field(default=[], max_length=64)
    declarations: list[Declaration] = Field(default=[], max_length=256)
    diagnostics: list[Said] = Field(default=[], max_length=1000)
    rules: list[RuleFile] = Field(default=[], max_length=64)
    conversation: list[Message] = Field(default=[], max_length=1000)
    recent_edits: list[RecentEdit] = Field(default=[], max_length=64)
    prompt: PromptChoice = PromptChoice()
    model: Name | None = None
    answer_language: str = Field(default="", max_length=40, examples=["ko"])
    options: Options = Options()
    client: Client = Client()


class PreviewRequest(AssistRequest):
    """The body of `context/preview`: that of an action, and which one."""

    action: Literal["explain", "rewrite"] = "explain"  # type: ignore[assignment]

    @property
    def about(self) -> Action:
        """The action whose prompt is meant."""
        return self.action


# Part of the schema from the first day, so that clients can be written once; not used yet.
_NOT_YET = (("action",),)


def read_request(body: dict[str, Any], action: Action) -> AssistRequest:
    """The request. InvalidBody (422) names each field that does not fit, and what was meant."""
    return _checked(_valid(AssistRequest, body), action)


def read_preview(body: dict[str, Any]) -> PreviewRequest:
    """The request for a preview. InvalidBody (422) as above."""
    request = _valid(PreviewRequest, body)
    _checked(request, request.about)
    return request


def _valid(shape: type[Asked], body: dict[str, Any]) -> Asked:
    try:
        return shape.model_validate(body)
    except ValidationError as error:
        raise _explained(error) from None


def _checked(request: AssistRequest, action: Action) -> AssistRequest:
    if action == "rewrite" and not request.instruction.strip():
        raise InvalidBody(
            "instruction is missing: say what to change, for example "
            '"instruction": "handle an empty list".',
            param="instruction",
        )
    if request.options.dry_run:
        raise InvalidBody(
            "options.dry_run is not offered yet; leave it out.", param="options.dry_run"
        )
    return request


def _explained(error: ValidationError) -> InvalidBody:
    found = []
    for item in error.errors(include_url=False, include_input=False)[:5]:
        where = ".".join(str(step) for step in item["loc"]) or "the body"
        says = item["msg"][0].lower() + item["msg"][1:]
        if item["type"] == "extra_forbidden":
            says = f"is not known; {did_you_mean(str(item['loc'][-1]), _names(item['loc'][:-1]))}"
        found.append(f"{where}: {says}" + ("" if says.endswith(("?", ".")) else "."))
    param = ".".join(str(step) for step in error.errors()[0]["loc"])
    return InvalidBody(" ".join(found), param=param or None)


def _names(path: tuple[int | str, ...]) -> list[str]:
    """The fields that there are where `path` leads to."""
    schema = AssistRequest.model_json_schema()
    here: dict[str, Any] = schema
    for step in path:
        here = here.get("items", here) if isinstance(step, int) else here["properties"][step]
        for option in here.get("anyOf", [here]):
            here = option if "$ref" in option or "items" in option else here
        if "$ref" in here:
            here = schema["$defs"][here["$ref"].rsplit("/", 1)[1]]
    return list(here.get("properties", {}))


def task_of(request: AssistRequest, action: Action) -> Task:
    """The Task. StaleFile (409) when the hash is of another version; BadPath, BadEncoding,
    InvalidRange (422)."""
    sent = request.file
    file = source.read(sent.path, sent.content, encoding=sent.encoding, language=sent.language)
    if sent.sha256 is not None and sent.sha256.lower() != file.sha256:
        raise StaleFile(sent.sha256.lower(), file.sha256)
    options = request.options
    return Task(
        question=Question(
            material=material_of(request, file),
            prompt=request.prompt.name or f"code/{action}",
            answer_language=request.answer_language,
            scope="file" if request.selection is None else request.scope,
            session=request.client.session or "",
        ),
        model=request.model,
        prompt_version=request.prompt.version,
        prompt_variant=request.prompt.variant,
        session=request.client.session or "",
        units=request.position_encoding,
        diff_context=options.diff_context,
        max_tokens=options.max_output_tokens,
        formats=ALL_FORMATS if options.format is None else frozenset(options.format),
        repairs=bool(options.repair),
        syntax_check=options.syntax_check,
        remarks=tuple(_unused(request)),
    )


def _unused(request: AssistRequest) -> list[Remark]:
    """A warning for each field that was sent and has no effect yet: nothing is dropped silently."""
    preview = isinstance(request, PreviewRequest)
    found = [
        ".".join(path)
        for path in _NOT_YET
        if _sent(request, path) and not (preview and path == ("action",))
    ]
    return [Remark("ignored_field", f"{name} has no effect yet.") for name in found]


def _sent(request: AssistRequest, path: tuple[str, ...]) -> bool:
    here: Any = request
    for step in path:
        if step not in here.model_fields_set:
            return False
        here = getattr(here, step)
    return here not in (None, [], {})
