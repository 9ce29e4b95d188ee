"""Looks at the material before it is fitted: what may be shown, what is in which definition."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from gateway.domain import columns
from gateway.domain import language as languages
from gateway.domain.answer import Remark
from gateway.domain.material import Material, Related, Survey
from gateway.domain.ports import Syntax
from gateway.domain.screening import Screen
from gateway.domain.secret_scan import restore
from gateway.domain.structure import Structure
from gateway.flow.task import Question

HUGE_LINES, HUGE_CHARS = 20_000, 1_000_000
"""Of a file beyond either, only NEAR_LINES before and after the selection are looked at."""
NEAR_LINES = 2000
MOST_SCOPE_LINES = 400
"""A definition longer than this is no selection that anybody meant."""
SECONDS = 2.0
"""Of processor time, for all related files of one request; the rest go without a structure."""


@dataclass(frozen=True, slots=True)
class Surveyed:
    """The question with what may be shown and the lines it is about; structures; what the client
    should know; the kinds of `secrets` that were taken out of its file, and how many."""

    question: Question
    survey: Survey
    remarks: tuple[Remark, ...]
    secrets: Mapping[str, int] = field(default_factory=dict)


class Surveyor:
    """Work for a thread: it takes some milliseconds for each file, and waits for nothing."""

    def __init__(
        self, syntax: Syntax, screen: Screen, clock: Callable[[], float] = time.thread_time
    ) -> None:
        self._syntax = syntax
        self._screen = screen
        self._clock = clock

    def __call__(self, question: Question, places: Mapping[str, int]) -> Surveyed:
        """DeniedPath, SecretFound (403) when the file may not be shown."""
        screened = self._screen(question.material)
        material = screened.material
        structure = self._structure(material)
        remarks = [*_secret_remarks(screened.found, material.file.path)]
        if structure.remark:
            remarks.append(_remark(material.file.path, structure.remark))
        if any(columns.cut(material.file, material.span)):
            material = _in_columns(material)
        elif question.scope == "auto":
            material = _scoped(material, structure)
        until = self._clock() + SECONDS
        related, found = [], []
        for other in material.related:
            known = _with_language(other)
            made = self._related(known, until)
            if made.remark:
                remarks.append(_remark(known.path, made.remark))
            related.append(known)
            found.append(made)
        material = replace(material, related=tuple(related))
        survey = Survey(structure, tuple(found), places)
        asked = replace(question, material=material)
        return Surveyed(asked, survey, tuple(remarks), screened.found)

    def _structure(self, material: Material) -> Structure:
        if not material.has_file or material.touched:
            return Structure()  # a diff has lines of many files
        text, language = material.text, material.file.language
        rows = material.rows
        if len(rows) <= HUGE_LINES and len(text) <= HUGE_CHARS:
            return self._syntax.structure(language, text)
        first = max(material.span.first_line - NEAR_LINES, 0)
        end = material.span.end_line + NEAR_LINES
        near = self._syntax.structure(language, "".join(rows[first:end]))
        why = f"It is very long: only {NEAR_LINES} lines on either side were looked at."
        return replace(near.moved(first), remark=f"{why} {near.remark}".strip())

    def _related(self, other: Related, until: float) -> Structure:
        if other.refused or other.reason == "edit" or not other.content:
            return Structure()
        if self._clock() > until:
            return Structure(remark="Too many files to look at in time; it has no outline.")
        return self._syntax.structure(other.language, other.content)


def _with_language(other: Related) -> Related:
    first = other.content[:200].split("\n")[0].rstrip("\r")
    return replace(other, language=languages.detect(other.path, first_line=first))


def _scoped(material: Material, structure: Structure) -> Material:
    """The selection grown to the smallest definition that holds it, where that is of a size."""
    span = material.span
    around = structure.around(span.first_line, max(span.end_line, span.first_line + 1))
    if not around:
        return replace(material, why="selected; in no definition")
    inner = around[-1]
    kind = "section" if inner.scope else "definition"
    name = f"{kind} {inner.name}".rstrip()
    if inner.end - inner.first > MOST_SCOPE_LINES:
        why = f"selected; the {name} around it has {inner.end - inner.first} lines"
        return replace(material, why=why)
    span = material.file.lines(inner.first, inner.end)
    return replace(material, span=span, why=f"the {name} around the selection")


def _in_columns(material: Material) -> Material:
    """A selection in long lines does not grow; it only leaves no secret half selected."""
    span = material.span
    if material.shown is not None:
        span = columns.around_secrets(material.file, span, material.rows, material.secrets)
    material = replace(material, span=span)
    around = sum(len(restore(edge, material.secrets)) for edge in material.edges)
    chosen = len(material.file.text(span))
    why = f"selected; {chosen} of {chosen + around} characters of lines too long to be shown whole"
    return replace(material, why=why)


def _remark(path: str, text: str) -> Remark:
    return Remark("structure", f"{path}: {text}")


def _secret_remarks(found: dict[str, int], path: str) -> list[Remark]:
    if not found:
        return []
    kinds = ", ".join(f"{kind} {count}" for kind, count in found.items())
    text = f"{path} holds what looks like secrets ({kinds}); the model did not see them."
    return [Remark("secrets_removed", text)]
