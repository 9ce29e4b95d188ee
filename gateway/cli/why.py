"""`gateway why REQUEST_ID`: the decision record of a call, from a running gateway, in words."""

from __future__ import annotations

import click

from gateway.cli.ai_options import GATEWAY, NOT_CERTAIN, ending, stop

_UNKNOWN = (
    "nobody here knows a call {id}. The id is the answer's x-request-id header; a gateway forgets "
    "the oldest calls (records.keep) and, without records.redis_url, all of them when it stops; a "
    "key sees the calls of its own team, an operator's those of all."
)


@click.command()
@click.argument("request_id")
@click.option("--url", metavar="URL", help="The gateway; else GATEWAY_URL, else this machine.")
@click.option("--key", metavar="KEY", help="Better kept in GATEWAY_API_KEY: ps shows options.")
@click.option("--json", "as_json", is_flag=True, help="The records as they are, newest first.")
def why(request_id: str, url: str | None, key: str | None, as_json: bool) -> None:
    """Tell why a call went as it did, or how it stands.

    REQUEST_ID is the answer's x-request-id header. Ends with 0; 1 when there is no record of it; 2
    for wrong use; 3 when the gateway refuses or is not there.
    """
    with ending():
        import json
        from urllib.parse import quote

        from gateway.cli.ai_terminal import Screen
        from gateway.cli.live_gateway import LiveGateway
        from gateway.cli.record_text import lines_of
        from gateway.client.errors import StatusError

        try:
            with LiveGateway(url, key) as gateway:
                found = gateway.get(f"/requests/{quote(request_id, safe='')}?running=true")["data"]
        except StatusError as error:
            _stop(error, request_id)
        if as_json:
            click.echo(json.dumps(found, ensure_ascii=False, indent=2))
            return
        screen = Screen()
        for number, record in enumerate(found):
            if number:
                screen.line("")
            for line in lines_of(record):
                screen.line(line)
        if len(found) > 1:
            screen.line("")
            screen.line(f"{len(found)} calls bear that id, the newest first: clients choose ids.")


def _stop(error: Exception, request_id: str) -> None:
    from gateway.client.errors import StatusError

    assert isinstance(error, StatusError)  # nothing else comes here
    if error.code == "record_not_found":
        said = _UNKNOWN.format(id=request_id)
        _, _, silent = error.trouble.message.partition("Now ")
        stop(f"{said} {silent}" if silent else said, NOT_CERTAIN)
    if error.code == "no_records":
        stop(error.trouble.message, NOT_CERTAIN)
    stop(str(error), GATEWAY)
