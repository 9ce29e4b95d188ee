"""Every failure that a client can be told of: one tree, each with its HTTP status and OpenAI code.

    GatewayError                500  internal_error
    ├── InvalidRequest          400  invalid_request
    │   ├── ModelNotFound       404  model_not_found
    │   ├── RouteNotFound       404  route_not_found
    │   ├── BodyTooLarge        413  body_too_large
    │   ├── ContextLengthExceeded 413  context_length_exceeded
    │   ├── UnknownPrompt       422  unknown_prompt
    │   └── PromptInputError    422  invalid_prompt_input
    ├── Unauthorized            401  invalid_api_key
    ├── Refusal                 403  refused_by_policy       a policy said no
    ├── Overloaded              429  queue_full              no slot in time
    ├── ClientStalled           499  client_stalled          nobody is there to read it
    ├── ShuttingDown            503  shutting_down           SIGTERM has come
    ├── OutOfDescriptors        503  gateway_overloaded      no connection can be opened
    ├── RecordsUnavailable      503  records_unavailable     where they are kept does not answer
    ├── DatabaseUnavailable     503  database_unavailable    it does not answer, or only reads
    ├── CountersUnavailable     503  counters_unavailable    nobody knows what is used (counters.py)
    └── LLMError                503  replica_unavailable     no replica gave an answer
        ├── LLMTimeoutError     504  timeout
        ├── ReplicaBusy         429  replica_rate_limited
        ├── RejectedByReplica   4xx  the replica's own code
        └── StreamTruncated     502  upstream_truncated      cut after the first byte was shown

Two texts: `public` goes to the client, `detail` only to the log.
"""

from __future__ import annotations

from typing import Any, ClassVar


class GatewayError(Exception):
    """A failure with a public text. `detail` is for the log and may name hosts and causes."""

    status: int = 500
    code: str = "internal_error"
    type: str = "server_error"
    default_public: ClassVar[str] = "The gateway met an internal error."

    def __init__(
        self,
        public: str | None = None,
        *,
        detail: str = "",
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        self.public = public or self.default_public
        self.detail = detail
        self.param = param
        self.retry_after = retry_after
        if code is not None:
            self.code = code
        super().__init__(detail or self.public)

    def body(self, request_id: str = "") -> dict[str, Any]:
        """OpenAI's error object, with the request id that the log knows it by."""
        error = {"message": self.public, "type": self.type, "param": self.param, "code": self.code}
        if request_id:
            error["request_id"] = request_id
        return {"error": error}


class InvalidRequest(GatewayError):
    """The client's own mistake; the text says what to send instead."""

    status = 400
    code = "invalid_request"
    type = "invalid_request_error"
    default_public = "The request is not valid."


class ModelNotFound(InvalidRequest):
    """No model of that name is configured."""

    status = 404
    code = "model_not_found"
    default_public = "That model does not exist here; GET /v1/models lists those that do."


class RouteNotFound(InvalidRequest):
    """No such path, or not with that method."""

    status = 404
    code = "route_not_found"
    default_public = "There is no such route; /docs lists them."


class BodyTooLarge(InvalidRequest):
    """The request body passes the limit of bytes."""

    status = 413
    code = "body_too_large"
    default_public = "The request body is too large."


class ContextLengthExceeded(InvalidRequest):
    """The prompt is longer than the model's window; both in tokens. In OpenAI's words, since
    clients look for them to know that they should shorten."""

    status = 413
    code = "context_length_exceeded"

    def __init__(self, window: int, tokens: int, param: str) -> None:
        self.window = window
        self.tokens = tokens
        super().__init__(
            f"This model's maximum context length is {window} tokens, and your {param} have more "
            f"(at least {tokens}). Send less, or use a model with a larger window.",
            param=param,
        )


class UnknownPrompt(InvalidRequest):
    """No prompt file of that name is loaded."""

    status = 422
    code = "unknown_prompt"
    default_public = "There is no prompt of that name."


class PromptInputError(InvalidRequest):
    """The inputs do not fit what the prompt file declares, or make too long a prompt."""

    status = 422
    code = "invalid_prompt_input"
    default_public = "The inputs do not fit this prompt."


class Unauthorized(GatewayError):
    """No key, or one that nobody knows."""

    status = 401
    code = "invalid_api_key"
    type = "authentication_error"
    default_public = (
        "Give a valid key: 'Authorization: Bearer <key>' or 'x-api-key: <key>'. "
        "Ask the gateway's operator for one."
    )


class Refusal(GatewayError):
    """What a policy raises to say no. `status` is any 4xx; the text goes to the client, and so do
    `code` and `type`, where clients look for OpenAI's own words."""

    status = 403
    code = "refused_by_policy"
    type = "policy_error"
    default_public = "A policy of this gateway refuses the request."

    def __init__(
        self,
        public: str | None = None,
        *,
        status: int = 403,
        code: str | None = None,
        type: str | None = None,
        detail: str = "",
        retry_after: float | None = None,
    ) -> None:
        if not 400 <= status < 500:
            raise ValueError(f"a refusal's status is a 4xx, not {status}")
        super().__init__(public, detail=detail, code=code, retry_after=retry_after)
        self.status = status
        if type is not None:
            self.type = type


class Overloaded(GatewayError):
    """No slot came free in time, or the queue is full. `retry_after` is in seconds."""

    status = 429
    code = "queue_full"
    type = "rate_limit_error"
    default_public = "Every replica of this model is busy; try again soon."


class ClientStalled(GatewayError):
    """The client left its answer unread for too long, and its connection was closed."""

    status = 499
    code = "client_stalled"
    type = "client_error"
    default_public = "The client does not read its answer."


class ShuttingDown(GatewayError):
    """This process is about to end; another one will answer."""

    status = 503
    code = "shutting_down"
    default_public = "This gateway is shutting down; try again."

    def __init__(self) -> None:
        super().__init__(retry_after=1.0)


class OutOfDescriptors(GatewayError):
    """This process may open no more connections (RLIMIT_NOFILE); no replica is to blame."""

    status = 503
    code = "gateway_overloaded"
    default_public = "This gateway has too many connections open; try again soon."

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail=detail, retry_after=1.0)


