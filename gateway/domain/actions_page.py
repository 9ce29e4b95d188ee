"""docs/reference/actions.md, made of the table of actions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from gateway.domain.actions import ACTIONS, COMMON, FIELDS, INTENTS, Action, own_options
from gateway.domain.result_fields import EVERY, OWN, PARTS, Told

_HEAD = """\
# Actions of /api/ai

<!-- Made by `make docs` from gateway/domain/actions.py, gateway/domain/result_fields.py and
     gateway/web/assist_body.py; do not edit. -->

Each action is `POST /api/ai/{action}`, and `POST /api/ai/{action}/stream` for server-sent events.
`/docs` on a running gateway lets you try them; [rewrite](rewrite.md) says how a rewrite becomes a
diff, and [context](../how-to/context.md) what goes into a prompt. There is a client
[for Python](../how-to/python-client.md) and one [for the shell](../how-to/shell.md).

| action | what it does | prompt | kind | the body must hold | its own fields of the result |
|---|---|---|---|---|---|"""

_COMMON = """\
Every result has {common}.

With `options.dry_run: true` no model is asked, and the result is that of `/api/ai/context/preview`:
`id`, `range`, `warnings`, `model`, `prompt` and `context`, and nothing else.
`prompt.name` may name any prompt whose `output.kind` is the action's; another one is a 422.

## The field `action`

A body may say what is meant in one word, for clients that send everything to one route. What does
not fit the route is a 422 that names the right one.

| `action` | belongs to | also taken by |
|---|---|---|"""

_REQUEST = """\
## Request

A JSON object of at most 32 MiB (`server.max_body_bytes`), UTF-8, with `Content-Type:
application/json`. A field that is not in this table is a 422 with the one that was probably meant.
A page of another origin needs a proxy in front: the gateway sends no CORS headers.

{headers}

Which fields an action needs is in the table above. `diff` is for `commit-message` alone, which
takes no `file`, `selection`, `position_encoding`, `scope` or `diagnostics`.

| field | type | default | means |
|---|---|---|---|"""

_RESULT = """## Results

A status of 200 and a JSON object. Fields may be added: ignore those that you do not know. `type?`
may be null or left out.
"""

_REST = """### What they mean

- `explain`: `explanation` is Markdown. `references` are the places that it names, each `path` and
  `range`, with the `name` where one was said: definitions in backticks of which there is only one,
  and `path:line`. Each is looked up in what the client sent; what is not there is not listed.
- `review`: `status` is `reviewed`, `truncated` (with the findings that were whole) or `unresolved`;
  these two have the model's own words in `text`. Each finding has `severity`, `category`, `quote`,
  `message`, `suggestion` and a `range`: where the quoted line stands in the selection, null where
  it does not.
- `tests`: `status` is `created`, `truncated` or `unresolved`. `diff` creates the file at `path` and
  is for `git apply`; `sha256` is that of the file. `syntax` is `worse` where it cannot be parsed,
  `unknown` where nobody can tell. `path` is `options.target_path`, else by
  convention: beside the file for Go (`x_test.go`), JavaScript and TypeScript (`x.test.ts`), Java
  and Kotlin (`XTest.java`, `src/main` becoming `src/test`), C# and Swift; else in a folder of tests
  in place of `src`, `lib` or `app`, or at the root: `tests/shop/test_price.py` for
  `src/shop/price.py`, `spec/a_spec.rb` for `lib/a.rb`. A path that one of the files sent has gets a
  number.
- `commit-message`: `message` is `subject`, an empty line and `body`. A diff that touches a denied
  path is a 403; secrets in it are taken out before a model sees them.
- `chat`: `message` is Markdown. `conversation` holds the turns before.

## Streams

Server-sent events, each `event: NAME` and `data: JSON`, in this order:

{events}

Then `data: [DONE]`, which is no JSON and has no name. With `options.dry_run` there are no deltas.
Lines that begin with `:` keep the connection open and mean nothing. What goes wrong before the
first event is a status as without `/stream`; afterwards it is an event `error`, whose `data` is the
body below with `error.retry_after` in it, and no `[DONE]`. A stream that ends without `result` was
cut. Close the connection to stop the model. `EventSource` of browsers cannot POST: read the body of
`fetch`.

## Errors

`{"error": {"message", "type", "param", "code", "request_id"}}`: all strings, `param` null where no
field is to blame; the message says what to send instead. `Retry-After` (seconds) comes with those
that pass by themselves.

{errors}

## Examples"""


_HEADERS = (
    ("header", "means"),
    (
        "`Authorization: Bearer KEY`, or `X-Api-Key`",
        "who asks; may be left out while the gateway has no keys",
    ),
    (
        "`X-Request-Id`",
        "1 to 128 of `A-Z a-z 0-9 . _ : -`: the answer's `id`; else the gateway makes one",
    ),
    (
        "`X-Request-Timeout`",
        "seconds for the whole answer; the least of this, `options.timeout_s` and the "
        "gateway's own holds",
    ),
    (
        "`X-Gateway-Priority`",
        "`interactive`, `normal` or `batch`: who waits for whom",
    ),
    (
        "`Idempotency-Key`",
        "[the same answer to a request that is sent again](rewrite.md#sending-a-request-twice)",
    ),
)

