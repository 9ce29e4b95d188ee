"""`gateway top`: replicas, queues, rates, the slowest requests and teams, as they are now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gateway.cli.ai_options import ending

if TYPE_CHECKING:
    from gateway.cli.live_watch import Watch

# By then the replicas have told of their load: they are asked while somebody looks.
_ONCE_SECONDS = 2.0


@click.command()
@click.option("--url", metavar="URL", help="The gateway; else GATEWAY_URL, else this machine.")
@click.option("--key", metavar="KEY", help="An operator's; better kept in GATEWAY_API_KEY.")
@click.option("--once", is_flag=True, help="One picture, after 2 seconds; also without a terminal.")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON at each look.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.2, max=3600),
    default=1.0,
    metavar="SECONDS",
    help="From one look to the next; 1.",
)
@click.option("--no-color", is_flag=True, help="Also NO_COLOR; colours need a terminal.")
def top(
    url: str | None, key: str | None, once: bool, as_json: bool, interval: float, no_color: bool
) -> None:
    """Show what goes on now: replicas, queues, teams, the slowest requests.

    Leave with q or Ctrl-C. Needs a key with the role operator, where keys are needed. Ends with 0;
    2 for wrong use; 3 when the gateway refuses or is not there.
    """
    with ending():
        from gateway.cli.live_gateway import LiveGateway
        from gateway.cli.live_watch import Watch

        with LiveGateway(url, key) as gateway:
            watch = Watch(gateway, interval)
            if as_json:
                _show_json(watch, once)
            else:
                _show(watch, once, no_color)


def _show_json(watch: Watch, once: bool) -> None:
    import json

    watch.look()
    while True:
        watch.pause(_ONCE_SECONDS if once else 0.0)
        shown = watch.look()
        assert shown.rates is not None  # there was a look before
        rates, by_team = shown.rates
        told: dict[str, Any] = {**shown.live, "rates": rates, "team_rates": by_team}
        click.echo(json.dumps(told, ensure_ascii=False))
        if once:
            return


def _show(watch: Watch, once: bool, no_color: bool) -> None:
    from gateway.cli.live_screen import draw, drawing, is_terminal

    if once or not is_terminal():
        watch.look()
        watch.pause(_ONCE_SECONDS)
        draw(watch.look(), no_color)
    else:
        drawing(watch, no_color)
