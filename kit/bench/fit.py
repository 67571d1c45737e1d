"""Constants of the speed model from runs: those that make the simulation give their rows.

A least-squares fit of the logarithms of predicted / given, by Gauss-Newton. The derivatives are
taken numerically once and then corrected by every step that is made (Broyden), so that a fit is
some twenty simulations of each run. Weighed fully: the three headline rows (mean TTFT, mean TPOT,
output tokens/s). Weighed lightly: rows that tell steps from prefills (median and P95 ITL, peak
output). Few rows determine five constants weakly, so each is held a little to its start.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kit.bench.metric_list import HEADLINE
from kit.bench.metrics import Array
from kit.bench.published import PublishedRun
from kit.bench.simulated import simulate
from kit.speed import Constants, ConstantSource, SpeedModel
from kit.speed.constants import NAMES, machine

SHAPE = ("median_itl_ms", "p95_itl_ms", "max_output_tokens_per_s")
SHAPE_WEIGHT = 0.3
HOLD = 0.2  # of a constant to its start: a tenth off costs what 2 % on one headline row costs
MOVES = (0.2, 0.05)  # of a logarithm, for a derivative: far, past what jumps; then near
SMALL = 5e-3  # a step that is not worth another
KNOWN = 0.5  # of a constant's value comes from the runs; below, it stays at its start

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
class FittedRow:
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


@dataclass(frozen=True)
class Fit:
    """Fitted constants; how much of each the runs determined (0: its start, 1: the runs alone);
    the rows with them."""

    constants: Constants
    start: Constants
    known: dict[str, float]
    rows: tuple[FittedRow, ...]

    @property
    def held(self) -> tuple[str, ...]:
        """Constants that the runs say little of: they stay at their start, or near it."""
        return tuple(name for name, share in self.known.items() if share < KNOWN)


def rows(constants: Constants, runs: Sequence[PublishedRun]) -> list[FittedRow]:
    """The rows that the fit looks at, as predicted with `constants`."""
    out = []
    for run in runs:
        report = simulate(
            run.profile,
            run.workload,
            run.sglang,
            accept_length=run.accept_length,
            speed=SpeedModel.of(run.profile, run.sglang, constants),
        )
        line, given = report.to_json(), run.report.to_json()
        keys = HEADLINE + (SHAPE if given["itl_basis"] == "token" else ())
        out += [FittedRow(run.name, k, line[k], given[k]) for k in keys if given[k] and line[k]]
    return out


def fit(
    runs: Sequence[PublishedRun],
    start: Constants = START,
    on_progress: Callable[[int, float], None] | None = None,
    version: str = "",
) -> Fit:
    """The constants that fit `runs` best, to three digits. Deterministic; half a minute or so.

    `on_progress` is told after each simulation of all runs how many there were, and how far off
    the headline rows are in the mean. `version` goes into the constants' label.
    """
    problem = _Problem(runs, start, on_progress)
    x = problem.x0
    here = problem.residuals(x)
    for move in MOVES:
        x, here = _descend(problem, x, here, move)
    slope = problem.slope(x, here, MOVES[-1])
    unsure = HOLD**2 * np.diag(np.linalg.inv(slope.T @ slope))  # the start's share of each
    found = _constants(x, ConstantSource(tuple(r.name for r in runs), version, _machines(runs)))
    known = {name: float(1 - share) for name, share in zip(NAMES, unsure, strict=True)}
    return Fit(found, start, known, tuple(rows(found, runs)))


def _descend(problem: _Problem, x: Array, here: Array, move: float) -> tuple[Array, Array]:
    """From `x` downhill, until neither the corrected derivatives nor new ones find a way."""
    slope, fresh = problem.slope(x, here, move), True
    while True:
        step = np.clip(np.linalg.lstsq(slope, -here, rcond=None)[0], -0.5, 0.5)
        for share in (1.0, 0.5, 0.2):
            moved = share * step
            there = problem.residuals(x + moved)
            if there @ there < here @ here:
                break
        else:
            if fresh:
                return x, here
            slope, fresh = problem.slope(x, here, move), True
            continue
        slope = slope + np.outer(there - here - slope @ moved, moved) / (moved @ moved)
        x, here, fresh = x + moved, there, False
        if np.abs(moved).max() < SMALL:
            return x, here


class _Problem:
    """Residuals of constants, as logarithms around a start."""

    def __init__(
        self,
        runs: Sequence[PublishedRun],
        start: Constants,
        on_progress: Callable[[int, float], None] | None,
    ) -> None:
        self.x0 = np.log([start.values()[name] for name in NAMES])
        self._runs = runs
        self._on_progress = on_progress
        self._simulations = 0

    def residuals(self, x: Array) -> Array:
        found = rows(_exact(x), self._runs)
        self._simulations += 1
        if self._on_progress:
            off = [abs(row.ratio - 1) for row in found if row.headline]
            self._on_progress(self._simulations, sum(off) / len(off))
        weighed = [math.log(r.ratio) * (1 if r.headline else SHAPE_WEIGHT) for r in found]
        return np.concatenate([weighed, HOLD * (x - self.x0)])

    def slope(self, x: Array, here: Array, move: float) -> Array:
        moved = [(self.residuals(x + move * one) - here) / move for one in np.eye(len(x))]
        return np.stack(moved, axis=1)


def _exact(x: Array) -> Constants:
    return Constants(*np.exp(x).tolist())


def _constants(x: Array, origin: ConstantSource) -> Constants:
    rounded = {name: float(f"{value:.3g}") for name, value in zip(NAMES, np.exp(x), strict=True)}
    return _exact(x).changed(**rounded).learnt(origin)


def _machines(runs: Sequence[PublishedRun]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(machine(run.profile) for run in runs))


def changed(constants: Constants, name: str, factor: float) -> Constants:
    """`constants` with one of them times `factor`."""
    return constants.changed(**{name: constants.values()[name] * factor})
