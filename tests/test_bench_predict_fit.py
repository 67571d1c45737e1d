"""Constants refitted: to published runs, and to result lines of three tools."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kit.bench import Workload, fit, predict, published, published_runs, simulate
from kit.bench.compare import (
    mean_and_worst_error,
    other_predictors,
    prediction_ratios,
    prediction_table,
)
from kit.bench.user_runs import fit_runs, user_runs
from kit.cli import main
from kit.errors import InvalidValue, KitError
from kit.hardware import profile
from kit.speed import Constants, SpeedModel

SMALL = profile("35b-bf16-h200x1")
OURS = ("seed", "num_prompts", "image_count", "image_resolution", "ramp", "provenance", "failed")
WORKS = (
    Workload(1000, 200, 8, max_concurrency=1),
    Workload(600, 200, 60, max_concurrency=30),
    Workload(6000, 20, 20, max_concurrency=4),
)


def line(work, constants=None, machine=SMALL, **more):
    """A result line of a machine that has `constants`, as `kit bench` would write it."""
    speed = SpeedModel.of(machine, constants=constants)
    return simulate(machine, work, speed=speed).to_json() | more


def write(path: Path, *lines) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in lines), encoding="utf-8")
    return path


def without_ours(found):
    """As bench_serving writes it: no seed, no label."""
    return {key: value for key, value in found.items() if key not in OURS}


def test_the_constants_in_the_data_are_no_worse_than_their_neighbours():
    """A fit: moving any constant by a fifth, either way, makes the headline rows no better."""
    quick = [r for r in published_runs() if r.name == "cookbook-latency"]

    def cost(constants):
        rows = fit.rows(constants, quick)
        return sum(abs(row.ratio - 1) for row in rows if row.headline)

    era = Constants.fitted("0.5.9")
    best = cost(era)
    assert best < 0.1
    for name in ("prefill_floor_us_per_layer", "draft_floor_us", "bandwidth_efficiency"):
        for factor in (0.8, 1.25):
            assert cost(fit.changed(era, name, factor)) > best


def test_a_machine_is_learnt_from_its_runs(tmp_path):
    """A machine with a slower host and slower memory: the fit finds its rows within 5 %."""
    there = Constants.fitted().changed(
        bandwidth_efficiency=0.65, prefill_floor_us_per_layer=2000, request_overhead_ms=20
    )
    plain = replace(SMALL, mtp=None)  # a run's accept length would not say how requests differ
    path = write(tmp_path / "mine.jsonl", *(line(work, there, plain) for work in WORKS))
    mine = user_runs([path], plain)
    told = []
    found = fit.fit(mine, Constants.fitted(), on_progress=lambda n, away: told.append((n, away)))
    before = [abs(r.ratio - 1) for r in fit.rows(Constants.fitted(), mine) if r.headline]
    after = [abs(r.ratio - 1) for r in found.rows if r.headline]
    assert sum(after) / 9 < 0.05 < sum(before) / 9
    assert found.constants.bandwidth_efficiency == pytest.approx(0.65, rel=0.2)
    assert found.constants.prefill_floor_us_per_layer == pytest.approx(2000, rel=0.15)
    assert [n for n, _ in told] == list(range(1, len(told) + 1))
    assert found.constants.origin.machines == ("35b bf16 h200x1",)


def test_one_short_run_leaves_most_constants_at_their_start(tmp_path):
    """A run at concurrency 1 with short prompts says nothing of FLOPs, and the fit says so."""
    work = Workload(50, 60, 3, max_concurrency=1)
    path = write(tmp_path / "short.jsonl", line(work))
    found = fit.fit(user_runs([path], SMALL), Constants.fitted())
    assert "flop_efficiency" in found.held
    assert found.known["flop_efficiency"] < 0.05
    start = Constants.fitted().flop_efficiency
    assert found.constants.flop_efficiency == pytest.approx(start, rel=0.02)
    assert 1 < sum(found.known.values()) < 3  # a step's time, a first token's, no more


@pytest.mark.parametrize("seed", [42, 1])
def test_bench_servings_lengths_are_drawn_again(tmp_path, seed):
    work = Workload(300, 50, 12, max_concurrency=3, seed=seed)
    path = write(tmp_path / "theirs.jsonl", without_ours(line(work)))
    (mine,) = user_runs([path], SMALL)
    assert mine.workload.lengths == work.lengths
    assert mine.workload.max_concurrency == 3


def test_lengths_of_an_unknown_seed_are_asked_for(tmp_path):
    path = write(tmp_path / "theirs.jsonl", without_ours(line(Workload(300, 50, 12, seed=7))))
    with pytest.raises(InvalidValue, match='"seed": N'):
        user_runs([path], SMALL)


def test_vllms_exact_lengths_are_taken_from_its_totals(tmp_path):
    theirs = {
        "duration": 425.6,
        "completed": 512,
        "failed": 0,
        "total_input_tokens": 4_194_304,
        "total_output_tokens": 524_288,
        "total_token_throughput": 11_092.0,
        "output_throughput": 1232.0,
        "max_concurrency": 32,
        "request_rate": "inf",
        "mean_ttft_ms": 1825.0,
        "mean_tpot_ms": 24.0,
    }
    (mine,) = user_runs([write(tmp_path / "v.json", theirs)], profile("b200x8"), "0.5.9")
    assert set(mine.workload.lengths) == {(8192, 1024)}
    assert mine.workload.num_prompts == 512
    assert {row.key for row in fit.rows(Constants.fitted(), [mine])} == set(fit.HEADLINE)


def test_what_the_server_said_of_itself_is_honoured(tmp_path):
    info = {"disable_radix_cache": True, "max_running_requests": 7, "version": "0.5.20"}
    info["speculative_algorithm"] = None
    path = write(tmp_path / "a.jsonl", line(WORKS[0], server_info=info))
    (mine,) = user_runs([path], SMALL)
    assert not mine.profile.radix_cache
    assert mine.profile.max_running_requests == 7
    assert mine.profile.mtp is None
    assert mine.sglang == "0.5.20"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mean_tpot_ms": None}, "has no mean_tpot_ms"),
        ({"failed": 2, "errors": {"timeout": 2}}, "2 requests failed"),
        ({"duration": None, "mean_ttft_ms": None}, "has no mean_ttft_ms"),
    ],
)
def test_a_run_that_is_not_whole_is_refused(tmp_path, change, said):
    path = write(tmp_path / "a.jsonl", line(WORKS[0], **change))
    with pytest.raises(InvalidValue, match=said):
        user_runs([path], SMALL)


def test_no_file_and_an_empty_file_are_named(tmp_path):
    with pytest.raises(KitError, match=r"no\.jsonl"):
        user_runs([tmp_path / "no.jsonl"], SMALL)
    with pytest.raises(KitError, match=r"empty\.jsonl"):
        user_runs([write(tmp_path / "empty.jsonl")], SMALL)


def test_kit_fit_writes_constants_that_kit_predict_takes(tmp_path, capsys):
    path = write(tmp_path / "mine.jsonl", line(Workload(50, 60, 3, max_concurrency=1)))
    out = tmp_path / "mine.toml"
    asked = ["fit", str(path), "--profile", "35b-bf16-h200x1", "--out", str(out)]
    assert main(asked) == 0
    said = capsys.readouterr().out
    assert "flop_efficiency" in said.split("Too little")[1]
    assert "mine.jsonl" in said
    options = ["--num-prompts", "2", "--output-len", "20", "--constants", str(out), "--json"]
    assert main(["predict", "35b-bf16-h200x1", *options]) == 0
    label = json.loads(capsys.readouterr().out)["provenance"]
    assert "fitted to mine.jsonl" in label["source"]
    assert "extrapolated" not in label["source"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["fit", "no.jsonl"], "which machine"),
        (["fit", "no.jsonl", "--profile", "h200x8"], "No such file"),
        (["fit", "no.jsonl", "--profile", "h20x8"], "no profile"),
        (["predict", "h200x8", "--constants", "no.toml"], "No such file"),
        (["predict", "h200x8", "--like", "cookbook"], "no published run"),
    ],
)
def test_the_command_line_says_what_is_wrong(asked, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(asked) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "→" in told


def test_on_its_own_profile_a_run_stands_beside(capsys):
    assert main(["predict", "h200x8", "--like", "cookbook-latency"]) == 0
    shown = capsys.readouterr().out
    assert "190.40" in shown
    assert "published · SGLang cookbook" in shown
    assert main(["predict", "b200x8", "--like", "cookbook-latency"]) == 0
    assert "190.40" not in capsys.readouterr().out


def test_predict_takes_images_and_an_slo(capsys):
    asked = "predict 35b-bf16-h200x1 --dataset image --image-count 2 --image-resolution 360p"
    asked += " --input-len 64 --output-len 32 --num-prompts 4 --goodput ttft:5000 --json"
    assert main(asked.split()) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["total_input_vision_tokens"] == 4 * 2 * (220 + 2)
    assert line["provenance"]["kind"] == "simulated"


@pytest.mark.parametrize("name", [r.name for r in published_runs()])
def test_rows_of_a_kind_are_compared(name):
    """A published ITL per chunk is held against the predicted one per chunk."""
    given = published(name).report
    found = {
        r.metric.label: r for r in prediction_ratios(predict(published(name).profile, name), given)
    }
    assert sum(r.metric.headline for r in found.values()) == 3
    ours = predict(published(name).profile, name)
    itl = ours.itl if given.itl_basis == "token" else ours.itl_per_chunk
    assert found["Mean ITL (ms)"].predicted == itl.mean
    assert "Total input tokens" not in found
    assert f"{given.ttft.mean:,.2f}" in prediction_table(ours, given)


def test_our_worst_headline_row_is_nearer_than_the_best_of_the_others():
    """As the table says: they were not fitted to these runs."""
    for one in published_runs():
        ours = [
            r
            for r in prediction_ratios(predict(one.profile, one.name), one.report)
            if r.metric.headline
        ]
        theirs = [min(abs(x - 1) for x in tool[one.name]) for tool in other_predictors()]
        assert mean_and_worst_error(ours)[1] < min(theirs)


def test_runs_of_several_machines_and_a_rehearsal_are_fitted_at_once(tmp_path, capsys):
    """Each on its own machine; kernels' constants move too, or are called unidentified."""
    one = write(tmp_path / "a.jsonl", line(WORKS[0]))
    two = write(tmp_path / "b.jsonl", line(WORKS[1], machine=profile("35b-bf16-b200x1")))
    asked = ["fit", str(one), f"35b-bf16-b200x1={two}", "h200-rank397-mtp"]
    asked += ["--profile", "35b-bf16-h200x1"]
    assert main([*asked, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    runs = {row["run"] for row in found["rows"]}
    assert {"a.jsonl", "b.jsonl", "h200-rank397-mtp one at a time"} <= runs
    assert "h200-rank397-mtp 8000 tokens" in runs  # one prompt on the idle server
    assert set(found["constants"]) == set(found["from_the_runs"])
    assert found["from_the_runs"]["quantised_flops"] < 0.01  # all are BF16
    assert found["constants"]["bandwidth_efficiency"] < found["start"]["bandwidth_efficiency"]
    machines = [run.profile.gpu.key for run in fit_runs(asked[2:3], None)]
    assert machines == ["b200"]


def test_a_rehearsal_is_fitted_from_the_constants_of_its_own_version(capsys):
    assert main(["fit", "h200-rank397-mtp"]) == 0
    said = capsys.readouterr().out
    assert "start: " in said
    assert "interpolated between SGLang 0.5.9 and 0.5.16" in said
    assert "moved" in said
    assert "expert_correlation" in said.split("Kept at their start")[1]
    (run, *_) = fit_runs(["h200-rank397-mtp"], None)
    assert (run.sglang, run.profile.tp_size) == ("0.5.12.post1", 1)
    assert run.report.provenance.kind == "measured"
