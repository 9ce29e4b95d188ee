"""`gateway prompts promote | rollback`: labels such as production are moved, and by whom."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.prompt_options import family_of, folder_of, folder_option, refusing, stop

if TYPE_CHECKING:
    from gateway.adapters.prompt_bundle import Bundle

_LABEL = r"[a-z][a-z0-9_-]{0,31}"


@click.command()
@click.argument("name")
@click.argument("label")
@folder_option
@click.option("--approver", metavar="E-MAIL", help="Who approves; git's user.email by default.")
@click.option("--author", metavar="E-MAIL", help="Who wrote it, where git does not know.")
def promote(
    name: str, label: str, folder: Path | None, approver: str | None, author: str | None
) -> None:
    """Let LABEL stand for the file as it is now.

    Requests get what production stands for. Where the file names owners, somebody other than its
    author must approve that: who runs this command, or --approver.
    """
    from gateway.adapters import prompt_labels as labels
    from gateway.adapters.prompt_paths import VERSIONS

    _check_label(label, labels.WORKING)
    with refusing("mend them and promote again"):
        root = folder_of(folder)
        _check_text(root, name)
        family = family_of(root, name)
        known = labels.read_labels(root)
    bundle = family.working
    was = family.labels.get(label)
    if was == bundle.sha:
        click.echo(f"{label} stands for {name}@{bundle.version}+{bundle.sha} already")
        return
    gated = label == labels.PRODUCTION and bool(bundle.front.owners)
    author, approver = _people(root, bundle, author, approver, gated=gated)
    labels.keep(root, bundle)
    what = {"name": name, "label": label, "sha": bundle.sha, "version": bundle.version}
    who = {"author": author, "approver": approver}
    move = labels.Move(at=_now(), kind="promote", was=was, **what, **who)
    labels.write_labels(root, known.moved(move))
    click.echo(f"{label} now stands for {name}@{bundle.version}+{bundle.sha}")
    click.echo(f"next: commit {root / labels.FILE} and {root / VERSIONS}")


def _check_label(label: str, working: str) -> None:
    import re

    if label == working or not re.fullmatch(_LABEL, label):
        stop(f"{label!r} is no label", "write production, staging or another word of a-z")


def _check_text(root: Path, name: str) -> None:
    from gateway.adapters.prompt_lint import is_warning, lint
    from gateway.domain.document import ConfigError

    errors = [one for one in lint(root, [name]) if not is_warning(one)]
    if errors:
        raise ConfigError(errors)


def _people(
    root: Path, bundle: Bundle, author: str | None, approver: str | None, *, gated: bool
) -> tuple[str, str]:
    """Who wrote it and who approves; exits where a gate is closed to them."""
    from gateway.adapters import prompt_git

    try:
        author = prompt_git.author(root, [Path(one.file) for one in bundle.sources])
    except prompt_git.NoGit as error:
        if gated and not author:
            stop(f"nobody knows who wrote {bundle.name}: {error}", "say so: --author E-MAIL")
    try:
        approver = approver or prompt_git.user(root)
    except prompt_git.NoGit:
        if gated:
            stop("nobody knows who approves this", "say so: --approver E-MAIL")
    if gated and (approver or "").strip().lower() == (author or "").strip().lower():
        owners = ", ".join(bundle.front.owners)
        stop(
            f"{author} wrote this text of {bundle.name}, and cannot approve it alone",
            f"let another of {owners} run this, or name them: --approver E-MAIL",
        )
    return author or "", approver or ""


@click.command()
@click.argument("name")
@click.argument("label")
@folder_option
@click.option("--to", metavar="VERSION", help="1.4.0 or a hash; what it stood for by default.")
def rollback(name: str, label: str, folder: Path | None, to: str | None) -> None:
    """Let LABEL stand for what it stood for before.

    Needs no approver: that text was approved already.
    """
    from gateway.adapters import prompt_git
    from gateway.adapters import prompt_labels as labels

    with refusing("mend them and roll back again"):
        root = folder_of(folder)
        known = labels.read_labels(root)
        # The working file may be broken: all the more reason to go back.
        every = labels.read_store(root, ()).texts
    texts = {sha: text for (owner, sha), text in every.items() if owner == name}
    was = known.labels.get(name, {}).get(label)
    if was is None:
        stop(f"{name} has no label {label!r}", f"gateway prompts promote {name} {label}")
        return
    stood = {move.sha for move in known.moves if (move.name, move.label) == (name, label)}
    sha = known.before(name, label) if to is None else _sha(texts, stood, to)
    if sha is None or sha not in texts:
        what = f"never stood for {to}" if to else "stood for nothing before"
        stop(f"{label} of {name} {what}", f"promote another text: gateway prompts promote {name}")
        return
    try:
        approver = prompt_git.user(root)
    except prompt_git.NoGit:
        approver = ""
    move = labels.Move(
        at=_now(),
        kind="rollback",
        name=name,
        label=label,
        sha=sha,
        version=texts[sha].version,
        was=was,
        approver=approver,
    )
    labels.write_labels(root, known.moved(move))
    click.echo(f"{label} now stands for {name}@{move.version}+{sha} again")


def _sha(texts: dict[str, Bundle], stood: set[str], to: str) -> str | None:
    return next((sha for sha in texts if sha in stood and to in (sha, texts[sha].version)), None)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
