"""Load is read off vLLM's and llama.cpp's own pages."""

from __future__ import annotations

from gateway.domain.replica_load import ReplicaLoad, read_load

VLLM = b"""# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="m"} 3.0
vllm:num_requests_waiting{engine="1",model_name="m"} 1.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="m",reason="capacity"} 7.0
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
vllm:kv_cache_usage_perc{engine="1",model_name="m"} 5e-01
"""


def test_the_engines_of_a_vllm_add_up_and_the_fullest_cache_counts() -> None:
    assert read_load(VLLM, 7.0) == ReplicaLoad(waiting=4.0, kv=0.5, at=7.0)


def test_llama_cpp_is_understood_too() -> None:
    page = b"llamacpp:requests_deferred 2\nllamacpp:kv_cache_usage_ratio 0.1\n"
    assert read_load(page, 0.0) == ReplicaLoad(2.0, 0.1, 0.0)


def test_a_cache_that_is_not_told_is_unknown() -> None:
    assert read_load(b"vllm:num_requests_waiting 0\n", 0.0) == ReplicaLoad(0.0, None, 0.0)


def test_a_page_without_a_load_says_nothing() -> None:
    for page in (b"", b"<html>", b"\xff\xfe", b"vllm:num_requests_waiting{} 1e-e\n"):
        assert read_load(page, 0.0) is None
