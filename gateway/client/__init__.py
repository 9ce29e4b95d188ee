"""Python clients: of a gateway over HTTP, and of the pipeline inside this process.

Over HTTP, `/api/ai/*` with types; docs/how-to/python-client.md shows each call:

    with AssistClient() as client:                     # GATEWAY_URL, GATEWAY_API_KEY
        print(client.explain("src/mean.py", "Why a float?", lines=(4, 5)).explanation)

Inside this process, `chat()` and `chat_stream()` over an open gateway: see in_process.py.

What is not used is not loaded: the gateway itself needs no HTTP client, and a script no pipeline.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.client import questions
    from gateway.client.assist import AssistClient
    from gateway.client.async_assist import AsyncAssistClient
    from gateway.client.errors import (
        AssistError,
        ConnectionFailed,
        InvalidAnswer,
        NothingToApply,
        RequestTimeout,
        StaleFile,
        StatusError,
        StreamTruncated,
        UnusableFile,
    )
    from gateway.client.events import (
        ContextEvent,
        DeltaEvent,
        Event,
        HunkEvent,
        RepairEvent,
        ResultEvent,
    )
    from gateway.client.files import File, Rule
    from gateway.client.in_process import (
        Completion,
        LLMError,
        LLMTimeoutError,
        Via,
        chat,
        chat_stream,
        completion,
        new_call,
    )
    from gateway.client.places import Diagnostic, Position, Range
    from gateway.client.questions import Asking, Question, Turn
    from gateway.client.results import (
        Answer,
        AnswerWarning,
        ChatMessage,
        CommitMessage,
        ContextItem,
        ContextReport,
        Edit,
        Explanation,
        Finding,
        Hunk,
        Preview,
        PromptUsed,
        Reference,
        Review,
        Rewriting,
        Usage,
        WrittenTests,
    )
    from gateway.client.streams import AnswerStream, AsyncAnswerStream

_IN_PROCESS = (
    *("Completion", "LLMError", "LLMTimeoutError", "Via", "chat", "chat_stream", "completion"),
    "new_call",
)
# Each needs those before it, so that a name is looked for without loading more than it needs.
_OVER_HTTP = (
    *("errors", "places", "files", "results", "questions", "events", "streams"),
    *("assist", "async_assist"),
)

__all__ = [
    "Answer",
    "AnswerStream",
    "AnswerWarning",
    "Asking",
    "AssistClient",
    "AssistError",
    "AsyncAnswerStream",
    "AsyncAssistClient",
    "ChatMessage",
    "CommitMessage",
    "Completion",
    "ConnectionFailed",
    "ContextEvent",
    "ContextItem",
    "ContextReport",
    "DeltaEvent",
    "Diagnostic",
    "Edit",
    "Event",
    "Explanation",
    "File",
    "Finding",
    "Hunk",
    "HunkEvent",
    "InvalidAnswer",
    "LLMError",
    "LLMTimeoutError",
    "NothingToApply",
    "Position",
    "Preview",
    "PromptUsed",
    "Question",
    "Range",
    "Reference",
    "RepairEvent",
    "RequestTimeout",
    "ResultEvent",
    "Review",
    "Rewriting",
    "Rule",
    "StaleFile",
    "StatusError",
    "StreamTruncated",
    "Turn",
    "UnusableFile",
    "Usage",
    "Via",
    "WrittenTests",
    "chat",
    "chat_stream",
    "completion",
    "new_call",
    "questions",
]


def __getattr__(name: str) -> Any:
    """A name of `__all__`, from the module that holds it."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    for module in ("in_process",) if name in _IN_PROCESS else _OVER_HTTP:
        found = import_module(f"gateway.client.{module}")
        if name == module:
            return found
        if hasattr(found, name):
            return getattr(found, name)
    raise AttributeError(name)
