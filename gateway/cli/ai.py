"""`gateway ai`: ask a running gateway about code, from the shell."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import click

from gateway.cli.ai_options import asking_options, changing_options, code_options, ending

_TARGET = click.argument("target", metavar="FILE[:A-B]")
_INSTRUCTION = click.argument("instruction", default="")


@click.group()
def ai() -> None:
    """Ask about code, and change it.

    FILE:A-B means the lines A to B, from 1, both included. Answers go to standard output, all else
    to standard error. Ends with 0; 1 when no certain answer came; 2 for wrong use; 3 when the
    gateway refuses or is not there.
    """


@ai.command()
@_TARGET
@click.argument("question", default="")
@code_options
def explain(target: str, question: str, **options: Any) -> None:
    """Explain code, or answer a question about it."""
    with ending():
        from gateway.cli.ai_answers import end_of_text
        from gateway.cli.ai_session import session
        from gateway.cli.ai_target import target_of
        from gateway.client import questions

        with session(options) as asked:
            about = target_of(target, options["encoding"])
            question_ = questions.explain(about.file, question, **asked.asking(about))
            answer = asked.answer(question_, live=True)
            asked.shows_json(answer)
            end_of_text(answer)


@ai.command()
@_TARGET
@click.argument("instruction")
@changing_options
def rewrite(target: str, instruction: str, **options: Any) -> None:
    """Change code as INSTRUCTION says; prints a diff that `git apply` takes."""
    _change("rewrite", target, instruction, options)


@ai.command()
@_TARGET
@_INSTRUCTION
@changing_options
def docstring(target: str, instruction: str, **options: Any) -> None:
    """Add the documentation that code lacks; prints a diff."""
    _change("docstring", target, instruction, options)


@ai.command()
@_TARGET
@_INSTRUCTION
@click.option(
    "--diagnostics",
    required=True,
    metavar="FILE|-",
    help="What a compiler printed, path:line:column: message, or LSP's JSON; - is stdin.",
)
@changing_options
def fix(target: str, instruction: str, diagnostics: str, **options: Any) -> None:
    """Mend what a compiler or linter says; prints a diff.

    For example: ruff check --output-format concise a.py | gateway ai fix a.py --diagnostics -
    """
    _change("fix", target, instruction, options, diagnostics)


def _change(
    action: Literal["rewrite", "docstring", "fix"],
    target: str,
    instruction: str,
    options: dict[str, Any],
    said: str | None = None,
) -> None:
    with ending():
        from gateway.cli.ai_answers import show_change
        from gateway.cli.ai_session import read_input, session
        from gateway.cli.ai_target import diagnostics_of, target_of
        from gateway.client import questions

        with session(options) as asked:
            about = target_of(target, options["encoding"])
            asking = asked.asking(about)
            if said is not None:
                asking["diagnostics"] = diagnostics_of(read_input(said), about)
            question = questions.changing(action, about.file, instruction, **asking)
            show_change(asked, about, asked.answer(question), applies=options["applies"])


@ai.command()
@_TARGET
@_INSTRUCTION
@code_options
def review(target: str, instruction: str, **options: Any) -> None:
    """Find what is wrong with code: path:line:column: severity: message."""
    with ending():
        from gateway.cli.ai_answers import show_review
        from gateway.cli.ai_session import session
        from gateway.cli.ai_target import target_of
        from gateway.client import questions

        with session(options) as asked:
            about = target_of(target, options["encoding"])
            question = questions.review(about.file, instruction, **asked.asking(about))
            show_review(asked, about, asked.answer(question))


@ai.command()
@_TARGET
@_INSTRUCTION
@click.option("--apply", "applies", is_flag=True, help="Write the new file where the diff says.")
@click.option("--output", type=Path, metavar="PATH", help="Write the new file there instead.")
@code_options
def tests(
    target: str, instruction: str, applies: bool, output: Path | None, **options: Any
) -> None:
    """Write tests of code; prints a diff that creates their file."""
    with ending():
        from gateway.cli.ai_answers import show_tests
        from gateway.cli.ai_session import session
        from gateway.cli.ai_target import target_of
        from gateway.client import questions
        from gateway.client.files import named

        with session(options) as asked:
            about = target_of(target, options["encoding"])
            path = named(output, about.root) if output else ""
            question = questions.tests(
                about.file, instruction, target_path=path, **asked.asking(about)
            )
            answer = asked.answer(question)
            show_tests(asked, about, answer, applies=applies, output=output)


@ai.command("commit-message")
@click.argument("diff", default="", metavar="[FILE|-]")
@click.option("--instruction", default="", metavar="TEXT", help="What else to heed.")
@asking_options
def commit_message(diff: str, instruction: str, **options: Any) -> None:
    """Write the message of a commit.

    It is about the diff in FILE or on standard input, else about what is staged.
    """
    with ending():
        from gateway.cli.ai_answers import end_of_text
        from gateway.cli.ai_session import session
        from gateway.cli.ai_staged import change_to_describe
        from gateway.client import questions

        with session(options) as asked:
            change = change_to_describe(diff)
            question = questions.commit_message(change, instruction, **asked.asking())
            answer = asked.answer(question)
            if not asked.shows_json(answer):
                asked.screen.text(answer.message)
                asked.screen.end()
            end_of_text(answer)


@ai.command()
@click.argument("message")
@click.option("--file", "target", metavar="FILE[:A-B]", help="What the message is about.")
@code_options
def chat(message: str, target: str | None, **options: Any) -> None:
    """Answer MESSAGE (- reads it from standard input), about a file or none."""
    with ending():
        from gateway.cli.ai_answers import end_of_text
        from gateway.cli.ai_session import read_input, session
        from gateway.cli.ai_target import target_of
        from gateway.client import questions

        with session(options) as asked:
            about = target_of(target, options["encoding"]) if target else None
            text = read_input("-") if message == "-" else message
            file = about.file if about else None
            answer = asked.answer(questions.chat(text, file, **asked.asking(about)), live=True)
            asked.shows_json(answer)
            end_of_text(answer)
