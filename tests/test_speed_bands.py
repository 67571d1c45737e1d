"""Bands: made from cells that a fit had not seen, judged by those held out from everything."""

from dataclasses import replace

import numpy as np
import pytest

from kit.bench import Workload, predict, published_cells
from kit.bench.fit import residuals
from kit.bench.replay import Schedule
from kit.cli import main
from kit.hardware import profile
from kit.models import model
from kit.speed import Constants, SpeedModel
from kit.speed.bands import band, distance

H200 = profile("h200x8")
QUICK = 1024  # requests at once: the cells of 4096 take minutes, and are in benchmarks/


def test_seven_to_nine_of_ten_held_out_cells_lie_in_their_band():
    """The bands come from training cells, each predicted without its GPU or its model; the
    held-out cells are in neither the constants nor the bands."""
    constants, inside = Constants.fitted("0.5.16"), []
    for cell in published_cells("cookbook-0516"):
        if not cell.held_out or cell.workload.max_concurrency > QUICK:
            continue
        speed = SpeedModel.of(cell.profile, cell.sglang)
        (logs,) = residuals([Schedule.record(cell, speed)], constants)
        for quantity, log in zip(("ttft", "tpot", "throughput"), logs, strict=True):
            width = band(quantity, speed, cell.workload.max_concurrency)
            inside.append(width.p10 <= np.exp(-log) <= width.p90)
    assert len(inside) > 90
    assert 0.7 <= np.mean(inside) <= 0.9


def test_a_band_is_wider_the_farther_a_profile_lies_from_what_was_fitted():
    known = profile("b200x8")
    new = profile("4b-bf16-rtx4090x1")
    assert [distance(SpeedModel.of(p)) for p in (H200, known, new)] == ["fitted", "known", "new"]
    for quantity in ("ttft", "tpot", "throughput"):
        widths = [band(quantity, SpeedModel.of(p), 100) for p in (H200, known, new)]
        ratios = [w.p90 / w.p10 for w in widths]
        assert ratios == sorted(ratios)
        assert all(w.p10 < w.p90 for w in widths)
    other = replace(H200, model=model("235b"), mtp=None)
    assert distance(SpeedModel.of(other)) == "new"


def test_constants_of_somebody_else_have_no_band():
    by_hand = Constants.fitted().changed(flop_efficiency=0.7)
    assert band("tpot", SpeedModel.of(H200, constants=by_hand), 1) is None
    work = Workload(100, 20, 4, max_concurrency=1)
    speed = SpeedModel.of(H200, constants=by_hand)
    assert predict(H200, work, speed=speed).bands == {}


def test_a_prediction_carries_its_bands(capsys):
    r = predict(H200, Workload(100, 20, 4, max_concurrency=1))
    for key in ("mean_ttft_ms", "median_tpot_ms", "output_throughput"):
        low, high = r.to_json()["bands"][key]
        assert low < high
        assert low == pytest.approx(r[key], rel=0.6)
    asked = "predict h200x8 --input-len 100 --output-len 20 --num-prompts 4 --max-concurrency 1"
    assert main(asked.split()) == 0
    shown = capsys.readouterr().out
    low, high = r.bands["mean_tpot_ms"]
    assert f"({low:.2f}–{high:.2f})" in shown
    assert "P10–P90" in shown
