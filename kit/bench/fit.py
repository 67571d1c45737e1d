"""Constants of the speed model from runs: those that make the simulation give their rows.

Each run is simulated once and its schedule replayed for other constants (`kit/bench/replay.py`);
a robust Gauss-Newton on the logarithms of predicted / given finds the constants; then the runs are
simulated again with them, a few times over. What counts are TTFT, TPOT (means, or medians where a
run prints those) and output tokens/s. Few rows determine many constants weakly, so each is held a
little to its start.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kit.bench.metric_list import HEADLINE
from kit.bench.published import PublishedRun
from kit.bench.replay import Array, Schedule
from kit.bench.simulated import simulate
from kit.speed import Constants, ConstantSource, SpeedModel
from kit.speed.constants import machine

HOLD = 0.08  # of a constant's logarithm to its start
# What machines and hosts differ in; the other constants are properties of SGLang's kernels.
OWN = (
    "bandwidth_efficiency",
    "flop_efficiency",
    "decode_floor_us_per_layer",
    "prefill_floor_us_per_layer",
    "request_overhead_ms",
)
ROUNDS = 5  # of simulating and descending
MOVE = 0.02  # of a logarithm, for a derivative
OUTLIER = 0.1  # of a logarithm: beyond it a residual counts by its size, not its square
KNOWN = 0.5  # of a constant's value comes from the runs; below, it stays at its start


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
        """Constants that the runs do not identify: most of their value is the start's."""
        return tuple(name for name, share in self.known.items() if share < KNOWN)


def rows(constants: Constants, runs: Sequence[PublishedRun]) -> list[FittedRow]:
    """The rows that the fit looks at, as simulated with `constants`."""
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
        out += [FittedRow(run.name, k, line[k], given[k]) for k in HEADLINE if given[k] and line[k]]
    return out


def fit(
    runs: Sequence[PublishedRun],
    start: Constants | None = None,
    on_progress: Callable[[int, float], None] | None = None,
    version: str = "",
    names: Sequence[str] = OWN,
) -> Fit:
    """The constants `names` that fit `runs` best, to three digits. Deterministic; some seconds.

    `on_progress` is told after each simulation of all runs how many there were, and how far off
    the headline rows are in the mean. `version` goes into the constants' label.
    """
    start = start or Constants.fitted()
    found = best = start
    least, slope = math.inf, np.zeros((len(names), 0))
    for done in range(1, ROUNDS + 1):
        schedules = [Schedule.record(run, _speed(run, found)) for run in runs]
        off = float(np.abs(np.exp(residuals(schedules, found)) - 1).mean())
        if on_progress:
            on_progress(done, off)
        if off < least:
            best, least = found, off
        found, slope = descend(schedules, found, start, names, HOLD)
    normal = slope @ slope.T + HOLD**2 * np.eye(len(names))
    unsure = HOLD**2 * np.diag(np.linalg.inv(normal))  # the start's share of each
    known = {name: float(1 - share) for name, share in zip(names, unsure, strict=True)}
    machines = tuple(dict.fromkeys(machine(run.profile) for run in runs))
    sources = tuple(dict.fromkeys(run.group or run.name for run in runs))
    found = rounded(best).learnt(ConstantSource(sources, version, machines))
    return Fit(found, start, known, tuple(rows(found, runs)))


def residuals(schedules: Sequence[Schedule], constants: Constants) -> Array:
    """Logarithms of predicted / given: a row a run of TTFT, TPOT and output tokens/s."""
    return np.array([_residual(s, _speed(s.run, constants)) for s in schedules])


def _residual(schedule: Schedule, speed: SpeedModel) -> Array:
    given, found = schedule.run.report, schedule.figures(speed)
    mean = given.ttft.mean is not None
    pairs = (
        (found.mean_ttft_ms, given.ttft.mean)
        if mean
        else (found.median_ttft_ms, given.ttft.median),
        (found.mean_tpot_ms, given.tpot.mean)
        if mean
        else (found.median_tpot_ms, given.tpot.median),
        (found.output_throughput, given.output_throughput),
    )
    return np.array([np.log(ours / theirs) if theirs else 0.0 for ours, theirs in pairs])


def descend(
    schedules: Sequence[Schedule],
    found: Constants,
    start: Constants,
    names: Sequence[str],
    hold: float,
    weights: Array | None = None,
) -> tuple[Constants, Array]:
    """From `found` downhill in the constants `names`, each held to `start`; and the derivatives
    of the weighed residuals there, a row a constant. The damping adapts (Levenberg, Marquardt)."""
    held = np.log([start.values()[name] for name in names])
    x = np.log([found.values()[name] for name in names])

    def constants(x: Array) -> Constants:
        return found.changed(**dict(zip(names, np.exp(x).tolist(), strict=True)))

    def weighed(x: Array) -> Array:
        here = residuals(schedules, constants(x))
        return (here if weights is None else here * weights).ravel()

    def cost(x: Array, here: Array) -> float:
        return robust(here) + hold**2 * float(((x - held) ** 2).sum())

    here, damping, slope = weighed(x), 0.01, np.zeros((len(x), 0))
    for _ in range(6):
        slope = np.stack([(weighed(x + MOVE * one) - here) / MOVE for one in np.eye(len(x))])
        share = 1 / np.sqrt(1 + (here / OUTLIER) ** 2)
        normal = (slope * share) @ slope.T + hold**2 * np.eye(len(x))
        down = (slope * share) @ here + hold**2 * (x - held)
        before = cost(x, here)
        for _ in range(6):
            damped = normal + damping * np.diag(np.diag(normal))
            there = x + np.clip(-np.linalg.solve(damped, down), -0.5, 0.5)
            residual = weighed(there)
            if cost(there, residual) < before:
                x, here, damping = there, residual, max(damping / 5, 1e-4)
                break
            damping *= 5
        if before - cost(x, here) < 1e-3 * before:
            break
    return constants(x), slope


def robust(weighed: Array) -> float:
    """Pseudo-Huber: squares near 0, sizes beyond `OUTLIER`."""
    return float(2 * OUTLIER**2 * (np.sqrt(1 + (weighed / OUTLIER) ** 2) - 1).sum())


def rounded(found: Constants) -> Constants:
    """To three digits."""
    return found.changed(**{n: float(f"{value:.3g}") for n, value in found.values().items()})


def changed(constants: Constants, name: str, factor: float) -> Constants:
    """`constants` with one of them times `factor`."""
    return constants.changed(**{name: constants.values()[name] * factor})


def _speed(run: PublishedRun, constants: Constants) -> SpeedModel:
    return SpeedModel.of(run.profile, run.sglang, constants)
