"""docs/reference/metrics.md, made of the table of metrics."""

from __future__ import annotations

from gateway.domain.metrics import LABELS, METRICS


def reference() -> str:
    """docs/reference/metrics.md, in Markdown."""
    lines = [
        "# Metrics",
        "",
        "<!-- Made by `make docs` from gateway/domain/metrics.py; do not edit. -->",
        "",
        "`GET /metrics` gives them as Prometheus text or, where the client asks, as OpenMetrics.",
        "To anybody who reaches the port, unless `server.metrics_need_key` is set: "
        "[a key for Prometheus](../how-to/keys-and-teams.md#a-key-for-prometheus).",
        "With several workers each process is told apart by the label `worker`:",
        "add them up with `sum without (worker)`. `process_*` are as every client of Prometheus",
        "tells them.",
        "",
        "| name | kind | unit | labels | meaning |",
        "|---|---|---|---|---|",
    ]
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        cells = (f"`{metric.name}`", metric.kind.value, metric.unit, labels, metric.help)
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "## Labels", "", "| label | holds |", "|---|---|"]
    lines += [f"| `{label}` | {meaning} |" for label, meaning in LABELS.items()]
    lines += ["", "## Buckets", ""]
    for metric in METRICS:
        if metric.buckets:
            bounds = ", ".join(f"{bound:g}" for bound in metric.buckets)
            lines.append(f"- `{metric.name}`: {bounds}")
    return "\n".join(lines) + "\n"
