"""kit plan: loads obey queueing laws, verdicts the bands, and the choice is the cheapest that was
found by trying all."""

import json
import subprocess
from dataclasses import replace

import pytest

from kit import bench
from kit.capacity import Target, capacity_plan, export
from kit.capacity.candidates import candidate_of, candidates
from kit.capacity.judge import Point, judge, refined
from kit.capacity.limits import limit
from kit.capacity.prices import HOURS_PER_MONTH, Prices
from kit.capacity.replica import Share, serve
from kit.capacity.report import amount
from kit.errors import KitError
from kit.hardware import SGLANG, profile
from kit.speed import SpeedModel
from kit.speed.bands import band

SMALL = {"input_len": 600, "output_len": 60, "ttft_ms": 1000.0, "tpot_ms": 40.0}
H200 = profile("h200x8")
GPUS, PRECISIONS = ["h200", "b200"], ["bf16", "fp8"]


def target(**given):
    return Target(**{"users": 60, **SMALL, **given})


@pytest.fixture(scope="module")
def found():
    return capacity_plan(target(), gpus=GPUS, precisions=PRECISIONS)


def test_a_closed_loop_keeps_littles_law():
    out = serve(H200, Share(target(users=16), 1), around_s=1.0)
    assert out.in_flight == pytest.approx(16, rel=0.05)


def test_think_time_keeps_the_interactive_response_time_law():
    """N = X · (R + Z): Lazowska and others, Quantitative System Performance, 1984."""
    asked = target(users=40, think_s=4.0)
    out = serve(H200, Share(asked, 1), around_s=1.0)
    answer_s = out.in_flight / out.requests_per_s
    assert out.requests_per_s * (answer_s + asked.think_s) == pytest.approx(40, rel=0.1)


def test_an_open_loop_is_served_at_its_rate():
    out = serve(H200, Share(target(users=None, rate=4.0), 1), around_s=1.0)
    assert out.requests_per_s == pytest.approx(4.0, rel=0.1)


def test_a_replica_gives_what_a_benchmark_of_the_same_load_gives():
    machine = replace(H200, mtp=None)
    load = bench.Workload(600, 120, 320, max_concurrency=16)  # lengths from 1 up
    asked = target(users=16, input_len=300, output_len=60, spread=1.0)
    ours, theirs = serve(machine, Share(asked, 1), around_s=1.0), bench.simulate(machine, load)
    assert ours.median_tpot_ms == pytest.approx(theirs.tpot.median, rel=0.1)
    assert ours.output_per_s == pytest.approx(theirs.output_throughput, rel=0.1)


def test_exact_lengths_keep_users_in_step_for_ever():
    """With prompts long enough that a prefill computes, and does not only launch its kernels."""
    machine = replace(H200, mtp=None)
    bunched, apart = (
        serve(machine, Share(asked, 1), around_s=4.0)
        for asked in (
            target(users=48, input_len=2000, output_len=200, spread=s) for s in (0.0, 0.2)
        )
    )
    assert bunched.median_ttft_ms > 1.3 * apart.median_ttft_ms


def test_images_and_prefixes_reach_the_scheduler():
    asked = target(image_share=0.25, shared_prefix=300)
    rows = asked.rows
    with_image = [row for row in rows if row.image_tokens]
    assert len(with_image) / len(rows) == pytest.approx(0.25, abs=0.01)
    assert {row.image_tokens for row in with_image} == {880}  # a 720p image
    assert {row.shared for row in rows} == {("prefix", 300)}
    assert sum(r.output_tokens for r in rows) / len(rows) == pytest.approx(60, rel=0.01)


def test_a_shared_prefix_that_is_read_once_makes_room():
    alone, shared = (
        serve(H200, Share(target(users=24, input_len=3000, shared_prefix=n), 1), around_s=1.0)
        for n in (0, 2816)
    )
    assert shared.median_ttft_ms < 0.5 * alone.median_ttft_ms


