"""How `gateway ai --apply` changes a file: all of it or nothing, and no other file."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import click

from gateway.client.errors import AssistError


class NotWritten(AssistError):
    """The file is as it was."""


def change(place: Path, after: Callable[[bytes], bytes]) -> None:
    """Put what `after` makes of the file in its place, at once, with its mode kept. A link stays
    one: the file that it leads to is changed. What `after` raises leaves the file as it was, and
    so does NotWritten."""
    real = place.resolve(strict=True)
    mode = stat.S_IMODE(real.stat().st_mode)
    if not os.access(real, os.W_OK):
        raise NotWritten(f"{place} may not be written; nothing was changed")
    before = real.read_bytes()
    content = after(before)
    if content == before:
        return
    handle, name = tempfile.mkstemp(prefix=f".{real.name[:100]}.", dir=real.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        if real.read_bytes() != before:
            raise NotWritten(f"{place} changed a moment ago; nothing was written, ask again")
        os.replace(name, real)
    except BaseException:
        os.unlink(name)
        raise


def inside(root: Path, path: str) -> Path:
    """`path` of an answer as a place in the project. NotWritten where it leads out of it."""
    base = root.resolve()
    place = (base / path).resolve()
    if not path or not place.is_relative_to(base) or ".git" in place.relative_to(base).parts:
        raise NotWritten(f"{path!r} is no file of the project; name one with --output")
    return place


def create(place: Path, content: bytes) -> None:
    """Write a new file, with its folders. NotWritten when something is there already."""
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        file = place.open("xb")
    except FileExistsError:
        raise NotWritten(f"{place} is there already; name another file with --output") from None
    try:
        with file:
            file.write(content)
    except BaseException:
        place.unlink()
        raise
    click.echo(f"gateway: wrote {place}", err=True)
