"""The values of metrics' labels in one process, each of them bounded: Labels."""

from __future__ import annotations

from collections.abc import Callable, Collection

from gateway.domain.label_values import LabelValues
from gateway.domain.metrics import OTHER


class Labels:
    """Each method gives what a label may say for a value: the value, or "other". Kept across
    reloads, as the metrics are."""

    def __init__(self, known_models: Callable[[], Collection[str]]) -> None:
        self._known_models = known_models
        self.route = LabelValues(64).label
        self.team = LabelValues(50).label
        self.replica = LabelValues(256).label
        self.policy = LabelValues(100).label
        self.decision = LabelValues(16).label
        self.sha = LabelValues(1000).label
        self.prompt = LabelValues(100).label
        self.prompt_text = LabelValues(200).label
        self.variant = LabelValues(50).label
        self.served_model = LabelValues(200).label
        self.error = LabelValues(32).label
        self.kind = LabelValues(100).label
        self.status = LabelValues(64).label

    def bounded(self, label: str, value: str) -> str:
        """For a label of that name."""
        if label == "replica":
            return self.replica(value)
        if label == "prompt_text":
            return self.prompt_text(value)
        return self.model(value) if label in ("from_model", "to_model") else value

    def model(self, name: str) -> str:
        """A configured model's name; "other" for any other."""
        return name if name in self._known_models() else OTHER