def test_what_holds_does_so_at_the_pessimistic_end(found):
    for option in found.options:
        point = option.point
        for metric, bound_ms in point.bounds_ms.items():
            ms = point.outcome.ms(metric)
            speed = SpeedModel.of(option.profile)
            widest = max(band(metric, speed, n).p90 for n in (1, min(64, point.outcome.in_flight)))
            assert point.bands[metric].p90 == widest
            if option.verdict == "holds":
                assert ms * widest <= bound_ms
            if option.verdict != "does not hold":
                assert ms <= bound_ms


def test_one_replica_fewer_would_not_hold(found):
    for option in found.options:
        if option.verdict == "holds" and option.replicas > 1:
            one_fewer = Share(found.target, option.replicas - 1)
            assert option.beyond is not None
            assert option.capacity < one_fewer.amount


def test_the_choice_is_the_best_of_all_that_fit(found):
    every = [
        judge(c, found.target, SGLANG)
        for c in candidates(found.target, gpus=GPUS, precisions_=PRECISIONS)
    ]
    assert found.best.gpus == min(option.gpus for option in every if option.verdict == "holds")


def test_the_same_question_has_the_same_answer(found):
    candidate = found.best.candidate
    again = refined(judge(candidate, found.target, SGLANG), SGLANG)
    assert again == found.best


def test_every_profile_carries_provenance_bands_and_reasons(found):
    told = found.to_json()
    assert told["provenance"]["kind"] == "simulated"
    for row in told["profiles"]:
        assert row["provenance"]["kind"] == "simulated"
        assert set(row["bands"]) == {"ttft_ms", "tpot_ms"}
        assert row["reasons"]
        assert row["saturates"]["first"] in ("slots", "KV cache", "bandwidth", "FLOPs", "launches")
        assert row["cost"] is None


def test_without_prices_it_says_that_it_counts_gpus(found):
    assert "no prices were given" in str(found)
    assert [o.gpus for o in found.holding] == sorted(o.gpus for o in found.holding)


def test_with_prices_it_ranks_by_what_a_month_costs(found):
    prices = Prices.parse(["h200=1", "b200=100"])
    priced = capacity_plan(target(), gpus=GPUS, precisions=["fp8"], prices=prices)
    assert priced.best.profile.gpu.key == "h200"
    cost = prices.cost(priced.best)
    assert cost.per_month == priced.best.gpus * 1 * HOURS_PER_MONTH
    tokens_a_month = priced.best.output_per_s * 3600 * HOURS_PER_MONTH
    assert cost.per_million_output == pytest.approx(cost.per_month / tokens_a_month * 1e6)


def test_on_few_gpus_it_says_by_how_much_they_are_short():
    short = capacity_plan(target(users=900), gpus=["h100"], precisions=["fp8"], most_gpus=8)
    assert short.best.verdict == "does not hold"
    assert short.best.replicas == 1
    assert "nothing that was tried keeps" in short.complaint.what


def test_a_crowd_takes_more_replicas_and_no_more_time():
    for load in ({"users": 1_000_000}, {"users": None, "rate": 50_000.0}):
        asked = target(**load, ttft_ms=500.0, tpot_ms=30.0)
        option = judge(candidate_of(asked, profile("397b-fp8-b200x4"), SGLANG), asked, SGLANG)
        assert option.verdict == "holds"
        assert option.replicas > 1000


def test_slots_are_what_mtp_runs_out_of_first():
    asked = target(users=200, shared_prefix=64)  # with a prefix nobody switches its cache off
    option = judge(
        next(c for c in candidates(asked, gpus=["h200"], precisions_=["bf16"]) if c.profile.mtp),
        asked,
        SGLANG,
    )
    assert limit(option).resource == "slots"


def test_amounts_are_said_in_the_words_of_the_load():
    assert amount(target(), 1) == "1 user"
    assert amount(target(users=None, rate=2.5), 1.25) == "1.25 requests/s"


