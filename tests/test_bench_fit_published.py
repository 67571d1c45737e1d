"""The kit's constants come from training cells alone, by replays that equal simulations."""

import numpy as np
import pytest

from kit.bench import published, published_cells, simulate
from kit.bench.fit import residuals
from kit.bench.fit_published import CellFit, Found, fit_era, training_cells
from kit.bench.replay import Schedule
from kit.scheduler.acceptance import Requests
from kit.speed import Constants, SpeedModel
from kit.speed.constants import machine

NEWEST = Found(Constants.fitted("0.5.16"), Requests.fitted(), 0.0)
BY_NAME = {cell.name: cell for cell in published_cells("cookbook-0516")}


def test_the_fit_reads_training_cells_only(monkeypatch):
    """Every cell that it replays is recorded here; none is held out, or of another group."""
    seen = set()
    record = Schedule.record

    def watched(run, *rest):
        seen.add(run.name)
        return record(run, *rest)

    monkeypatch.setattr(Schedule, "record", watched)
    cells = training_cells()
    assert len(cells) == 95
    quick = [cell for cell in cells if cell.profile.mtp][:6]
    CellFit(quick, ["bandwidth_efficiency"]).run(NEWEST.constants, NEWEST.requests, rounds=1)
    assert seen == {cell.name for cell in quick}
    assert not any(BY_NAME[cell.name].held_out for cell in cells)


def test_the_machines_that_the_data_names_are_those_of_the_training_cells():
    machines = {machine(cell.profile) for cell in training_cells()}
    assert set(Constants.fitted("0.5.16").origin.machines) == machines


@pytest.mark.parametrize(
    "name", ["cookbook-0516 4b-bf16-b200x1 16", "cookbook-0516 122b-fp8-b200x1 no-mtp 1024"]
)
def test_a_replay_is_the_simulation(name):
    run = BY_NAME[name]
    speed = SpeedModel.of(run.profile, run.sglang)
    simulated = simulate(run.profile, run.workload, run.sglang, speed=speed)
    replayed = Schedule.record(run, speed).figures(speed)
    assert replayed.median_ttft_ms == pytest.approx(simulated.ttft.median)
    assert replayed.mean_tpot_ms == pytest.approx(simulated.tpot.mean)
    assert replayed.output_throughput == pytest.approx(simulated.output_throughput)


def test_a_schedule_recorded_at_other_constants_gives_nearly_the_same():
    run = BY_NAME["cookbook-0516 27b-fp8-b200x1 no-mtp 1024"]
    slow = Constants.fitted("0.5.16").changed(bandwidth_efficiency=0.6)
    speed = SpeedModel.of(run.profile, run.sglang)
    other = SpeedModel.of(run.profile, run.sglang, slow)
    recorded_there = Schedule.record(run, other).figures(speed)
    recorded_here = Schedule.record(run, speed).figures(speed)
    assert recorded_there.median_ttft_ms == pytest.approx(recorded_here.median_ttft_ms, rel=0.01)
    assert recorded_there.output_throughput == pytest.approx(
        recorded_here.output_throughput, rel=0.01
    )


def test_the_era_of_0_5_9_is_within_5_percent_of_its_three_runs():
    runs = [published(n) for n in ("cookbook-latency", "cookbook-throughput", "lambda-b200")]
    old = Constants.fitted("0.5.9")
    schedules = [Schedule.record(r, SpeedModel.of(r.profile, r.sglang, old)) for r in runs]
    assert np.abs(np.exp(residuals(schedules, old)) - 1).mean() < 0.05
    _, found = fit_era(runs, NEWEST)
    assert found.constants.values() == pytest.approx(old.values(), rel=0.02)


def test_an_era_differs_in_three_constants_and_versions_between_are_interpolated():
    old, new = Constants.fitted("0.5.9").values(), Constants.fitted("0.5.23").values()
    differ = {name for name in new if new[name] != old[name]}
    assert differ == {"prefill_floor_us_per_layer", "request_floor_us", "draft_floor_us"}
    middle = Constants.fitted("0.5.12.post1")
    assert all(new[name] < middle.values()[name] < old[name] for name in differ)
    assert "interpolated between SGLang 0.5.9 and 0.5.16" in str(middle.origin)
    assert Constants.fitted("0.5.16") == Constants.fitted("0.5.23")
