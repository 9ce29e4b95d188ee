"""Asking a running gateway: its JSON, its no, and who is no gateway."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.cli.live_gateway import LiveGateway
from gateway.client.errors import AssistError, ConnectionFailed, InvalidAnswer, StatusError
from tests.client.contract_server import closed_port


@contextmanager
def answering(status: int, body: bytes) -> Iterator[tuple[str, list[str | None]]]:
    """A server that always says that; its URL, and the keys that it is shown."""
    shown: list[str | None] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown.append(self.headers.get("authorization"))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", shown
        finally:
            server.shutdown()
            thread.join()


def test_the_key_of_the_environment_is_shown_and_an_option_goes_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GATEWAY_API_KEY", "sk-of-the-environment")
    with answering(200, b'{"a": 1}') as (url, shown):
        monkeypatch.setenv("GATEWAY_URL", url)
        with LiveGateway(None, None) as gateway:
            assert gateway.get("/admin/live") == {"a": 1}
            assert gateway.url == url
        with LiveGateway(url, "sk-option") as gateway:
            gateway.get("/admin/live")
    assert shown == ["Bearer sk-of-the-environment", "Bearer sk-option"]


def test_a_no_is_the_gateways_own_and_for_a_key_says_where_to_put_it() -> None:
    no = b'{"error": {"message": "Give a key.", "code": "invalid_api_key"}}'
    for status, ends in ((401, "Give a key. Here: set GATEWAY_API_KEY."), (403, "Give a key.")):
        with (
            answering(status, no) as (url, _),
            LiveGateway(url, None) as gateway,
            pytest.raises(StatusError) as caught,
        ):
            gateway.get("/admin/live")
        assert str(caught.value) == f"{status}: {ends} (invalid_api_key)"


def test_what_is_no_gateway_is_told() -> None:
    with (
        answering(200, b"<html>") as (url, _),
        LiveGateway(url, None) as gateway,
        pytest.raises(InvalidAnswer, match="is that a gateway's address"),
    ):
        gateway.get("/admin/live")
    with (
        LiveGateway(f"http://127.0.0.1:{closed_port()}", None) as gateway,
        pytest.raises(ConnectionFailed, match="is the gateway running at"),
    ):
        gateway.get("/admin/live")
    with pytest.raises(AssistError, match="no URL of a gateway"):
        LiveGateway("here", None)