def test_what_is_exported_can_be_run(found, tmp_path):
    import yaml

    written = {path.name: path for path in export(found, tmp_path / "plan")}
    for name, path in written.items():
        if name.endswith(".sh"):
            subprocess.run(["bash", "-n", str(path)], check=True)
        if name.endswith(".yaml"):
            assert list(yaml.safe_load_all(path.read_text()))
    assert ("router.shell.sh" in written) == (found.best.replicas > 1)
    shell = written["replica.shell.sh"].read_text()
    slots = found.best.profile.max_running_requests
    assert slots is None or f"--max-running-requests {slots}" in shell
    assert json.loads(written["plan.json"].read_text())["holds"]


@pytest.mark.parametrize(
    "given",
    [
        {"users": 0},
        {"users": None},
        {"rate": 1.0},
        {"users": None, "rate": -1.0},
        {"users": None, "rate": float("nan")},
        {"ttft_ms": None, "tpot_ms": None},
        {"ttft_ms": -5.0},
        {"tpot_ms": float("inf")},
        {"percentile": 100.0},
        {"percentile": 99.99},
        {"output_len": 1, "ttft_ms": None},
        {"percentile": 0.0},
        {"input_len": None},
        {"output_len": 0},
        {"shared_prefix": 600},
        {"image_share": 1.5},
        {"image_share": 0.5, "image_resolution": "large"},
        {"think_s": -1.0},
        {"users": None, "rate": 1.0, "think_s": 2.0},
        {"spread": 2.0},
        {"context": 100},
    ],
)
def test_what_cannot_be_asked_is_refused_in_two_lines(given):
    with pytest.raises(KitError) as refused:
        target(**given)
    assert len(str(refused.value).splitlines()) == 2


@pytest.mark.parametrize("text", ["h200", "h200=", "h200=-1", "h200=0", "h200=nan", "q900=3"])
def test_what_is_no_price_is_refused_in_two_lines(text):
    with pytest.raises(KitError) as refused:
        Prices.parse([text])
    assert len(str(refused.value).splitlines()) == 2


def test_a_price_for_a_gpu_that_is_not_tried_is_a_mistake():
    with pytest.raises(KitError, match="not among --gpu"):
        capacity_plan(target(), gpus=["h200"], prices=Prices.parse(["b200=4.5"]))


@pytest.fixture(scope="module")
def unpublished():
    """No published run is of an RTX 4090, so TTFT's band is wide as soon as requests meet."""
    asked = target(users=4, input_len=1000, ttft_ms=300.0, tpot_ms=50.0)
    return capacity_plan(asked, ["9b"], gpus=["rtx4090"])


def test_the_prediction_alone_and_the_band_are_both_told(unpublished):
    best = unpublished.best
    assert best.verdict == "holds"
    alone = best.predicted
    assert best.predicted_replicas < best.replicas
    assert alone.keeps("marginal")
    assert not alone.keeps("holds")
    told = str(unpublished)
    assert f"{best.predicted_gpus} GPUs in place of {best.gpus}" in told
    assert "nothing is published of RTX 4090" in told
    row = unpublished.to_json()["profiles"][0]
    assert (row["gpus"], row["predicted_gpus"]) == (best.gpus, best.predicted_gpus)


def test_one_fewer_than_the_prediction_alone_asks_for_breaks_the_promise():
    asked = target(users=500, ttft_ms=300.0, tpot_ms=25.0)
    option = judge(candidate_of(asked, profile("397b-fp8-b200x4"), SGLANG), asked, SGLANG)
    assert option.predicted_replicas is None  # nobody looked yet
    option = refined(option, SGLANG)
    fewest = option.predicted_replicas
    assert 1 < fewest < option.replicas
    fewer = Share(asked, fewest - 1)
    assert not Point.of(option.candidate, fewer, SGLANG).keeps("marginal")


def test_what_it_says_to_measure_is_a_command_of_the_kit(unpublished):
    from kit.cli.main import parser

    (step,) = [s for s in unpublished.next_steps(unpublished.best) if "kit bench" in s]
    line = step[step.index("kit bench") : -1].split()[1:]
    asked = parser().parse_args(line)
    assert asked.max_concurrency == 4
    assert asked.goodput == ["ttft:300", "tpot:50"]
