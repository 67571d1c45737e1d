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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kit.capacity.candidates import Candidate, candidates, options
from kit.capacity.judge import VERDICTS, Option, judge, refined
from kit.capacity.limits import Limit, limit
from kit.capacity.prices import Prices
from kit.capacity.target import Target
from kit.errors import InvalidValue, KitError
from kit.hardware import SGLANG, gpu
from kit.launch import launch_plan
from kit.models import model
from kit.provenance import Provenance, simulated
from kit.sizing import explain

_FAR = 6  # times the GPUs of the best
_REFINED = 8  # options of which is found out how much a replica holds
SHOWN = 10
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
        return InvalidValue(
            f"nothing that was tried keeps {t.promise}: the nearest, {best.candidate.title}, has "
            f"a {worst.upper()} of {ms:,.0f} ms with {amount(t, point.share.amount)} on each of "
            f"{replicas(best)}",
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
        return tuple(_next_steps(self, option))

    def to_json(self) -> dict[str, Any]:
        return {
            "target": self.target.to_json(),
            "sglang": self.sglang,
            "ranked_by": self.ranked_by,
            "prices_per_gpu_hour": dict(self.prices.per_hour),
            "holds": bool(self.holding),
            "profiles": [_json(self, n, option) for n, option in enumerate(self.options, 1)],
            "not_simulated": [
                {"profile": c.title, "gpus_by_arithmetic": c.about_gpus} for c in self.left_out
            ],
            "provenance": self.provenance.to_json(),
        }

    def __str__(self) -> str:
        return "\n".join(_text(self))


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


def amount(target: Target, value: float) -> str:
    """ "84 users", "3.2 requests/s", "1/3 of the trace"."""
    if target.users is not None:
        return f"{value:,.0f} user{'s' * (round(value) != 1)}"
    if target.rate is not None:
        return f"{value:,.3g} requests/s"
    return "the trace" if value == 1 else f"1/{round(1 / value)} of the trace"


def reasons(option: Option) -> tuple[str, ...]:
    """Why the verdict is what it is."""
    return tuple(_reasons(option))


def _reasons(option: Option) -> Iterator[str]:
    point, t = option.point, option.target
    for metric, bound in point.bounds_ms.items():
        ms, band = point.outcome.ms(metric) or 0.0, point.bands[metric]
        told = f"P{t.percentile:g} {metric.upper()} {ms:,.0f} ms"
        told += f" ({ms * band.p10:,.0f}–{ms * band.p90:,.0f})"
        if point.ratio(metric) > 1:
            yield f"{told} is {point.ratio(metric):.2f} times the {bound:,g} ms asked"
        elif point.ratio(metric) * band.p90 > 1:
            over = point.ratio(metric) * band.p90
            yield f"{told} keeps {bound:,g} ms, its pessimistic end is {over:.2f} times that"
        else:
            yield f"{told} keeps {bound:,g} ms"
    if option.verdict == "does not hold":
        yield f"that is with {amount(t, point.share.amount)} for each of {replicas(option)}"
        return
    least = "at least " if option.beyond is None else ""
    yield f"a replica takes {least}{amount(t, option.capacity)}; {replicas(option)} for all"
    if option.one_fewer_is_marginal:
        yield f"{option.replicas - 1} would be marginal: enough by the prediction, not by its band"


def replicas(option: Option) -> str:
    """ "3 replicas"."""
    return f"{option.replicas} replica{'s' * (option.replicas != 1)}"


def _next_steps(plan: CapacityPlan, option: Option) -> Iterator[str]:
    if option.verdict != "does not hold":
        more = amount(plan.target, option.capacity * (option.replicas + 1))
        if plan.target.kind != "trace":
            yield (
                f"one replica more behind the router, {option.candidate.gpus} GPUs: up to {more}"
            )
    if plan.limit(option).resource in ("slots", "KV cache"):
        for remedy in explain(option.candidate.memory).remedies[:2]:
            yield f"more room: {remedy.action} ({remedy.gives})"
    p = option.profile
    for other in plan.options:
        q = other.profile
        if other.verdict != "holds" or other.gpus >= option.gpus or q.model != p.model:
            continue
        if q.gpu == p.gpu and q.precision != p.precision:
            yield f"{q.precision} on {q.gpu.name}: {other.gpus} GPUs in place of {option.gpus}"
            break
    for other in plan.options:
        q = other.profile
        better = other.verdict == "holds" and other.gpus < option.gpus
        if better and q.gpu != p.gpu and q.model == p.model:
            yield f"another GPU: {q.title}, {other.gpus} GPUs in place of {option.gpus}"
            break


def _json(plan: CapacityPlan, number: int, option: Option) -> dict[str, Any]:
    p, point, cost = option.profile, option.point, plan.prices.cost(option)
    out, held = point.outcome, plan.limit(option)
    predicted = {f"{m}_ms": round(out.ms(m) or 0.0, 2) for m in point.bounds_ms}
    return {
        "rank": number,
        "profile": p.title,
        "options": options(p),
        "model": p.model.name,
        "precision": p.precision,
        "gpu": p.gpu.key,
        "tp_size": p.tp_size,
        "nodes": p.nodes,
        "mtp": p.mtp is not None,
        "radix_cache": p.radix_cache,
        "max_running_requests": option.candidate.memory.max_running_requests,
        "verdict": option.verdict,
        "replicas": option.replicas,
        "gpus": option.gpus,
        "replica_holds": round(option.capacity, 4),
        "replica_holds_at_least": option.beyond is None,
        "one_fewer_is_marginal": option.one_fewer_is_marginal,
        "replica_load": round(point.share.amount, 4),
        "percentile": plan.target.percentile,
        "predicted": predicted,
        "bands": {
            f"{m}_ms": [round((out.ms(m) or 0.0) * end, 2) for end in (b.p10, b.p90)]
            for m, b in point.bands.items()
        },
        "times_the_bound": {
            m: {
                "expected": round(point.ratio(m), 3),
                "pessimistic": round(point.ratio(m) * point.bands[m].p90, 3),
            }
            for m in point.bounds_ms
        },
        "requests_per_s": round(out.requests_per_s * option.replicas, 3),
        "output_tokens_per_s": round(option.output_per_s, 1),
        "tokens_per_s": round(option.tokens_per_s, 1),
        "saturates": {"first": held.resource, "reason": held.reason},
        "reasons": list(reasons(option)),
        "next": list(plan.next_steps(option)),
        "cost": cost.to_json() if cost else None,
        "argv": launch_plan(p, plan.sglang).argv(),
        "provenance": option.provenance.to_json(),
    }


def _text(plan: CapacityPlan) -> Iterator[str]:
    t = plan.target
    yield f"{t.who}; {t.what}"
    yield t.promise
    yield f"ranked by {plan.ranked_by}"
    yield ""
    yield from _table(plan)
    yield ""
    if len(plan.options) > SHOWN:
        rest = len(plan.options) - SHOWN
        yield f"{rest} more were simulated, and take more (--json has them)"
    if plan.left_out:
        least = min(c.about_gpus for c in plan.left_out)
        yield f"{len(plan.left_out)} fit and were not simulated: {least} GPUs or more by arithmetic"
    best = plan.best
    verb = {"holds": "holds", "marginal": "is marginal", "does not hold": "does not hold"}
    yield f"{best.candidate.title} {verb[best.verdict]}:"
    for sentence in reasons(best):
        yield f"  {sentence}"
    yield f"  first out of {plan.limit(best)}"
    for step in plan.next_steps(best):
        yield f"  next: {step}"
    yield "TTFT and TPOT: expected – at the pessimistic end, by which verdicts are given."
    yield str(plan.provenance)


def _table(plan: CapacityPlan) -> Iterator[str]:
    """The first options, in columns as wide as their widest."""
    head = ["", "profile", "options", "verdict", "GPUs", "replicas × holds", "TTFT ms", "TPOT ms"]
    head += ["runs out of"]
    head += ["a month", "1M out"] if plan.prices.per_hour else []
    rows = [head, *(_row(plan, *pair) for pair in enumerate(plan.options[:SHOWN], 1))]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    for row in rows:
        yield "  ".join(
            cell.rjust(width) if head[i] in _NUMBERS else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()


_NUMBERS = ("", "GPUs", "TTFT ms", "TPOT ms", "a month", "1M out")


def _row(plan: CapacityPlan, number: int, option: Option) -> list[str]:
    point, p = option.point, option.profile
    least = "≥ " if option.beyond is None else ""
    holds = f"{option.replicas} × {least}{amount(plan.target, option.capacity)}"
    if option.verdict == "does not hold":
        holds = f"{point.expected:.2f} × too slow"

    def shown(metric: str) -> str:
        ms, band = point.outcome.ms(metric), point.bands.get(metric)
        if ms is None:
            return "–"
        return f"{ms:,.0f}" + (f" – {ms * band.p90:,.0f}" if band else "")

    row = [str(number), p.title, options(p), option.verdict, str(option.gpus), holds]
    row += [shown("ttft"), shown("tpot"), plan.limit(option).resource]
    if plan.prices.per_hour:
        cost = plan.prices.cost(option)
        row += [f"{cost.per_month:,.0f}", f"{cost.per_million_output:.2f}"] if cost else ["–", "–"]
    return row
