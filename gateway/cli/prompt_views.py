"""`gateway prompts render | diff | try`: what a prompt becomes, and what a model makes of it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.prompt_options import (
    counter,
    face_of,
    family_of,
    folder_of,
    folder_option,
    format_option,
    input_options,
    inputs_of,
    print_json,
    refusing,
    settings_of,
    stop,
)

if TYPE_CHECKING:
    from gateway.adapters.prompt_bundle import Bundle
    from gateway.adapters.prompt_diff import PromptDiff
    from gateway.adapters.prompt_preview import Preview
    from gateway.settings import Settings

_TOKENIZER = click.option(
    "--tokenizer", type=Path, metavar="FILE", help="tokenizer.json, for exact counts."
)


@click.command()
@click.argument("name")
@folder_option
@input_options
@format_option
@_TOKENIZER
def render(
    name: str,
    folder: Path | None,
    given: tuple[str, ...],
    file: Path | None,
    form: str,
    tokenizer: Path | None,
    **which: Any,
) -> None:
    """Show the messages that inputs become, their tokens and the cached prefix.

    Without inputs, those of the prompt's first test.
    """
    from gateway.adapters.prompt_preview import made

    with refusing("mend them and render again"):
        loaded = face_of(folder_of(folder), name, which)
        count, exact = counter(folder, tokenizer)
        shown = made(loaded, inputs_of(loaded, given, file), count)
    if form == "json":
        print_json({**shown.as_dict(), "exact": exact})
        return
    show_preview(shown, "" if exact else "about ")


def show_preview(shown: Preview, about: str) -> None:
    """Messages, tokens and the cached prefix, for people. `about` stands before counts."""
    for message, tokens in zip(shown.rendered.messages, shown.tokens, strict=True):
        click.secho(f"[{message['role']}, {about}{tokens} tokens]", bold=True)
        click.echo(message["content"])
    if shown.rendered.prefill:
        click.secho("[assistant, begun]", bold=True)
        click.echo(shown.rendered.prefill, nl=False)
    inputs = ", ".join(f"{name} {tokens}" for name, tokens in shown.inputs.items())
    prefix = shown.prefix
    click.echo("---")
    click.echo(f"prompt   {shown.rendered.ref}")
    click.echo(f"tokens   {about}{sum(shown.tokens)}" + (f" (of which {inputs})" if inputs else ""))
    behind = f", the same while only {prefix.until!r} changes" if prefix.until else ""
    click.echo(f"prefix   {prefix.sha}: {prefix.chars} characters{behind}")


@click.command()
@click.argument("name")
@click.option(
    "--against",
    default="HEAD",
    metavar="WHAT",
    help="A git revision, label:production, or another prompts folder; HEAD by default.",
)
@folder_option
@format_option
@_TOKENIZER
def diff(name: str, against: str, folder: Path | None, form: str, tokenizer: Path | None) -> None:
    """Show what an edit changes: text, messages of each test, tokens, cache."""
    from gateway.adapters.prompt_diff import compared

    with refusing("mend them and compare again"):
        root = folder_of(folder)
        new = family_of(root, name).working
        count, exact = counter(folder, tokenizer)
        found = compared(_other(root, name, against), new, count)
    if form == "json":
        print_json({**found.as_dict(), "exact": exact})
        return
    _show_diff(found, "" if exact else "about ")


def _other(root: Path, name: str, against: str) -> Bundle | None:
    from gateway.adapters.prompt_bundle import bundles
    from gateway.adapters.prompt_files import read_folder
    from gateway.adapters.prompt_git import export

    if against.startswith("label:"):
        family = family_of(root, name)
        found = family.find(against)
        if found is None:
            labels = ", ".join(f"label:{label}" for label in sorted(family.labels)) or "no labels"
            stop(f"{name} has no {against}", f"it has {labels}")
        return found
    if Path(against).is_dir():
        return bundles(read_folder(Path(against), (name,)))[0].get(name)
    with tempfile.TemporaryDirectory(prefix="gateway-prompts-") as place:
        return bundles(read_folder(export(root, against, Path(place)), (name,)))[0].get(name)


def _show_diff(found: PromptDiff, about: str) -> None:
    click.echo(f"{found.before} → {found.after}")
    click.echo(found.files or "the files are the same\n", nl=False)
    for one in found.renderings:
        where = f" ({one.locale})" if one.locale else ""
        click.secho(f"test {one.test!r}{where}", bold=True)
        if one.fault:
            click.echo(f"  cannot be compared: {one.fault}")
            continue
        click.echo(one.diff or "  the messages are the same\n", nl=False)
        change = one.after - one.before
        click.echo(f"  tokens {about}{one.before} → {one.after} ({change:+d})")
        lost = f"BREAKS after {one.same_chars} of {one.prefix_chars} characters: read anew once"
        click.echo(f"  cached prefix: {'kept' if one.keeps else lost}")


@click.command("try")
@click.argument("name")
@folder_option
@input_options
@click.option("--url", metavar="URL", help="A gateway or replica; the gateway here by default.")
@click.option("--model", metavar="MODEL", help="Which model; the first there is by default.")
@click.option("--key", envvar="GATEWAY_API_KEY", metavar="KEY", help="Also GATEWAY_API_KEY.")
def try_(
    name: str,
    folder: Path | None,
    given: tuple[str, ...],
    file: Path | None,
    url: str | None,
    model: str | None,
    key: str | None,
    **which: Any,
) -> None:
    """Stream a real model's answer to the prompt."""
    from gateway.adapters.prompt_render import render as rendered_of
    from gateway.adapters.prompt_run import NoAnswer, Replica, pieces
    from gateway.flow.unmarking import Unmarking

    with refusing("mend them and try again"):
        address = url or _here(settings_of(folder))
        loaded = face_of(folder_of(folder), name, which)
        rendered = rendered_of(loaded, inputs_of(loaded, given, file))
    wanted = model or loaded.front.model.alias or ""
    unmarking = Unmarking(rendered.prefill or "")
    try:
        for piece in pieces(Replica(address, key, wanted), rendered):
            click.echo(unmarking.feed(piece), nl=False)
    except NoAnswer as error:
        stop(str(error), "start one with 'gateway serve', or name one with --url and --key")
    click.echo(unmarking.end())
    click.echo(f"--- {rendered.ref}", err=True)


def _here(settings: Settings) -> str:
    host = settings.server.host
    host = "127.0.0.1" if host in ("0.0.0.0", "::") else host
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.server.port}"
