"""`help()` on a client's method shows what its function takes."""

from __future__ import annotations

import inspect

from gateway.client import AssistClient, AsyncAssistClient, questions


def test_a_method_looks_like_its_function() -> None:
    for client in (AssistClient, AsyncAssistClient):
        own, *rest = inspect.signature(client.fix).parameters.values()
        assert own.name == "self"
        assert rest == list(inspect.signature(questions.fix).parameters.values())
        assert client.fix.__doc__ == questions.fix.__doc__
        assert client.fix_stream.__name__ == "fix"
