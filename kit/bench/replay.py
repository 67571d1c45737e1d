"""A run's schedule kept, and its times worked out again for other constants: a fit's quick step.

Which requests a step serves hardly depends on how long steps take. So a run is simulated once,
its steps are kept, and other constants only change their durations: some milliseconds where a
simulation takes a second. What does depend on durations (who arrives during which step) is
brought up to date by recording again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from kit.bench.published import PublishedRun
from kit.bench.simulated import drive
from kit.scheduler import Acceptance, Scheduler, Step
from kit.speed import SpeedModel

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
_TOKENS = 1000  # of KV a request, to find how a step's time grows with it: evenly


@dataclass(frozen=True)
class Figures:
    """What a published run prints, from a replay."""

    median_ttft_ms: float
    median_tpot_ms: float
    mean_ttft_ms: float
    mean_tpot_ms: float
    output_throughput: float


@dataclass(frozen=True)
class Schedule:
    """The steps of a simulated run.

    `prefills` are the different (new tokens, requests, context tokens) there were, `batches` the
    different numbers of requests that decoded together. `is_prefill` and `kind` say which of
    them a step is; `kv_tokens` belong to the decode steps in their order. `idle` marks steps
    before which the server waited for a request on its way. `sent`, `first` and `last` are, for
    each request, the steps at whose end it was sent (−1: at the start), got its first token, and
    its last.
    """

    run: PublishedRun
    prefills: list[tuple[int, int, int]]
    batches: list[int]
    is_prefill: npt.NDArray[np.bool_]
    kind: Indices
    kv_tokens: Array
    idle: npt.NDArray[np.bool_]
    sent: Indices
    first: Indices
    last: Indices
    output_tokens: Array

    @classmethod
    def record(
        cls, run: PublishedRun, speed: SpeedModel, acceptance: Acceptance | None = None
    ) -> Schedule:
        """Simulate `run`; under MTP with `acceptance` where it is given."""
        kept = _Recorder(speed)
        scheduler = _Watched.of(
            run.profile,
            run.sglang,
            run.accept_length,
            run.workload.seed,
            speed=kept,  # type: ignore[arg-type]  # it answers all that a scheduler asks
        )
        if acceptance is not None and scheduler.acceptance is not None:
            scheduler.acceptance = acceptance
        assert isinstance(scheduler, _Watched)
        records = drive(scheduler, run.workload)
        began = np.array(scheduler.began_s)
        ends = began + np.array(kept.durations_s)
        prefill = np.array([len(call) == 3 for call in kept.calls])
        decodes = [call for call in kept.calls if len(call) == 2]
        prefills, which = _distinct([call for call in kept.calls if len(call) == 3])
        batches, how_many = _distinct([call[:1] for call in decodes])
        kind = np.empty(len(prefill), dtype=np.int64)
        kind[prefill], kind[~prefill] = which, how_many

        def at(times_s: list[float]) -> Indices:
            return np.searchsorted(ends, np.array(times_s) - 1e-9)

        sent = at([r.sent_s for r in records])
        return cls(
            run,
            prefills=[(call[0], call[1], call[2]) for call in prefills],
            batches=[call[0] for call in batches],
            is_prefill=prefill,
            kind=kind,
            kv_tokens=np.array([call[1] for call in decodes], dtype=float),
            idle=began - np.concatenate([[0.0], ends[:-1]]) > 1e-9,
            sent=np.where(np.array([r.sent_s for r in records]) == 0, -1, sent),
            first=at([r.times_s[0] for r in records]),
            last=at([r.times_s[-1] for r in records]),
            output_tokens=np.array([r.output_tokens for r in records], dtype=float),
        )

    def figures(self, speed: SpeedModel) -> Figures:
        """What the run would have printed at `speed`."""
        took = np.empty(len(self.kind))
        prefill = self.is_prefill
        times = np.array([speed.prefill_s(*call) for call in self.prefills])
        empty = np.array([speed.step_s(n, 0) for n in self.batches])
        a_token = np.array([speed.step_s(n, n * _TOKENS) for n in self.batches])
        a_token = (a_token - empty) / (np.array(self.batches) * _TOKENS)
        took[prefill] = times[self.kind[prefill]]
        decode = self.kind[~prefill]
        took[~prefill] = empty[decode] + a_token[decode] * self.kv_tokens
        ends = np.cumsum(took + self.idle * speed.request_overhead_s)
        at = np.concatenate([ends, [0.0]])  # −1 is the start
        ttft_ms = (at[self.first] - at[self.sent]) * 1e3
        more = self.output_tokens > 1
        tpot_ms = ((at[self.last] - at[self.first]) * 1e3)[more] / (self.output_tokens[more] - 1)
        if not more.any():
            tpot_ms = np.array([np.nan])
        return Figures(
            float(np.median(ttft_ms)),
            float(np.median(tpot_ms)),
            float(ttft_ms.mean()),
            float(tpot_ms.mean()),
            float(self.output_tokens.sum() / ends[-1]),
        )


class _Recorder:
    """A speed model that keeps what it was asked, and what it said."""

    def __init__(self, speed: SpeedModel) -> None:
        self.calls: list[tuple[int, ...]] = []
        self.durations_s: list[float] = []
        self._speed = speed

    @property
    def request_overhead_s(self) -> float:
        return self._speed.request_overhead_s

    def prefill_s(self, *call: int) -> float:
        return self._kept(call, self._speed.prefill_s(*call))

    def step_s(self, *call: int) -> float:
        return self._kept(call, self._speed.step_s(*call))

    def vision_s(self, image_tokens: int, images: int) -> float:
        return self._speed.vision_s(image_tokens, images)

    def _kept(self, call: tuple[int, ...], duration_s: float) -> float:
        self.calls.append(call)
        self.durations_s.append(duration_s)
        return duration_s


class _Watched(Scheduler):
    """A scheduler that keeps when each of its steps began."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.began_s: list[float] = []

    def step(self, now_s: float) -> Step | None:
        step = super().step(now_s)
        if step is not None:
            self.began_s.append(now_s)
        return step


def _distinct(calls: list[tuple[int, ...]]) -> tuple[list[tuple[int, ...]], Indices]:
    """The different ones, and which of them each is."""
    known: dict[tuple[int, ...], int] = {}
    which = [known.setdefault(call, len(known)) for call in calls]
    return list(known), np.array(which, dtype=np.int64)
