"""From a model's JSON to the findings of a review, each at the line that it quotes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from jsonschema import Draft202012Validator

from gateway.domain import cut_json
from gateway.domain.answer import Remark
from gateway.domain.envelope import Answer, Protocol, bare
from gateway.domain.quotes import Quotes
from gateway.domain.source import Selection

Status = Literal["reviewed", "truncated", "unresolved"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What the model says of a line, and where that line is; None where it quotes none that is."""

    fields: Mapping[str, Any]
    place: Selection | None


@dataclass(frozen=True, slots=True)
class Review:
    """What became of an answer. `text` is the model's own words, for a review that is not whole."""

    status: Status
    summary: str = ""
    findings: tuple[Finding, ...] = ()
    text: str = field(default="", repr=False)
    warnings: tuple[Remark, ...] = ()

    @property
    def problem(self) -> str:
        """What the model should mend, said to it; empty where there is nothing to."""
        if self.status != "unresolved":
            return ""
        return " ".join(remark.message for remark in self.warnings)

    @property
    def rank(self) -> int:
        """0 is best: of two answers to one question the lower is worth more."""
        return ("reviewed", "truncated", "unresolved").index(self.status)


def read(answer: Answer, schema: Mapping[str, Any] | None, quotes: Quotes) -> Review:
    """The review in `answer`. Never raises: what does not fit `schema` is left out and told of, and
    an answer of which nothing fits is `unresolved`."""
    text, _ = bare(answer.text, Protocol(), "")
    cut = answer.finish_reason == "length"
    found = cut_json.find(text) if text else None
    if found is None or not (found.whole or cut):
        if cut:
            return Review("truncated", text=answer.text, warnings=(_CUT,))
        why = "it is no JSON" if found is None else "its JSON ends too early"
        return _unresolved(answer, why)
    given = found.fields.get("findings")
    if not isinstance(given, list) and not cut:
        return _unresolved(answer, 'its JSON has no list "findings"')
    items = [_known(item, schema) for item in given] if isinstance(given, list) else []
    fitting = [item for item in items if not _why(item, schema)]
    if items and not fitting and not cut:
        return _unresolved(answer, f"no finding has the fields asked for: {_why(items[0], schema)}")
    warnings = [_CUT] if cut else []
    if lost := len(items) - len(fitting):
        why = f"{lost} findings without the fields asked for were left out."
        warnings.append(Remark("findings_dropped", why))
    summary = found.fields.get("summary")
    return Review(
        "truncated" if cut else "reviewed",
        summary.strip() if isinstance(summary, str) else "",
        tuple(Finding(item, _place(item, quotes)) for item in fitting),
        text=answer.text if cut else "",
        warnings=tuple(warnings),
    )


_CUT = Remark(
    "truncated",
    "The model reached its limit of output tokens; the review ends early, with the findings that "
    "were whole.",
)


def _unresolved(answer: Answer, why: str) -> Review:
    message = f"The answer is no review: {why}."
    return Review("unresolved", text=answer.text, warnings=(Remark("no_review", message),))


def _known(item: Any, schema: Mapping[str, Any] | None) -> Any:
    """A finding without fields that were not asked for, where no others may be there."""
    wanted = _of_items(schema)
    if not isinstance(item, dict) or wanted.get("additionalProperties") is not False:
        return item
    return {name: item[name] for name in wanted.get("properties", ()) if name in item}


def _why(item: object, schema: Mapping[str, Any] | None) -> str:
    """What of a finding does not fit; empty where it does."""
    if not isinstance(item, dict):
        return "it is no object"
    if not isinstance(item.get("message"), str):
        return "'message' is missing"
    wanted = _of_items(schema)
    error = next(Draft202012Validator(wanted).iter_errors(item), None) if wanted else None
    return "" if error is None else f"{error.json_path.removeprefix('$.')}: {error.message[:200]}"


def _of_items(schema: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The schema of one finding; none where it is said by reference: only the server reads that."""
    here: Any = schema or {}
    for step in ("properties", "findings", "items"):
        here = here.get(step) if isinstance(here, Mapping) else None
    return here if isinstance(here, Mapping) and "$ref" not in str(here) else {}


def _place(item: Mapping[str, Any], quotes: Quotes) -> Selection | None:
    """Where the quoted line is; without backticks only where it is not there with them: some
    languages have them, and some models put them around what they quote."""
    quote = item.get("quote")
    if not isinstance(quote, str):
        return None
    return quotes.find(quote) or quotes.find(quote.strip("`"))
