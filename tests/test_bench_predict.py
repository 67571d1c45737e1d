"""The simulation against what others published, and against the laws that any run obeys."""

from dataclasses import replace

import numpy as np
import pytest

from kit.bench import Workload, predict, published, simulate
from kit.bench.metric_list import HEADLINE
from kit.errors import InvalidValue, UnknownName
from kit.hardware import profile
from kit.speed import Constants, SpeedModel

H200 = profile("h200x8")


@pytest.mark.parametrize("name", ["cookbook-latency", "cookbook-throughput", "lambda-b200"])
@pytest.mark.parametrize("key", HEADLINE)
def test_headline_figures_are_near_the_published(name, key):
    """Lambda's TTFT is 14 % off: it runs what no training cell does, BF16 of the 397B on B200."""
    row = published(name)
    predicted = _predicted(name)
    near = 0.16 if (name, key) == ("lambda-b200", "mean_ttft_ms") else 0.10
    assert predicted[key] == pytest.approx(row.report[key], rel=near)


_CACHE = {}


def _predicted(name):
    if name not in _CACHE:
        _CACHE[name] = predict(published(name).profile, like=name)
    return _CACHE[name]


def test_the_fourteen_second_ttft_is_a_queue():
    """Little's law on the simulated rows, as on the published: 48 decode, 50 wait."""
    r = _predicted("cookbook-throughput")
    decoding = r.request_throughput * (r.e2e_latency.mean - r.ttft.mean) / 1e3
    waiting = r.request_throughput * r.ttft.mean / 1e3
    assert 43 < decoding <= 48
    assert waiting == pytest.approx(50, abs=3)
    assert decoding + waiting == pytest.approx(r.concurrency)


def test_on_0_5_9_one_flag_cures_the_queue_and_on_0_5_23_it_does_nothing():
    work = Workload(1000, 1000, 300, max_concurrency=100, seed=1)
    old = replace(H200, radix_cache=False)
    queued = simulate(old, work, "0.5.9").ttft.mean
    raised = replace(old, max_running_requests=128)
    assert simulate(raised, work, "0.5.9").ttft.mean < queued / 10
    today = simulate(H200, work, "0.5.23").ttft.mean
    raised = replace(H200, max_running_requests=128)
    assert simulate(raised, work, "0.5.23").ttft.mean == today


def test_every_request_gets_exactly_its_tokens():
    work = Workload(3000, 300, 80, max_concurrency=17)
    r = simulate(H200, work)
    assert [sum(x.tokens) for x in r.records] == [out for _, out in work.lengths]
    assert [x.input_tokens for x in r.records] == [tokens for tokens, _ in work.lengths]
    assert all(list(x.times_s) == sorted(x.times_s) for x in r.records)


def test_no_more_are_out_than_the_closed_loop_allows():
    r = simulate(H200, Workload(500, 60, 60, max_concurrency=7))
    edges = sorted([(x.sent_s, 1) for x in r.records] + [(x.ended_s, -1) for x in r.records])
    assert np.cumsum([change for _, change in edges]).max() == 7
    assert r.concurrency == pytest.approx(7, rel=0.25)


def test_an_open_loop_sends_when_its_rate_says():
    work = Workload(500, 100, 60, request_rate=5.0)
    r = simulate(H200, work)
    assert [x.sent_s for x in r.records] == list(work.send_s)
    both = Workload(500, 100, 60, request_rate=5.0, max_concurrency=2)
    slower = simulate(H200, both)
    late = [x.sent_s - at for x, at in zip(slower.records, both.send_s, strict=True)]
    assert min(late) >= 0
    assert max(late) > 0.3


def test_above_its_capacity_an_open_loop_only_queues():
    light = simulate(H200, Workload(1000, 1000, 200, request_rate=1.0))
    heavy = simulate(H200, Workload(1000, 1000, 200, request_rate=20.0))
    assert light.ttft.mean < 1000
    assert heavy.ttft.mean > 10 * light.ttft.mean


def test_the_same_question_has_the_same_answer():
    work = Workload(800, 200, 40, max_concurrency=10)
    assert simulate(H200, work).to_json() == simulate(H200, work).to_json()