_EVENTS = (
    ("event", "`data`"),
    (
        "`context`",
        "the context report; the first",
    ),
    (
        "`delta`",
        'a piece of the answer. Kind `text`: `{"id", "object": "chat.completion.chunk", '
        '"model", "choices": [{"index": 0, "delta": {"content": "…"}, "finish_reason": '
        'null}]}`, as OpenAI\'s API; else `{"text": "…"}`',
    ),
    (
        "`hunk`",
        "between the deltas of a rewrite: an edit, as soon as it is final; for a preview",
    ),
    (
        "`repair`",
        '`{"problem": "…"}`: the answer is asked for again (`options.repair: 1`, all '
        "kinds but `text`), and not streamed this time",
    ),
    (
        "`result`",
        "the result, as without `/stream`. It alone counts",
    ),
)

_ERRORS = (
    ("status", "`code`", "when"),
    (
        "400",
        "`invalid_json`, `invalid_request`, `invalid_idempotency_key`",
        "the body is no JSON object, or a header is wrong",
    ),
    (
        "401",
        "`invalid_api_key`",
        "no key, or one that nobody knows",
    ),
    (
        "403",
        "`denied_path`, `secret_found`",
        "the file may not be shown to a model ([why](../how-to/context.md#keep-things-out))",
    ),
    (
        "403, other 4xx",
        "`refused_by_policy`, or the policy's own",
        "a policy said no",
    ),
    (
        "404",
        "`model_not_found`",
        "no such model; `GET /v1/models` lists them",
    ),
    (
        "409",
        "`stale_file`",
        "a `sha256` is not that of the content: `error.sent_sha256`, `error.content_sha256`",
    ),
    (
        "409, 422",
        "`idempotency_key_in_use`, `idempotency_key_reused`",
        "the first is still running; the key came with another body",
    ),
    (
        "413",
        "`context_too_large`, `context_length_exceeded`, `body_too_large`",
        "what must go in does not fit",
    ),
    (
        "415",
        "`unsupported_media_type`",
        "the body is not said to be JSON",
    ),
    (
        "422",
        "`invalid_body`, `invalid_range`, `bad_path`, `bad_encoding`, `unknown_prompt`, "
        "`invalid_prompt_input`",
        "a field is missing, unknown or wrong",
    ),
    (
        "429",
        "`queue_full`, `replica_rate_limited`",
        "too many requests: later",
    ),
    (
        "502, 503",
        "`upstream_truncated`, `replica_unavailable`, `shutting_down`, `gateway_overloaded`",
        "no replica gave a whole answer: later",
    ),
    (
        "504",
        "`timeout`",
        "not in time",
    ),
)


def reference(request: Iterable[str]) -> str:
    """docs/reference/actions.md, in Markdown; `request` are the rows of a body's fields."""
    rows = [_HEAD, *map(_row, ACTIONS), ""]
    rows += [_COMMON.format(common=_code(COMMON))]
    for intent, owner in INTENTS.items():
        takers = [one.name for one in ACTIONS if intent in one.intents and one.name != owner]
        also = ", ".join(f"`{name}` (as {_meant(name, intent)})" for name in takers)
        rows.append(f"| `{intent}` | `{owner}` | {also} |")
    rows += ["", _REQUEST.replace("{headers}", _rows(_HEADERS)), *request, "", *_results()]
    rows += [_REST.replace("{events}", _rows(_EVENTS)).replace("{errors}", _rows(_ERRORS))]
    for action in ACTIONS:
        body = json.dumps(action.example, ensure_ascii=False, indent=2)
        rows += ["", f"`POST /api/ai/{action.name}`", "", "```json", body, "```"]
    return "\n".join(rows) + "\n"


def _results() -> Iterator[str]:
    """The fields of each form of result, and of the objects in them."""
    yield _RESULT
    yield from _table("Every result", EVERY)
    for form, told in OWN.items():
        names = ", ".join(f"`{action.name}`" for action in ACTIONS if action.form == form)
        yield from _table(names, told)
    for name, told in PARTS.items():
        yield from _table(f"*{name}*", told)


def _table(title: str, told: Told) -> Iterator[str]:
    yield from (f"| {title} | type | means |", "|---|---|---|")
    for names, (kind, means) in told.items():
        yield f"| {_code(names.split(', '))} | {kind} | {means} |"
    yield ""


def _rows(table: tuple[tuple[str, ...], ...]) -> str:
    head, *rest = (f"| {' | '.join(cells)} |" for cells in table)
    return "\n".join([head, "|" + "---|" * len(table[0]), *rest])


def _row(action: Action) -> str:
    options = own_options()
    own = [f"options.{name}" for name in options if action.name in options[name]]
    needs = _code(action.needs) + (f"; may hold {_code(own)}" if own else "")
    fields = _code(FIELDS[action.form])
    cells = (f"`{action.name}`", action.summary, f"`{action.prompt}`", action.kind, needs, fields)
    return f"| {' | '.join(cells)} |"


def _meant(name: str, intent: str) -> str:
    """What the route `name` takes the word for."""
    (action,) = (one for one in ACTIONS if one.name == name)
    return f"`{action.intents[intent]}`"


def _code(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
