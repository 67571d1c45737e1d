"""Constants of the speed model from published cells: those that make simulations print them.

The constants are found as from any runs (`kit/bench/fit.py`). How requests differ in what is
accepted of their drafts is found beside them, one parameter after the other.

Only training cells are read: the others are what the result is judged by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kit.bench.fit import descend, residuals, robust, rounded
from kit.bench.published import TODAY, PublishedRun, published_cells
from kit.bench.replay import Array, Schedule
from kit.scheduler.acceptance import Acceptance, Requests
from kit.speed import Constants, SpeedModel
from kit.speed.constants import NAMES

MOST = 1024  # requests at once, that are fitted to: at 4096 only the queue is longer
HOLD = 0.1  # of a constant's logarithm to its start
MOVES = {"repeating": 0.025, "repeating_per_log_params": 0.015, "others_accept_length": 0.05}
ROUNDS = 2

# Round values of the right order, for reasons that the model's own comments give.
START = Constants(
    bandwidth_efficiency=0.9,
    flop_efficiency=0.7,
    decode_floor_us_per_layer=45.0,
    prefill_floor_us_per_layer=1000.0,
    request_overhead_ms=10.0,
    quantised_flops=0.7,
    grouped_flops=0.4,
    expert_correlation=0.8,
    moe_floor_us_per_layer=20.0,
    quantised_floor_us_per_layer=10.0,
    draft_floor_us=200.0,
    request_floor_us=10.0,
    scan_ns_per_head=5.0,
    activation_passes=50.0,
)
# Not identified: no cell is one request without MTP, and under MTP acceptance hides it. 45 µs is
# what such cells of 0.5.15 say, which are looked at and not fitted to.
FITTED = tuple(name for name in NAMES if name != "decode_floor_us_per_layer")
# In 0.5.9 prefills had no CUDA graph (piecewise graphs were off), and speculation ran without the
# overlap scheduler: the GPU waited for the host between drafts, and for each request's results.
ERA = ("prefill_floor_us_per_layer", "request_floor_us", "draft_floor_us")
# Where a wider search over the training cells ended: single steps from round values stop before.
REQUESTS = Requests(repeating=0.675, repeating_per_log_params=0.055, others_accept_length=2.95)


@dataclass(frozen=True)
class Found:
    """Fitted constants, and how requests differ; `cost` is what was made least."""

    constants: Constants
    requests: Requests
    cost: float


def training_cells() -> tuple[PublishedRun, ...]:
    """What is fitted to: no cell that is held out, none whose lengths are unsure."""
    cells = published_cells(TODAY)
    return tuple(c for c in cells if c.held_out is False and _concurrency(c) <= MOST)


def fit_cells(cells: Sequence[PublishedRun]) -> tuple[CellFit, Found]:
    """The constants and requests that fit `cells` best, to three digits."""
    fitting = CellFit(cells)
    found = fitting.run(START)
    return fitting, replace(found, constants=rounded(found.constants))


def fit_era(runs: Sequence[PublishedRun], newest: Found) -> tuple[CellFit, Found]:
    """The constants in which an older era differs, from its runs; all others as they are."""
    fitting = CellFit(runs, ERA, hold=0.02)
    found = newest
    for _ in range(ROUNDS + 1):
        found = fitting.constants(found, newest.constants)
    return fitting, replace(found, constants=rounded(found.constants))


class CellFit:
    """A fit to `cells`. The schedules without MTP are recorded once: `shared` keeps them for
    other fits, by name."""

    def __init__(
        self,
        cells: Sequence[PublishedRun],
        names: Sequence[str] = FITTED,
        shared: dict[str, Schedule] | None = None,
        hold: float = HOLD,
    ) -> None:
        """`names` are the constants to fit; others stay as they are given to `run`."""
        self.cells = tuple(cells)
        self.names = tuple(names)
        self._shared = {} if shared is None else shared
        self._hold = hold

    def run(
        self, start: Constants = START, requests: Requests = REQUESTS, rounds: int = ROUNDS
    ) -> Found:
        found = Found(start, requests, np.inf)
        for _ in range(rounds):
            found = self.constants(found, start)
            found = self._requests(found)
        return self.constants(found, start)

    def schedules(self, found: Found, mtp_only: bool = False) -> list[Schedule]:
        """The cells' schedules at these constants."""
        return [
            self._schedule(cell, found) for cell in self.cells if cell.profile.mtp or not mtp_only
        ]

    def _schedule(self, cell: PublishedRun, found: Found) -> Schedule:
        speed = SpeedModel.of(cell.profile, cell.sglang, found.constants)
        if cell.profile.mtp is None:
            if cell.name not in self._shared:
                self._shared[cell.name] = Schedule.record(cell, speed)
            return self._shared[cell.name]
        drafts = cell.profile.mtp.num_draft_tokens - 1
        model, requests = cell.profile.model, found.requests
        acceptance = requests.acceptance(model, drafts)
        if cell.accept_length is not None:
            share = requests.share(model)
            acceptance = Acceptance.of(cell.accept_length, drafts, repeating=share)
        return Schedule.record(cell, speed, acceptance)

    def constants(self, found: Found, start: Constants) -> Found:
        """The constants that fit the schedules at `found` best."""
        schedules = self.schedules(found)
        weights = _weights(schedules)
        constants, _ = descend(schedules, found.constants, start, self.names, self._hold, weights)
        cost = robust(residuals(schedules, constants) * weights)
        return Found(constants, found.requests, cost)

    def _requests(self, found: Found) -> Found:
        """One parameter after the other, up or down as long as it helps."""
        best = self._simulated_cost(found)
        for name, move in MOVES.items():
            for step in (move, -move):
                while True:
                    value = getattr(found.requests, name) + step
                    tried = replace(found, requests=replace(found.requests, **{name: value}))
                    if not _possible(tried.requests):
                        break
                    cost = self._simulated_cost(tried)
                    if cost > best - 1e-3:
                        break
                    found, best = tried, cost
        return found

    def _simulated_cost(self, found: Found) -> float:
        schedules = self.schedules(found, mtp_only=True)
        return robust(residuals(schedules, found.constants) * _weights(schedules))


def _weights(schedules: Sequence[Schedule]) -> Array:
    """TTFT at few requests hangs on how acceptance scatters, so it counts less."""
    return np.array([(0.4 if 1 < _concurrency(s.run) < 100 else 0.8, 1, 1) for s in schedules])


def _possible(requests: Requests) -> bool:
    shares_fit = requests.repeating_per_log_params >= 0 and 0 <= requests.repeating <= 1
    return shares_fit and 1.5 <= requests.others_accept_length <= 3.9


def _concurrency(run: PublishedRun) -> int:
    return run.workload.max_concurrency or run.workload.num_prompts
