"""The front matter of a prompt file; `python -m` this module prints its JSON Schema."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gateway.adapters.prompt_inputs import TYPE_PATTERN, InputType, texts

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]*(/[a-z0-9][a-z0-9_-]*)*$"
_TEXT_PATTERN = NAME_PATTERN.replace("[a-z0-9]", "[a-z0-9_]")
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
    default: Any = Field(
        default=None,
        description="Without it the input is required. null, for code[…] alone: there may be none, "
        "and `{% if NAME %}` tells.",
    )
    max_chars: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Longest text allowed, all fields together."
    )
    description: str = ""

    @property
    def required(self) -> bool:
        return "default" not in self.model_fields_set

    @property
    def nullable(self) -> bool:
        """Whether there may be no such record, which a template sees as none."""
        return not self.required and self.default is None

    @property
    def shape(self) -> InputType:
        return InputType.read(self.type)

    def check(self, value: object) -> Any:
        """The value as plain types; ValueError when it does not fit."""
        if value is None and self.nullable and self.shape.kind == "code":
            return None
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

    kind: Literal["text", "rewrite", "review", "file", "json"] = Field(
        default="text", description="What the gateway makes of the answer."
    )
    protocol: Literal["plain", "tagged", "edits", "json"] = Field(
        default="plain",
        description="plain: all of it; tagged: what the tag holds; edits: SEARCH/REPLACE blocks in "
        "the tag; json: `schema`.",
    )
    tag: Annotated[str, Field(pattern=_TAG_PATTERN)] | None = None
    prefill: bool = Field(
        default=False, description="Begin the answer with the tag in the model's place."
    )
    answer_schema: dict[str, Any] | None = Field(
        default=None, alias="schema", description="The JSON Schema that the answer is held to."
    )

    @model_validator(mode="after")
    def _tag_and_protocol_agree(self) -> Output:
        if (self.protocol == "json") != (self.answer_schema is not None):
            raise ValueError("'protocol: json' and 'schema' go together")
        if (self.protocol in ("tagged", "edits")) != (self.tag is not None):
            raise ValueError("'protocol: tagged' or 'edits' and 'tag' go together")
        if self.protocol == "edits" and self.kind != "rewrite":
            raise ValueError("'protocol: edits' needs 'kind: rewrite'")
        if self.prefill and self.tag is None:
            raise ValueError("'prefill: true' needs 'protocol: tagged' and a 'tag'")
        return self


class Cache(_Part):
    """Inputs from the most stable to the most volatile, in the order the template shows them."""

    order: list[str]


class Variant(_Part):
    """One way of saying it, given to a share of the callers, each always the same one."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
    weight: Annotated[int, Field(ge=0, le=1000)] = Field(
        description="Its share of the sum of weights; 0: only when a request names it, or in shadow"
    )
    params: Params | None = Field(default=None, description="These replace those of `model`.")
    template: Annotated[str, Field(pattern=_TEXT_PATTERN)] | None = Field(
        default=None, description="Another text: a file NAME.j2 of the prompts folder."
    )


class Shadow(_Part):
    """A variant that also answers a share of the requests, unseen by the client: it is measured."""

    variant: str
    ratio: Annotated[float, Field(gt=0, le=1)] = Field(description="Share of requests: 0.05")


class RenderExpected(_Part):
    """What the messages made of a test's inputs must be."""

    roles: list[Role] | None = None
    contains: list[str] = []
    lacks: list[str] = []
    max_chars: int | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="Tokens of all messages; lint warns above it (W240)."
    )
    same_prefix_as: str | None = Field(
        default=None, description="A test or a variant whose first message is the same."
    )


class AnswerExpected(_Part):
    """What the gateway must make of a test's recorded `reply`. A whole new file is `changed`."""

    contains: list[str] = Field(default=[], description="Parts of the answer, as it is read.")
    valid: bool | None = Field(default=None, description="It is JSON that `schema` allows.")
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
    finish: Literal["stop", "length"] = Field("stop", description="length: the reply was cut.")
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
    variants: list[Variant] = []
    shadow: Shadow | None = None
    tests: list[Trial] = []

    @model_validator(mode="after")
    def _variants_fit(self) -> FrontMatter:
        ids = [variant.id for variant in self.variants]
        if len(ids) != len(set(ids)):
            raise ValueError("two variants have the same id")
        if ids and not sum(variant.weight for variant in self.variants):
            raise ValueError("a variant needs a weight above 0")
        if self.shadow is not None and self.shadow.variant not in ids:
            raise ValueError(f"shadow: there is no variant {self.shadow.variant!r}")
        return self

    @field_validator("inputs")
    @classmethod
    def _names_are_free(cls, inputs: dict[str, InputSpec]) -> dict[str, InputSpec]:
        taken = sorted(_RESERVED & inputs.keys())
        if taken:
            raise ValueError(f"{taken[0]!r} has a meaning of its own in a template; rename it")
        return inputs


class LocaleMatter(_Part):
    """The front matter of name.ko.prompt.j2: all else is that of name.prompt.j2."""

    model_config = ConfigDict(title="Front matter of a prompt file in another language")

    api: Literal["prompt/v1"]
    name: Annotated[str, Field(pattern=NAME_PATTERN)] = Field(description="The default file's.")
    description: Annotated[str, Field(min_length=1)] | None = None
    tests: list[Trial] = []


# Which part stands where, so that an unknown key can be told what is known at its place.
PARTS: tuple[tuple[tuple[str, ...], type[BaseModel]], ...] = (
    ((), FrontMatter),
    (("model",), ModelChoice),
    (("model", "params"), Params),
    (("inputs", "*"), InputSpec),
    (("output",), Output),
    (("cache",), Cache),
    (("variants", "*"), Variant),
    (("variants", "*", "params"), Params),
    (("shadow",), Shadow),
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
    fields = part.model_fields if part else {}
    return [about.alias or name for name, about in fields.items()]


def schema_text(part: type[BaseModel] = FrontMatter) -> str:
    """The JSON Schema that gives authors completion in their editor, as its file holds it."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    schema |= part.model_json_schema()
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(schema_text(LocaleMatter if "locale" in sys.argv[1:] else FrontMatter), end="")
