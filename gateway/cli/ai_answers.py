"""How `gateway ai` shows what came: a change, a review, new tests; and applies it."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.ai_session import Session, uncertain
from gateway.cli.ai_target import Target
from gateway.cli.ai_writing import change, create, inside
from gateway.client.results import Answer, Finding, Review, Rewriting, WrittenTests

_COLORS = {"error": "red", "warning": "yellow"}
_CUT = "the answer reached its limit of tokens: raise --max-tokens, or ask about less"
_UNCLEAR = "the answer is not clear enough to use: say it in other words, or try --repair"


def end_of_text(answer: Answer) -> None:
    """Exits with 1 where the end of a text is missing."""
    if answer.truncated:
        uncertain(_CUT)


def show_change(session: Session, target: Target, answer: Rewriting, *, applies: bool) -> None:
    """The diff, or with `applies` the changed file and a line about it on stderr."""
    if answer.status == "changed" and applies:
        change(target.place, answer.apply)
    as_json = session.shows_json(answer)
    if answer.status in ("truncated", "unresolved"):
        cut = answer.status == "truncated"
        uncertain(_CUT if cut else _UNCLEAR, "" if as_json else answer.text or "")
    if answer.status == "no_change":
        click.echo(f"gateway: {target.place}: nothing to change", err=True)
    elif applies:
        added = sum(hunk.added for hunk in answer.hunks)
        removed = sum(hunk.removed for hunk in answer.hunks)
        click.echo(f"gateway: changed {target.place}: +{added} -{removed} lines", err=True)
    elif not as_json:
        session.screen.diff(answer.diff or "", answer.sent.encoding)


def show_tests(
    session: Session,
    target: Target,
    answer: WrittenTests,
    *,
    applies: bool,
    output: Path | None,
) -> None:
    """The diff that creates the file; with `applies` or `output` the file itself."""
    usable = answer.status not in ("truncated", "unresolved")
    if usable and (applies or output is not None):
        create(output or inside(target.root, answer.path), answer.content())
    as_json = session.shows_json(answer)
    if not usable:
        cut = answer.status == "truncated"
        uncertain(_CUT if cut else _UNCLEAR, "" if as_json else answer.text)
    if not (as_json or applies or output):
        session.screen.diff(answer.diff or "", "utf-8")


def show_review(session: Session, target: Target, answer: Review) -> None:
    """The summary, then each finding as compilers print theirs: path:line:column."""
    if not session.shows_json(answer):
        screen = session.screen
        if answer.summary:
            screen.line(answer.summary)
        for finding in answer.findings:
            _show_finding(session, target, finding)
        if answer.status == "reviewed" and not answer.findings:
            click.echo("gateway: nothing found", err=True)
    if answer.status != "reviewed":
        cut = answer.status == "truncated"
        uncertain(_CUT if cut else _UNCLEAR, "" if cut else answer.text or "")


def _show_finding(session: Session, target: Target, finding: Finding) -> None:
    place = str(target.place)
    if finding.range is not None:
        start = finding.range.start
        place += f":{start.line + 1}:{start.character + 1}"
    kind = f" [{finding.category}]" if finding.category else ""
    text = f"{place}: {finding.severity}: {finding.message}{kind}"
    color = _COLORS.get(finding.severity)
    session.screen.line(text, **({"fg": color} if color else {}))
    if finding.suggestion:
        for row in finding.suggestion.splitlines():
            session.screen.line(f"    {row}")
