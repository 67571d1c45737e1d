"""One rank of a plan on one GPU: its shapes, its command, and the page of one that ran."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from kit import load_data
from kit.bench import rehearse as carried_out
from kit.bench import simulate
from kit.bench.measured import decode_steps, measured_rank
from kit.bench.rehearse import workloads
from kit.cli import main
from kit.errors import InvalidValue, KitError
from kit.hardware import profile
from kit.launch.rehearsal import rehearsal, tiny
from kit.models import ModelSpec
from kit.server.command import ServerCommand
from kit.server.processes import free_port, port_taken
from kit.server.rehearse import prepare

H200 = "h200-rank397-mtp"


@pytest.fixture(scope="module")
def h200():
    return measured_rank(H200)


def test_a_rank_of_eight_holds_an_eighth_and_one_kv_head(tmp_path):
    one = rehearsal(profile("h200x8"))
    prepare(one, tmp_path)
    rank, whole = ModelSpec.from_config(tmp_path / "model", name="397b"), profile("h200x8").model
    assert replace(rank, repo=whole.repo) == one.rank.model
    assert rank.moe_intermediate_size == rank.shared_expert_intermediate_size == 128
    assert (rank.num_attention_heads, rank.num_key_value_heads) == (4, 1)
    assert (rank.linear_num_key_heads, rank.linear_num_value_heads) == (2, 8)
    assert rank.vocab_size * 8 == whole.vocab_size
    assert (rank.num_hidden_layers, rank.hidden_size, rank.num_experts) == (60, 4096, 512)


@pytest.mark.parametrize(
    "name", ["h200x8", "h100x16", "397b-fp8-h100x8", "122b-bf16-h100x4", "27b-bf16-h100x2"]
)
def test_weights_kv_and_states_are_the_ranks_of_the_plan(name):
    """Vision tower aside: that is whole."""
    one = rehearsal(profile(name))
    whole, rank = (replace(p.model, vision=None) for p in (one.plan.profile, one.rank))
    held = sum(rank.rank_bytes(one.rank.precision, 1, mtp=True))
    assert held == pytest.approx(
        sum(whole.rank_bytes(one.rank.precision, one.ranks, mtp=True)), rel=1e-4
    )
    assert rank.kv_bytes_per_token(True) == whole.kv_bytes_per_token_per_rank(one.ranks, True)
    assert rank.state_bytes_per_request() == whole.state_bytes_per_rank(one.ranks)


def test_under_expert_parallelism_a_rank_has_whole_experts():
    one = rehearsal(profile("397b-fp8-h200x8"))
    assert (one.rank.model.num_experts, one.rank.model.moe_intermediate_size) == (64, 1024)
    assert any("1.25 reach a rank on average" in line for line in one.missing)


def test_the_command_is_the_plans_without_several_ranks(tmp_path):
    one = rehearsal(profile("397b-fp8-h200x8"), accept_length=3.12)
    command = prepare(one, tmp_path)
    ours, plans = list(command.argv), one.plan.argv()
    assert {"--tp-size", "--ep-size"} & {*plans} == {"--tp-size", "--ep-size"}
    assert not {"--tp-size", "--ep-size"} & {*ours}
    for flag in ("--attention-backend", "--max-running-requests", "--speculative-num-steps"):
        assert ours[ours.index(flag) + 1] == plans[plans.index(flag) + 1]
    assert ours[ours.index("--load-format") + 1] == "dummy"
    assert dict(command.env)["SGLANG_SIMULATE_ACC_LEN"] == "3.12"
    assert not command.outlives


def test_equal_tokens_are_owned_up_to_or_patched(tmp_path):
    plain, mended = (rehearsal(profile("h200x8"), random_ids=wish) for wish in (False, True))
    assert any("the id 100" in line for line in plain.missing)
    assert not any("the id 100" in line for line in mended.missing)
    env = dict(prepare(mended, tmp_path).env)
    assert int(env["KIT_RANDOM_IDS_BELOW"]) == mended.words < mended.rank.model.vocab_size
    assert env["PYTHONPATH"].startswith(str(tmp_path / "patch"))
    assert "KIT_RANDOM_IDS_BELOW" not in dict(prepare(plain, tmp_path / "plain").env)


def test_prompts_keep_to_the_words_of_the_rank():
    one = rehearsal(tiny())
    for _, _, work in workloads(one):
        for index in range(work.num_prompts):
            assert max(work.prompt(index)) < one.words
            assert len(work.prompt(index)) == work.lengths[index][0]


def test_the_recorded_h200_tells_what_was_measured(h200):
    """The step times were first taken from the log by another script (least 3 lines a kind)."""
    steps = {(s.requests, s.context): s.ms for s in h200.steps}
    for requests, context, ms in (
        (1, 147, 9.76),
        (32, 163, 32.61),
        (32, 8303, 52.16),
        (48, 140, 37.14),
    ):
        assert steps[requests, context] == pytest.approx(ms, rel=2e-3)
    assert h200.runs["one at a time"].workload.total_output_tokens == 4220
    assert str(h200.provenance) == (
        "measured · one rank of 8 of h200x8, one NVIDIA H200 (143,771 MiB, driver 580.159.04), "
        "SGLang 0.5.12.post1, dummy weights, Triton attention"
    )
    assert [one.name for one in load_data.path("measured").iterdir()] == [H200]


def test_its_page_has_measured_beside_predicted_for_every_term(h200, capsys):
    assert main(["rehearse", "--read", H200]) == 0
    said = capsys.readouterr().out
    assert "| 48 × 140 tokens, ms" in said
    assert "the exchange between 8 ranks" in said
    assert all(row.measured and row.predicted for row in h200.rows)
    page = h200.to_json()
    assert page["provenance"]["kind"] == "measured"
    assert page["predicted_provenance"]["kind"] == "simulated"


def test_steps_with_a_prefill_between_do_not_count():
    line = "Decode batch, #running-req: 2, #token: 100, accept len: 3.00, "
    line += "gen throughput (token/s): 600.00"
    log = ["The server is fired up", line, line, line, "Prefill batch", line, line]
    (step,) = decode_steps("\n".join(log))
    assert (step.requests, step.context, step.ms) == (2, 50, 10.0)
    assert list(decode_steps("\n".join(log[:-1]))) == []


def test_what_was_measured_before_the_time_was_up_is_kept(tmp_path, monkeypatch):
    one, port = rehearsal(tiny()), free_port()
    argv = (sys.executable, str(Path(__file__).with_name("fake_sglang.py")), str(port), "dummy")
    fake = ServerCommand("fake", argv, "127.0.0.1", port, "0.5.23", "none", 0.0, outlives=False)
    works = [work for _, _, work in workloads(one)]
    reports = iter([simulate(one.rank, works[0]), None])  # None: out of time
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(carried_out, "prepare", lambda one, folder: fake)
    monkeypatch.setattr(carried_out, "_within", lambda *_: next(reports))
    done = carried_out.rehearse(one, tmp_path / "cut", 1.0, say=lambda _: None)
    assert list(done.prefill_ms) == [works[0].input_len]
    assert done.stopped == f"prefill, {works[1].input_len} tokens"
    assert f"- all from where it was stopped: {done.stopped}" in str(done)
    assert not port_taken("127.0.0.1", port)
    with pytest.raises(KitError, match="holds a rehearsal already"):
        carried_out.rehearse(one, tmp_path / "cut", 1.0)


def test_what_cannot_be_is_said_in_two_lines(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["rehearse", "h200x8", "--out", str(tmp_path / "one")]) == 2
    assert "sglang is not installed here\n→ " in capsys.readouterr().err
    with pytest.raises(InvalidValue, match="kit serve cpu-pocket"):
        rehearsal(profile("397b-bf16-xeonx6"))
    with pytest.raises(KitError, match="h200-rank397-mtp"):
        measured_rank(tmp_path / "nothing")


def test_a_dry_run_writes_and_starts_nothing(tmp_path, capsys):
    assert main(["rehearse", "h200x8", "--dry-run", "--out", str(tmp_path)]) == 0
    assert "--load-format dummy" in capsys.readouterr().out
    assert json.loads((tmp_path / "model" / "config.json").read_text())["architectures"]
    assert sorted(Path(tmp_path).iterdir()) == [tmp_path / "model"]
