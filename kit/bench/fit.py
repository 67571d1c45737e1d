"""Constants of the speed model from runs: those that make the simulation give their rows.

A least-squares fit of the logarithms of predicted / given, by Gauss-Newton with numerical
derivatives. Weighed fully: the three headline rows (mean TTFT, mean TPOT, output tokens/s). Weighed
lightly: rows that tell steps from prefills (median and P95 ITL, peak output). Few rows determine
five constants weakly, so each is held a little to the value that it starts from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np

from kit.bench.drive import predict
from kit.bench.metrics import Array
from kit.bench.published import Run
from kit.speed import Constants, SpeedModel

HEADLINE = ("mean_ttft_ms", "mean_tpot_ms", "output_throughput")
SHAPE = ("median_itl_ms", "p95_itl_ms", "max_output_tokens_per_s")
SHAPE_WEIGHT = 0.3
HOLD = 0.2  # of a constant to its start: a tenth off costs what 2 % on one headline row costs
NAMES = tuple(field.name for field in fields(Constants))

# Round values, chosen by people who had seen the published runs: leaving one out is a little
# kinder than it would be to a stranger.
START = Constants(
    bandwidth_efficiency=0.5,
    flop_efficiency=0.5,
    decode_floor_us_per_layer=120.0,
    prefill_floor_us_per_layer=1200.0,
    request_overhead_ms=50.0,
)


@dataclass(frozen=True)
class Row:
    """One figure of one run: predicted, given, and their ratio."""

    run: str
    key: str
    predicted: float
    given: float

    @property
    def ratio(self) -> float:
        return self.predicted / self.given

    @property
    def headline(self) -> bool:
        return self.key in HEADLINE


def rows(constants: Constants, runs: Sequence[Run]) -> list[Row]:
    """The rows that the fit looks at, as predicted with `constants`."""
    out = []
    for run in runs:
        speed = SpeedModel.of(run.profile, run.sglang, constants)
        line, given = predict(run.profile, run.name, speed=speed).to_json(), run.report.to_json()
        keys = HEADLINE + (SHAPE if given["itl_basis"] == "token" else ())
        out += [Row(run.name, k, line[k], given[k]) for k in keys if given[k] is not None]
    return out


def fit(runs: Sequence[Run], start: Constants = START, rounds: int = 10) -> Constants:
    """The constants that fit `runs` best, to three digits. Deterministic; some minutes."""
    x0 = np.log([getattr(start, name) for name in NAMES])
    x, lowest = x0.copy(), _cost(_residuals(x0, x0, runs))
    for _ in range(rounds):
        here = _residuals(x, x0, runs)
        slope = np.stack(
            [(_residuals(x + 0.04 * one, x0, runs) - here) / 0.04 for one in np.eye(len(x))], axis=1
        )
        step = np.clip(np.linalg.lstsq(slope, -here, rcond=None)[0], -0.4, 0.4)
        for share in (1.0, 0.5, 0.25, 0.1):
            cost = _cost(_residuals(x + share * step, x0, runs))
            if cost < lowest:
                x, lowest = x + share * step, cost
                break
        else:
            break
        if np.abs(share * step).max() < 2e-3:
            break
    return _constants(x)


def _residuals(x: Array, x0: Array, runs: Sequence[Run]) -> Array:
    exact = Constants(*np.exp(x).tolist())
    found = [
        math.log(row.ratio) * (1 if row.headline else SHAPE_WEIGHT) for row in rows(exact, runs)
    ]
    return np.concatenate([found, HOLD * (x - x0)])


def _cost(residuals: Array) -> float:
    return float(residuals @ residuals)


def _constants(x: Array) -> Constants:
    return Constants(*(float(f"{value:.3g}") for value in np.exp(x)))


def changed(constants: Constants, name: str, factor: float) -> Constants:
    """`constants` with one of them times `factor`."""
    values = asdict(constants)
    return Constants(**{**values, name: values[name] * factor})
