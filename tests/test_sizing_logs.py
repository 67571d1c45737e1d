"""The memory plan beside the two start logs of a real H200 (data/recorded), SGLang 0.5.12.post1."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from kit import load_data
from kit.hardware import Profile, profile
from kit.launch.rehearsal import rehearsal
from kit.sizing import plan

VERSION = "0.5.12.post1"
LOGS: dict[str, Profile] = {
    "h200-35b-mtp": replace(profile("35b-bf16-h200x1"), mamba_radix_cache_strategy="extra_buffer"),
    "h200-rank397-mtp": rehearsal(profile("h200x8"), VERSION).rank,
}
GIB = r"([\d.]+) ?GB"  # the log writes GB and means GiB


def figures(name: str) -> dict[str, float]:
    """What the start log shows."""
    text = load_data.path(f"recorded/{name}.log").read_text(encoding="utf-8")

    def of(pattern: str, which: int = 0) -> float:
        return float(re.findall(pattern, text)[which])

    graphs = re.findall(rf"Capture .*cuda graph end.*?mem usage={GIB}", text)
    assert len(graphs) == 3  # verify, draft, draft extend
    return {
        "slots": of(r"max_mamba_cache_size: (\d+)"),
        "states": of(rf"conv_state size: {GIB}") + of(rf" ssm_state size: {GIB}"),
        "snapshots": of(rf"intermediate_ssm_state_cache size: {GIB}")
        + of(rf"intermediate_conv_window_cache size: {GIB}"),
        "tokens": of(r"max_total_num_tokens=(\d+)"),
        "kv": 2 * of(rf"K size: {GIB}"),
        "mtp_kv": 2 * of(rf"K size: {GIB}", 1),
        "requests": of(r"max_running_requests=(\d+), context_len"),
        "free": of(rf"Load weight begin. avail mem={GIB}"),
        "graphs": sum(map(float, graphs)),
    }


@pytest.mark.parametrize("name", LOGS)
def test_a_plan_says_what_the_log_shows(name: str) -> None:
    made, log = plan(LOGS[name], VERSION), figures(name)
    rank = made.rank(0)
    assert made.max_running_requests == log["requests"] == 48
    assert made.slots == pytest.approx(log["slots"], rel=0.03)
    assert made.kv_tokens == pytest.approx(log["tokens"], rel=0.03)
    assert rank.gdn_states_gib == pytest.approx(log["states"], rel=0.03)
    assert rank.mtp_snapshots_gib == pytest.approx(log["snapshots"], abs=0.02)
    assert rank.kv_cache_gib == pytest.approx(log["kv"], rel=0.03)
    assert rank.mtp_kv_outside_gib == pytest.approx(log["mtp_kv"], abs=0.03)
    assert rank.limit_gib - rank.context_gib == pytest.approx(log["free"], abs=0.2)
    assert rank.cuda_graphs_gib == pytest.approx(log["graphs"], rel=0.2)


@pytest.mark.parametrize("name", LOGS)
def test_the_pools_hold_one_state_and_one_snapshot_more_than_the_log_counts(name: str) -> None:
    log = figures(name)
    state = plan(LOGS[name], VERSION).state_mib_per_request_per_rank / 1024
    assert log["states"] / state == pytest.approx(log["slots"] + 1, abs=1)
    assert log["snapshots"] / state / 4 == pytest.approx(49, abs=0.5)
