"""A target → profiles that hold it, ranked: how many replicas, what runs out first, what it costs.

    >>> found = capacity_plan(Target(users=200, input_len=2000, output_len=500,
    ...                              ttft_ms=1000, tpot_ms=40), gpus=["h200"])
    >>> found.best.profile.title
    '397b-fp8-h200x8'

With prices what holds is ranked by cost, without by the number of GPUs, which says little across
GPUs of different kinds. Everything is simulated by the one scheduler (`kit.capacity.replica`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kit.capacity import report
from kit.capacity.candidates import Candidate, candidates
from kit.capacity.judge import VERDICTS, Option, judge, refined
from kit.capacity.limits import Limit, limit
from kit.capacity.prices import Prices
from kit.capacity.target import Target
from kit.errors import InvalidValue, KitError
from kit.hardware import SGLANG, gpu
from kit.models import model
from kit.provenance import Provenance, simulated

_FAR = 6  # times the GPUs of the best
_REFINED = 8  # options of which is found out how much a replica holds
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class CapacityPlan:
    """What was found. `options` are ranked; `left_out` fit, and were not worth a simulation."""

    target: Target
    sglang: str
    options: tuple[Option, ...]
    left_out: tuple[Candidate, ...]
    prices: Prices
    most_gpus: int | None = None

    @property
    def best(self) -> Option:
        return self.options[0]

    @property
    def holding(self) -> tuple[Option, ...]:
        return tuple(option for option in self.options if option.verdict == "holds")

    @property
    def ranked_by(self) -> str:
        if self.prices.per_hour:
            return "cost per month, at the prices given"
        return "number of GPUs: no prices were given (--price b200=4.5), and GPUs differ in price"

    @property
    def provenance(self) -> Provenance:
        return simulated(
            f"each replica by the scheduler of SGLang {self.sglang}; the bands of published cells, "
            f"for means and medians, taken for P{self.target.percentile:g}"
        )

    @property
    def complaint(self) -> KitError | None:
        """Where nothing is even marginal: what is nearest, and what to ask for. Else None."""
        best, t = self.best, self.target
        if best.verdict != "does not hold":
            return None
        point = best.point
        worst = max(point.bounds_ms, key=point.ratio)
        ms = point.outcome.ms(worst) or 0.0
        needed = math.ceil(ms * point.bands[worst].p90)
        load = report.amount(t, point.share.amount)
        return InvalidValue(
            f"nothing that was tried keeps {t.promise}: the nearest, {best.candidate.title}, has "
            f"a {worst.upper()} of {ms:,.0f} ms with {load} on each of "
            f"{report.replicas(best)}",
            f"ask for a {worst.upper()} of {needed:,} ms or more"
            + (", or for shorter requests, or allow more GPUs" if self.most_gpus else ""),
        )

    def limit(self, option: Option) -> Limit:
        return self._limits[option.candidate.title]

    @cached_property
    def _limits(self) -> dict[str, Limit]:
        return {option.candidate.title: limit(option) for option in self.options}

    def next_steps(self, option: Option) -> tuple[str, ...]:
        """What to change when more is asked, or this does not hold: each from figures of here."""
        return tuple(report.next_steps(self, option))

    def to_json(self) -> dict[str, Any]:
        return {
            "target": self.target.to_json(),
            "sglang": self.sglang,
            "ranked_by": self.ranked_by,
            "prices_per_gpu_hour": dict(self.prices.per_hour),
            "holds": bool(self.holding),
            "profiles": [
                report.option_json(self, n, option) for n, option in enumerate(self.options, 1)
            ],
            "not_simulated": [
                {"profile": c.title, "gpus_by_arithmetic": c.about_gpus} for c in self.left_out
            ],
            "provenance": self.provenance.to_json(),
        }

    def __str__(self) -> str:
        return "\n".join(report.text(self))


def capacity_plan(
    target: Target,
    models: Sequence[str] = ("397b",),
    gpus: Sequence[str] | None = None,
    precisions: Sequence[str] | None = None,
    prices: Prices | None = None,
    sglang: str = SGLANG,
    most_gpus: int | None = None,
    on_progress: Progress | None = None,
) -> CapacityPlan:
    """Rank what can hold `target`. With `most_gpus`, on no more than these.

    `on_progress` gets how many are done, of how many, and the next; at last "".
    Raises UnknownName for a model, GPU or precision, InvalidValue where nothing fits at all.
    """
    _fits_the_model(target, models)
    found = candidates(target, models, gpus, precisions, sglang, most_gpus)
    prices = prices or Prices()
    for key, _ in prices.per_hour:
        _priced_in(key, gpus)
    if not found:
        on = ", ".join(gpus) if gpus else "the GPUs that were tried"
        on = f"{most_gpus} GPUs or fewer of {on}" if most_gpus else on
        raise InvalidValue(
            f"no profile of {', '.join(models)} fits {on} with requests of {target.longest:,}"
            " tokens",
            "name other GPUs (--gpu), a smaller precision or model, or ask for less context",
        )
    judged: list[Option] = []
    left_out: list[Candidate] = []
    for number, candidate in enumerate(found):
        if not _worth(candidate, judged, target.kind == "trace"):
            left_out.append(candidate)
            continue
        if on_progress:
            on_progress(number, len(found), candidate.title)
        judged.append(judge(candidate, target, sglang, most_gpus))
    if on_progress:
        on_progress(len(found), len(found), "")
    judged.sort(key=lambda option: _rank(option, prices))
    first = [refined(option, sglang) for option in judged[:_REFINED]]
    options = sorted([*first, *judged[_REFINED:]], key=lambda option: _rank(option, prices))
    return CapacityPlan(target, sglang, tuple(options), tuple(left_out), prices, most_gpus)


def _fits_the_model(target: Target, models: Sequence[str]) -> None:
    for name in models:
        most = model(name).max_position_embeddings
        if target.context is None and target.longest > most:
            raise InvalidValue(
                f"requests of up to {target.longest:,} tokens, and {name} takes {most:,}",
                f"say --context {target.longest} to stretch it, or ask for less",
            )


def _priced_in(key: str, gpus: Sequence[str] | None) -> None:
    """A price for a GPU that is not tried is a mistake where GPUs were named."""
    if gpus and key not in {gpu(name).key for name in gpus}:
        raise InvalidValue(f"a price for {key}, which is not among --gpu", "name it there too")


def _worth(candidate: Candidate, judged: Sequence[Option], of_trace: bool) -> bool:
    """Whether it can still be the best of its model, GPU and precision: at its best it takes fewer
    GPUs than those that hold. (Of a trace arithmetic knows no best; its estimate has to do, made
    as much larger as the first of the kind was.) What takes many times the GPUs of the best of all
    is one per kind."""
    p = candidate.profile
    kind = [
        option
        for option in judged
        if (option.profile.model, option.profile.gpu, option.profile.precision)
        == (p.model, p.gpu, p.precision)
    ]
    holding = [option.gpus for option in kind if option.verdict == "holds"]
    at_best: float = candidate.least_gpus
    if of_trace and kind:
        at_best = candidate.about_gpus * kind[0].gpus / kind[0].candidate.about_gpus
    if holding and at_best >= min(holding):
        return False
    least = min((o.gpus for o in judged if o.verdict == "holds"), default=None)
    return not kind or least is None or candidate.about_gpus <= _FAR * least


def _rank(option: Option, prices: Prices) -> tuple[Any, ...]:
    cost = prices.cost(option)
    place = VERDICTS.index(option.verdict)
    if option.verdict == "does not hold":
        return place, False, option.point.expected, option.gpus, option.candidate.title
    paid = (cost is None, cost.per_month) if cost else (bool(prices.per_hour), option.gpus)
    spare = option.capacity * option.replicas
    return place, *paid, option.gpus, -spare, option.candidate.title
