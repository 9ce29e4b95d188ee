"""What the labels of metrics may hold: LABELS, and OTHER for what is too much for one."""

from __future__ import annotations

from gateway.domain import genai

OTHER = "other"

# What a label may hold. Every one of them is bounded: a client cannot add a series.
LABELS: dict[str, str] = {
    "route": "the route's template, such as `/v1/chat/completions`",
    "model": f"a configured model name; `{OTHER}` for any other, and while it is not known",
    "team": f"the caller's team; after the first 50 of a process, `{OTHER}`",
    "outcome": "how it ended: see each metric",
    "replica": f"the replica's id; after the first 256 of a process, `{OTHER}`",
    "result": "how it ended: see each metric",
    "sha": f"12 digits of the digest of the files; after the first 1000 of a process, `{OTHER}`",
    "state": "of a replica: `healthy`, `cooling`, `unhealthy`, `half_open` or `drained`; of a "
    "connection: `in_use` or `idle`",
    "kind": f"what it was, such as `aws_key`; after the first 100 of a process, `{OTHER}`",
    "reason": "a fault's name, such as `connect_error`, `server_error`, `timeout`; of a prompt the "
    f"error's code, after the first 32 of a process `{OTHER}`",
    "priority": "`interactive`, `normal` or `batch`",
    "policy": f"the policy's name; after the first 100 of a process, `{OTHER}`",
    "scope": "of whom the limit is: `key`, `team and model`, `all`, …",
    "percent": "one of the policy's `alerts`: `80`, `100`",
    "decision": f"the policy's word; after the first 16 of a process, `{OTHER}`",
    "prompt": f"the prompt's name; after the first 100 of a process, `{OTHER}`",
    "prompt_text": f"`name@version+sha`; after the first 200 of a process, `{OTHER}`",
    "variant": "the variant's id, `shadow:` before it in a shadow run; empty without variants; "
    f"after the first 50 of a process, `{OTHER}`",
    "from_model": "as `model`",
    "to_model": "as `model`",
    "status": "an HTTP status; 499: the client had left",
    "token_type": "`input` or `output`",
    "metric": "the name of a metric",
    "worker": "the place of a worker process, from 0; with several, all metrics have it",
    "signal": "`spans`, `logs` or `metrics`",
    "error_type": "empty for a completed call; `client_disconnected`, `timeout`, `truncated`, a "
    f"fault's name or a status; after the first 32 of a process, `{OTHER}`",
    "gen_ai_response_model": "what the replica calls the model; after the first 200 of a process, "
    f"`{OTHER}`",
    "gen_ai_token_modality": "`text`, or `unknown` where media went in",
    "gen_ai_token_type": "`input` or `output`",
    "gen_ai_operation_name": "`chat`, `text_completion` or `embeddings`",
    "gen_ai_provider_name": f"always `{genai.PROVIDER}`: the dialect that replicas speak",
    "gen_ai_request_model": f"as `model`: a configured model name, else `{OTHER}`",
}
