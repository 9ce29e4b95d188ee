"""docs/reference/actions.md, made of the table of actions."""

from __future__ import annotations

import json

from gateway.domain.actions import ACTIONS, COMMON, FIELDS, INTENTS, Action, own_options

_HEAD = """\
# Actions of /api/ai

<!-- Made by `make docs` from gateway/domain/actions.py; do not edit. -->

Each action is `POST /api/ai/{action}`, and `POST /api/ai/{action}/stream` for server-sent events.
`/docs` on a running gateway shows every field of a body; [rewrite](rewrite.md) says how a rewrite
becomes a diff, and [context](../how-to/context.md) what goes into a prompt.

| action | what it does | prompt | kind | the body must hold | its own fields of the result |
|---|---|---|---|---|---|"""

_COMMON = """\
Every result has {common}.

With `options.dry_run: true` no model is asked, and the result is that of `/api/ai/context/preview`.
`prompt.name` may name any prompt whose `output.kind` is the action's; another one is a 422.

## The field `action`

A body may say what is meant in one word, for clients that send everything to one route. What does
not fit the route is a 422 that names the right one.

| `action` | belongs to | also taken by |
|---|---|---|"""

_REST = """\
## Results

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

`context` (the report) comes first, then `delta`s: OpenAI's chunks where the kind is `text`, else
`{{"text": …}}`; for a rewrite `hunk`s as they become final; `repair` where the answer is asked for
again (`options.repair: 1`, all kinds but `text`); `result`, which alone is authoritative; `[DONE]`.

## Examples"""


def reference() -> str:
    """docs/reference/actions.md, in Markdown."""
    rows = [_HEAD, *map(_row, ACTIONS), ""]
    rows += [_COMMON.format(common=_code(COMMON))]
    for intent, owner in INTENTS.items():
        takers = [one.name for one in ACTIONS if intent in one.intents and one.name != owner]
        also = ", ".join(f"`{name}` (as {_meant(name, intent)})" for name in takers)
        rows.append(f"| `{intent}` | `{owner}` | {also} |")
    rows += ["", _REST.replace("{{", "{").replace("}}", "}")]
    for action in ACTIONS:
        body = json.dumps(action.example, ensure_ascii=False, indent=2)
        rows += ["", f"`POST /api/ai/{action.name}`", "", "```json", body, "```"]
    return "\n".join(rows) + "\n"


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
