"""OpenTelemetry's GenAI metrics, in Prometheus' spelling, by two conventions: rows of metrics.py.

`latest` is what open-telemetry/semantic-conventions-genai says, `v1_41` what the main conventions
said before it left them; a row without either is the same in both. We are a server to our clients
and a client of the replicas. Addresses of replicas are no labels: anybody may read /metrics.
"""

from __future__ import annotations

from gateway.domain.metric import Convention, Kind, Metric

LABELS = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model")
_OF_ANSWER = (*LABELS, "gen_ai_response_model")
_ENDED = (*_OF_ANSWER, "error_type")

# The conventions' own bounds, and three more: an answer may take longer than 82 s.
SECONDS = (
    *(0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92),
    *(163.84, 327.68, 655.36),
)
# As above: a cold or loaded replica takes longer than 10 s.
_FIRST_TOKEN = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10),
    *(15, 30, 60),
)
_PER_TOKEN = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5)
_TOKENS = tuple(float(4**power) for power in range(14))


def _seconds(
    name: str,
    text: str,
    labels: tuple[str, ...] = _OF_ANSWER,
    convention: Convention = Convention.BOTH,
    buckets: tuple[float, ...] = SECONDS,
) -> Metric:
    return Metric(
        name, Kind.HISTOGRAM, "seconds", text, labels, buckets=buckets, convention=convention
    )


def _tokens(name: str, text: str) -> Metric:
    labels = (*LABELS, "gen_ai_token_modality")
    return Metric(name, Kind.COUNTER, "tokens", text, labels, convention=Convention.LATEST)


def _sizes(name: str, text: str) -> Metric:
    return Metric(
        name, Kind.HISTOGRAM, "tokens", text, LABELS, buckets=_TOKENS, convention=Convention.LATEST
    )


_WHOLE = "From the request's arrival to the end of its answer, of calls that a replica was asked."
FIRST_TOKEN = _seconds(
    "gen_ai_server_time_to_first_token_seconds",
    "From the request's arrival to the first token, of streams that came to one.",
    LABELS,
    buckets=_FIRST_TOKEN,
)
SERVER_DURATION = _seconds("gen_ai_server_request_duration_seconds", _WHOLE, _ENDED)
PER_TOKEN = _seconds(
    "gen_ai_server_time_per_output_token_seconds",
    "Seconds a token after the first, of completed streams of more than one.",
    LABELS,
    buckets=_PER_TOKEN,
)
INFERENCE_DURATION = _seconds(
    "gen_ai_client_inference_duration_seconds",
    "From the first attempt's beginning to the end of the answer, back-offs included.",
    _ENDED,
    Convention.LATEST,
)
FIRST_CHUNK = _seconds(
    "gen_ai_client_inference_time_to_first_chunk_seconds",
    "From the first attempt's beginning to the first chunk, of streams that came to one.",
    LABELS,
    Convention.LATEST,
)
PER_CHUNK = _seconds(
    "gen_ai_client_inference_time_per_output_chunk_seconds",
    "Between a chunk of a stream and the one before it, as the client gets them.",
    LABELS,
    Convention.LATEST,
)
INPUT_TOKENS = _tokens(
    "gen_ai_client_inference_usage_input_tokens_total",
    "Prompt tokens as the replica counted them, cached ones included. Never estimated.",
)
OUTPUT_TOKENS = _tokens(
    "gen_ai_client_inference_usage_output_tokens_total",
    "Generated tokens as the replica counted them. Never estimated.",
)
CACHED_TOKENS = _tokens(
    "gen_ai_client_inference_usage_cache_read_input_tokens_total",
    "The part of the prompt tokens that came from the replica's prefix cache.",
)
REASONING_TOKENS = _tokens(
    "gen_ai_client_inference_usage_reasoning_output_tokens_total",
    "The part of the generated tokens that were thoughts, of replicas that tell it.",
)
INPUT_SIZE = _sizes(
    "gen_ai_client_inference_operation_input_tokens", "Prompt tokens of a call. Never estimated."
)
OUTPUT_SIZE = _sizes(
    "gen_ai_client_inference_operation_output_tokens",
    "Generated tokens of a call. Never estimated.",
)
OLD_DURATION = _seconds(
    "gen_ai_client_operation_duration_seconds", INFERENCE_DURATION.help, _ENDED, Convention.V1_41
)
OLD_FIRST_CHUNK = _seconds(
    "gen_ai_client_operation_time_to_first_chunk_seconds",
    FIRST_CHUNK.help,
    LABELS,
    Convention.V1_41,
)
OLD_PER_CHUNK = _seconds(
    "gen_ai_client_operation_time_per_output_chunk_seconds",
    PER_CHUNK.help,
    LABELS,
    Convention.V1_41,
)
OLD_TOKENS = Metric(
    "gen_ai_client_token_usage",
    Kind.HISTOGRAM,
    "tokens",
    "Tokens of a call as the replica counted them, cached ones included. Never estimated.",
    (*LABELS, "gen_ai_token_type"),
    buckets=_TOKENS,
    convention=Convention.V1_41,
)

GENAI_METRICS = (
    *(FIRST_TOKEN, SERVER_DURATION, PER_TOKEN, INFERENCE_DURATION, FIRST_CHUNK, PER_CHUNK),
    *(INPUT_TOKENS, OUTPUT_TOKENS, CACHED_TOKENS, REASONING_TOKENS, INPUT_SIZE, OUTPUT_SIZE),
    *(OLD_DURATION, OLD_FIRST_CHUNK, OLD_PER_CHUNK, OLD_TOKENS),
)
