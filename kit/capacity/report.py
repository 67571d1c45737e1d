"""A capacity plan as text for a terminal, as JSON, and in sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from kit.capacity.candidates import options
from kit.capacity.judge import Option, Point
from kit.capacity.target import Target
from kit.launch import launch_plan
from kit.sizing import explain
from kit.speed.bands import unpublished

if TYPE_CHECKING:
    from kit.capacity.plan import CapacityPlan

SHOWN = 10  # options in the table


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
    if option.predicted is not None:
        yield _apart(option, option.predicted)
    elif option.one_fewer_is_marginal:
        yield f"{option.replicas - 1} would be marginal: enough by the prediction, not by its band"


def _apart(option: Option, alone: Point) -> str:
    """What the prediction alone asks for, and why the verdict asks for more."""
    metric = alone.tightest
    missing = unpublished(option.candidate.speed)
    return (
        f"the prediction alone asks for {_number(alone.share.replicas)}, "
        f"{option.predicted_gpus} GPUs in place of {option.gpus}: "
        f"{amount(option.target, alone.share.amount)} on each use {alone.expected:.2f} of the "
        f"promise. But {metric.upper()} can be {alone.bands[metric].p90:.1f} times as long: "
        + (f"nothing is published of {missing}" if missing else "published runs scatter so far")
    )


def replicas(option: Option) -> str:
    """ "3 replicas"."""
    return _number(option.replicas)


def _number(count: int) -> str:
    return f"{count} replica{'s' * (count != 1)}"


def next_steps(plan: CapacityPlan, option: Option) -> Iterator[str]:
    """What to change when more is asked, or this does not hold: each from figures of the plan."""
    if option.predicted is not None:
        yield f"measure before buying: {_measuring(plan.target, option.predicted)}"
    if option.verdict != "does not hold" and plan.target.kind != "trace":
        more = amount(plan.target, option.capacity * (option.replicas + 1))
        yield (
            f"one replica more behind the router, {option.candidate.gpus} GPUs"
            f"{_node(option)}: up to {more}"
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


def _measuring(t: Target, alone: Point) -> str:
    """How one replica shows on which side of the band it is."""
    load = amount(t, alone.share.amount)
    done = f"{load} on one replica that keep the promise settle it"
    if t.users is None or t.trace or t.think_s or t.shared_prefix or t.image_share:
        return done
    longest = [round((length or 1) * (1 + t.spread)) for length in (t.input_len, t.output_len)]
    users = math.ceil(alone.share.amount)
    promised = " ".join(f"{metric}:{ms:g}" for metric, ms in t.bounds_ms.items())
    return (
        f"{done} (kit bench --input-len {longest[0]} --output-len {longest[1]} --range-ratio "
        f"{(1 - t.spread) / (1 + t.spread):.2f} --max-concurrency {users} "
        f"--num-prompts {10 * users} --goodput {promised})"
    )


def _node(option: Option) -> str:
    """Which node the next replica begins, where it begins one."""
    per_node = option.profile.gpu.gpus_per_node
    now, then = (-(-n // per_node) for n in (option.gpus, option.gpus + option.candidate.gpus))
    return f" (on node {then}, of {per_node} GPUs each)" if then > now else ""


def option_json(plan: CapacityPlan, number: int, option: Option) -> dict[str, Any]:
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
        "predicted_replicas": option.predicted_replicas,
        "predicted_gpus": option.predicted_gpus,
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


def text(plan: CapacityPlan) -> Iterator[str]:
    """The lines that `kit plan` prints."""
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
    if _differ(plan):
        yield "GPUs: enough at the pessimistic end; predicted GPUs: by the prediction alone."
    yield "TTFT and TPOT: expected – at the pessimistic end, by which verdicts are given."
    yield str(plan.provenance)


def _table(plan: CapacityPlan) -> Iterator[str]:
    """The first options, in columns as wide as their widest."""
    head = ["", "profile", "options", "verdict", "GPUs"]
    head += [_ALONE] if _differ(plan) else []
    head += ["replicas × holds", "TTFT ms", "TPOT ms", "runs out of"]
    head += ["a month", "1M out"] if plan.prices.per_hour else []
    rows = [head, *(_row(plan, *pair) for pair in enumerate(plan.options[:SHOWN], 1))]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    for row in rows:
        yield "  ".join(
            cell.rjust(width) if head[i] in _NUMBERS else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()


_ALONE = "predicted GPUs"
_NUMBERS = ("", "GPUs", _ALONE, "TTFT ms", "TPOT ms", "a month", "1M out")


def _differ(plan: CapacityPlan) -> bool:
    """Whether a prediction alone asks for fewer GPUs than its pessimistic end."""
    return any(option.predicted is not None for option in plan.options[:SHOWN])


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

    row = [str(number), p.title, options(p), option.verdict, str(option.gpus)]
    row += [str(option.predicted_gpus or "–")] if _differ(plan) else []
    row += [holds, shown("ttft"), shown("tpot"), plan.limit(option).resource]
    if plan.prices.per_hour:
        cost = plan.prices.cost(option)
        row += [f"{cost.per_month:,.0f}", f"{cost.per_million_output:.2f}"] if cost else ["–", "–"]
    return row
