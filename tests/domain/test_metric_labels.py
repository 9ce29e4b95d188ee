"""What labels hold is said in words that end where they should."""

from __future__ import annotations

from gateway.domain.metric_labels import LABELS


def test_no_label_is_about_a_client_itself() -> None:
    assert not {"user", "ip", "address", "key", "key_id", "request_id", "user_agent"} & set(LABELS)
    assert all(not text.endswith(".") for text in LABELS.values())
