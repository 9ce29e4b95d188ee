"""The front matter of a prompt file; `python -m` this module prints its JSON Schema."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gateway.adapters.prompt_inputs import TYPE_PATTERN, InputType, texts

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]*(/[a-z0-9][a-z0-9_-]*)*$"
_TAG_PATTERN = r"^[a-z][a-z0-9_-]*$"
_RESERVED = frozenset({"loop", "range", "self", "super", "caller", "varargs", "kwargs"})

Role = Literal["system", "user", "assistant", "tool", "developer"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Params(_Part):
    """Fields of the request to the model that this prompt sets."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=2)] | None = None
    seed: int | None = None
    max_tokens: Literal["auto"] | Annotated[int, Field(ge=1)] = Field(
        default="auto", description="'auto': the gateway reserves what the answer needs."
    )
    stop: list[Annotated[str, Field(min_length=1)]] = Field(
        default=[], max_length=4, description="The closing tag of `output.tag` is added by itself."
    )


class ModelChoice(_Part):
    """Which model, by a name that clients may ask for, never a host."""

    alias: str | None = Field(default=None, description="Without it: what the request asks for.")
    params: Params = Params()


class InputSpec(_Part):
    """One input: its type, how far its text is trusted, and what it is when nobody gives it."""

    type: Annotated[str, Field(pattern=TYPE_PATTERN)] = Field(
        description="text, integer, boolean, conversation, choice[a,b], code[f,g?], items[f,g?]"
    )
    trust: Literal["user", "project", "untrusted"] = Field(
        description="user: who asks wrote it; project: rules of the team; untrusted: anything else."
    )
    default: Any = Field(default=None, description="Without it the input is required.")
    max_chars: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Longest text allowed, all fields together."
    )
    description: str = ""

    @property
    def required(self) -> bool:
        return "default" not in self.model_fields_set

    @property
    def shape(self) -> InputType:
        return InputType.read(self.type)

    def check(self, value: object) -> Any:
        """The value as plain types; ValueError when it does not fit."""
        checked = self.shape.check(value)
        length = sum(len(text) for text in texts(checked))
        if self.max_chars is not None and length > self.max_chars:
            raise ValueError(f"has {length} characters; {self.max_chars} are allowed")
        return checked

    @model_validator(mode="after")
    def _default_fits(self) -> InputSpec:
        if not self.required:
            try:
                self.check(self.default)
            except ValueError as error:
                raise ValueError(f"the default does not fit the type: it {error}") from None
        return self


class Output(_Part):
    """How the answer comes: the whole text, or what stands between <tag> and </tag>: the new text
    (`tagged`), or SEARCH/REPLACE blocks that change it (`edits`)."""

    kind: Literal["text", "rewrite"] = "text"
    protocol: Literal["plain", "tagged", "edits"] = "plain"
    tag: Annotated[str, Field(pattern=_TAG_PATTERN)] | None = None
    prefill: bool = Field(
        default=False, description="Begin the answer with the tag in the model's place."
    )

    @model_validator(mode="after")
    def _tag_and_protocol_agree(self) -> Output:
        if (self.protocol == "plain") != (self.tag is None):
            raise ValueError("'protocol: tagged' or 'edits' and 'tag' go together")
        if self.protocol == "edits" and self.kind != "rewrite":
            raise ValueError("'protocol: edits' needs 'kind: rewrite'")
        if self.prefill and self.tag is None:
            raise ValueError("'prefill: true' needs 'protocol: tagged' and a 'tag'")
        return self


class Cache(_Part):
    """Inputs from the most stable to the most volatile, in the order the template shows them."""

    order: list[str]


class RenderExpected(_Part):
    """What the messages made of a test's inputs must be."""

    roles: list[Role] | None = None
    contains: list[str] = []
    lacks: list[str] = []
    max_chars: int | None = None


class AnswerExpected(_Part):
    """What the gateway must make of a test's recorded `reply`."""

    status: Literal["changed", "no_change", "truncated", "unresolved"] | None = None
    diff_applies: bool | None = None
    added: int | None = None
    removed: int | None = None
    text: str | None = None


class Trial(_Part):
    """A test that needs no model."""

    name: str
    inputs: dict[str, Any]
    render: RenderExpected = RenderExpected()
    reply: str | None = Field(default=None, description="A model's answer, as it was recorded.")
    expect: AnswerExpected | None = None

    @model_validator(mode="after")
    def _reply_and_expect_agree(self) -> Trial:
        if (self.reply is None) != (self.expect is None):
            raise ValueError("'reply' and 'expect' go together")
        return self


class FrontMatter(_Part):
    """The part of a prompt file between the two lines of three dashes."""

    model_config = ConfigDict(title="Front matter of a prompt file")

    api: Literal["prompt/v1"]
    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")] = Field(
        description='In quotes: version: "1.4.0"'
    )
    description: Annotated[str, Field(min_length=1)]
    owners: list[str] = []
    model: ModelChoice = ModelChoice()
    inputs: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], InputSpec] = {}
    output: Output = Output()
    cache: Cache | None = None
    tests: list[Trial] = []

    @field_validator("inputs")
    @classmethod
    def _names_are_free(cls, inputs: dict[str, InputSpec]) -> dict[str, InputSpec]:
        taken = sorted(_RESERVED & inputs.keys())
        if taken:
            raise ValueError(f"{taken[0]!r} has a meaning of its own in a template; rename it")
        return inputs


# Which part stands where, so that an unknown key can be told what is known at its place.
PARTS: tuple[tuple[tuple[str, ...], type[BaseModel]], ...] = (
    ((), FrontMatter),
    (("model",), ModelChoice),
    (("model", "params"), Params),
    (("inputs", "*"), InputSpec),
    (("output",), Output),
    (("cache",), Cache),
    (("tests", "*"), Trial),
    (("tests", "*", "render"), RenderExpected),
    (("tests", "*", "expect"), AnswerExpected),
)


def part_at(path: tuple[str | int, ...]) -> type[BaseModel] | None:
    """The part of the front matter that stands at `path`."""
    for shape, part in PARTS:
        if len(shape) == len(path) and all(
            want in ("*", step) for want, step in zip(shape, path, strict=True)
        ):
            return part
    return None


def known_keys(path: tuple[str | int, ...]) -> list[str]:
    """The keys that are allowed in the part at `path`."""
    part = part_at(path)
    return list(part.model_fields) if part else []


def schema_text() -> str:
    """The JSON Schema that gives authors completion in their editor, as its file holds it."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schema |= FrontMatter.model_json_schema()
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(schema_text(), end="")
