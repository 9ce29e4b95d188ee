"""One question of `gateway ai`: what goes with it, how its answer is awaited and shown."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from gateway.cli.ai_options import NOT_CERTAIN
from gateway.cli.ai_target import Target, rules_of
from gateway.cli.ai_terminal import Progress, Screen, harmless
from gateway.client.assist import AssistClient
from gateway.client.errors import UnusableFile
from gateway.client.events import DeltaEvent, RepairEvent
from gateway.client.files import MOST_BYTES, File
from gateway.client.questions import More, Question
from gateway.client.results import Answer

R = TypeVar("R", bound=Answer)


class Session:
    """The gateway and the options of one command."""

    def __init__(self, client: AssistClient, options: Mapping[str, Any]) -> None:
        self._client = client
        self._options = options
        self._as_json = bool(options["as_json"])
        self.screen = Screen(color=not options["no_color"])

    def asking(self, target: Target | None = None) -> More:
        """What goes with a question about `target`."""
        options = self._options
        found: More = {}
        if target is not None:
            related = options.get("related", ())
            found["related"] = [File.read(one, root=target.root) for one in related]
            if target.lines is not None:
                found["lines"] = target.lines
            if options.get("rules"):
                found["rules"], left_out = rules_of(target.root, target.place)
                for line in left_out:
                    _warn(line)
        if options["model"]:
            found["model"] = options["model"]
        if options["prompt"]:
            found["prompt"] = options["prompt"]
        if options["language"]:
            found["answer_language"] = options["language"]
        if options["max_tokens"]:
            found["max_output_tokens"] = options["max_tokens"]
        if options.get("repair"):
            found["repair"] = 1
        return found

    def answer(self, question: Question[R], *, live: bool = False) -> R:
        """The whole answer, its warnings shown. `live`: its text is shown as it comes; else what
        is shown meanwhile is progress."""
        live = live and not self._as_json
        with Progress() as progress, self._client.stream(question) as stream:
            for event in stream:
                if isinstance(event, RepairEvent):
                    progress.note("asked again")
                if not isinstance(event, DeltaEvent):
                    continue
                progress.count()
                if live:
                    progress.hide()
                    self.screen.text(event.text)
            result = stream.result()
        if live:
            self.screen.end()
        for warning in result.warnings:
            if warning.code != "truncated":  # the command ends with that, and what to do
                _warn(warning.message)
        return result

    def shows_json(self, answer: Answer) -> bool:
        """Shows the answer as JSON, if that is wanted."""
        if self._as_json:
            import json

            click.echo(json.dumps(answer.raw, ensure_ascii=False, indent=2))
        return self._as_json


@contextmanager
def session(options: Mapping[str, Any]) -> Iterator[Session]:
    """With a client that is closed at the end. AssistError."""
    url, key, timeout = options["url"], options["key"], options["timeout"]
    with AssistClient(url, key, timeout=timeout) as client:
        yield Session(client, options)


def read_input(source: str) -> str:
    """The text of a file, of standard input for `-`. UnusableFile when it has no end."""
    if source == "-":
        raw = sys.stdin.buffer.read(MOST_BYTES + 1)
    else:
        with Path(source).open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    if len(raw) > MOST_BYTES:
        raise UnusableFile(f"{source} has more than {MOST_BYTES >> 20} MiB; no gateway takes that")
    return raw.decode("utf-8", "replace")


def uncertain(why: str, text: str = "") -> NoReturn:
    """Nothing that could be used has come: shows what has, on stderr."""
    if text.strip():
        click.echo(harmless(text.rstrip("\n")), err=True)
    click.echo(f"gateway: {why}", err=True)
    sys.exit(NOT_CERTAIN)


def _warn(message: str) -> None:
    click.echo(f"gateway: warning: {harmless(message)}", err=True)