class RecordsUnavailable(GatewayError):
    """Decision records of other processes cannot be read now; this one has none of that id."""

    status = 503
    code = "records_unavailable"
    default_public = (
        "The Redis that keeps the records of calls does not answer, and this process has none of "
        "a call with that id; try again soon."
    )

    def __init__(self, *, detail: str = "") -> None:
        super().__init__(detail=detail, retry_after=2.0)


class DatabaseUnavailable(GatewayError):
    """The database does not answer in time, or does not do as it is told."""

    status = 503
    code = "database_unavailable"
    default_public = "The gateway's database does not answer; try again soon."

    def __init__(self, *, detail: str = "") -> None:
        super().__init__(detail=detail, retry_after=2.0)


class LLMError(GatewayError):
    """No replica of the model gave an answer."""

    status = 503
    code = "replica_unavailable"
    default_public = "The model is not available at the moment; try again soon."


class LLMTimeoutError(LLMError):
    """The model gave no answer within the time."""

    status = 504
    code = "timeout"
    type = "timeout_error"
    default_public = "The model did not answer in time."


class ReplicaBusy(LLMError):
    """Every replica answered 429; `retry_after` (s) is the replica's own word, when it gave one."""

    status = 429
    code = "replica_rate_limited"
    type = "rate_limit_error"
    default_public = "Every replica of this model is at its limit; try again soon."


class RejectedByReplica(LLMError):
    """The replica says that the request is wrong: its own 4xx, its own words."""

    status = 400
    code = "rejected_by_replica"
    type = "invalid_request_error"
    default_public = "The model's server does not accept this request."

    def __init__(self, public: str, *, status: int, code: str, param: str | None = None) -> None:
        super().__init__(public, detail=f"replica answered {status}", code=code, param=param)
        self.status = status


class StreamTruncated(LLMError):
    """A stream ended before the model had finished, after some of it was shown."""

    status = 502
    code = "upstream_truncated"
    default_public = "The answer was cut off before it was complete."