def test_a_published_runs_own_version_and_acceptance_are_honoured():
    r = _predicted("cookbook-throughput")
    assert r.accept_length == pytest.approx(3.31, abs=0.02)
    assert "0.5.9" in str(r.provenance)
    today = predict("h200x8", like="cookbook-throughput", sglang="0.5.23")
    assert "0.5.23" in str(today.provenance)
    assert today.output_throughput > 1.5 * r.output_throughput  # of the newer era
    assert predict("h200x8", "cookbook-latency", accept_length=1.0).tpot.mean > 3 * r.accept_length


def test_predict_takes_a_profile_by_name_and_a_workload():
    r = predict("b200x8", Workload(100, 20, 4, max_concurrency=1), "0.5.9")
    assert r.accept_length is None
    assert r.itl_basis == "token"
    assert str(r.provenance).startswith("simulated · b200x8")


def test_unknown_names_name_the_nearest():
    with pytest.raises(UnknownName, match="cookbook-latency"):
        predict("h200x8", like="cookbook-latancy")
    with pytest.raises(UnknownName):
        predict("h200x9", like="cookbook-latency")
    with pytest.raises(InvalidValue):
        simulate(H200, Workload(10, 10, 1), accept_length=9)


def test_a_ramp_queues_where_its_rate_passes_the_capacity():
    work = Workload(1000, 1000, 300, ramp=(1.0, 12.0))
    r = simulate(H200, work)
    assert [x.sent_s for x in r.records] == pytest.approx(list(work.send_s))
    early, late = r.records[:60], r.records[-60:]
    assert np.mean([x.ttft_s for x in late]) > 5 * np.mean([x.ttft_s for x in early])


def test_images_are_part_of_the_prompt_and_cost_a_vision_pass():
    seen = Workload(128, 64, 20, max_concurrency=1, dataset="image", image_count=2)
    r = simulate(H200, seen)
    assert all(x.input_tokens == text + 1764 for x, (text, _) in _pairs(r, seen))
    assert r.total_input_vision_tokens == 20 * 1764
    plain = simulate(H200, Workload(128, 64, 20, max_concurrency=1))
    assert r.ttft.mean > plain.ttft.mean


def _pairs(r, work):
    return zip(r.records, work.text_lengths, strict=True)


def test_samples_add_up_to_the_report():
    samples = []
    work = Workload(1000, 300, 60, max_concurrency=20)
    r = simulate(H200, work, on_sample=samples.append)
    last = samples[-1]
    assert (last.sent, last.finished, last.failed, last.in_flight) == (60, 60, 0, 0)
    assert last.output_tokens == r.total_output_tokens
    assert last.t_s == pytest.approx(r.duration_s)
    assert [s.t_s for s in samples] == sorted(s.t_s for s in samples)
    assert len(samples) == pytest.approx(r.duration_s * 5, rel=0.35)
    assert sum(len(s.ttft_s) for s in samples) == 60
    firsts = sorted(t for s in samples for t in s.ttft_s)
    assert firsts == pytest.approx(sorted(x.ttft_s for x in r.records))
    gaps = [gap for s in samples for gap in s.itl_s]
    assert np.median(gaps) * 1e3 == pytest.approx(r.itl.median, rel=0.25)
    for s in samples:
        assert s.in_flight == s.sent - s.finished <= 20
        assert s.running + s.queued <= s.in_flight
        assert s.counted


def test_looking_changes_nothing():
    work = Workload(800, 200, 40, max_concurrency=10)
    seen = simulate(H200, work, on_sample=lambda _: None)
    assert seen.to_json() == simulate(H200, work).to_json()


def test_other_constants_are_labelled_as_theirs():
    speed = SpeedModel.of(H200, "0.5.9", Constants.fitted().changed(flop_efficiency=0.9))
    assert "by hand" in str(predict(H200, "cookbook-latency", speed=speed).provenance)


@pytest.mark.parametrize("machine", ["h100x16", "35b-bf16-b200x1", "4b-bf16-h200x1"])
def test_what_was_never_fitted_says_extrapolated(machine):
    r = predict(machine, Workload(100, 20, 4, max_concurrency=1))
    assert str(r.provenance).startswith("simulated · extrapolated")
