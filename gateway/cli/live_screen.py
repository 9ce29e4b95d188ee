"""Draws what `gateway top` shows with rich: once, or again and again on a whole screen."""

from __future__ import annotations

import io
import os
import sys

from rich.console import Console
from rich.live import Live as Screen

from gateway.cli.ai_terminal import wants_color
from gateway.cli.live_terminal import Keyboard
from gateway.cli.live_view import Shown, picture
from gateway.cli.live_watch import Watch

_WIDTH_WITHOUT_TERMINAL = 160
# A window that has changed its size is drawn anew this soon.
_RESIZED_SECONDS = 0.25


def is_terminal() -> bool:
    """Whether there is a screen that can be drawn on again and again."""
    return sys.stdout.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def draw(shown: Shown, no_color: bool = False) -> None:
    """One picture, with all of its rows."""
    console = _console(no_color)
    console.print(picture(shown, None))


def drawing(watch: Watch, no_color: bool = False) -> None:
    """Until the user leaves; the terminal is then as it was. AssistError where the gateway does
    not answer at the first look; later ones are shown, and it goes on."""
    shown = watch.look()
    console = _console(no_color)
    with Keyboard() as keyboard, Screen(console=console, screen=True, auto_refresh=False) as screen:
        while True:
            size = console.size
            screen.update(picture(shown, size.height), refresh=True)
            left = watch.interval
            while left > 0 and console.size == size:
                if keyboard.wait(min(left, _RESIZED_SECONDS)):
                    return
                left -= _RESIZED_SECONDS
            if console.size == size:
                shown = watch.look_again()


def _console(no_color: bool) -> Console:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # names may have what this terminal lacks
    terminal = sys.stdout.isatty()
    color = wants_color(sys.stdout, allowed=not no_color)
    width = None if terminal or os.environ.get("COLUMNS") else _WIDTH_WITHOUT_TERMINAL
    return Console(
        no_color=not color, highlight=False, width=width, color_system="auto" if color else None
    )
