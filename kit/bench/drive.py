"""A workload run on the scheduler in virtual time: a benchmark without a server or a wait.

Between its steps the scheduler sees requests arrive as a client would send them; the answers
become records, and the records a report, by the same code that a measured run goes through.
"""

from __future__ import annotations

from dataclasses import replace

from kit.bench import published
from kit.bench.metrics import Record, Report, report
from kit.bench.workload import Workload
from kit.hardware import SGLANG, Profile
from kit.hardware import profile as named_profile
from kit.provenance import simulated
from kit.simulate import Request, Scheduler
from kit.speed import SpeedModel


def simulate(
    profile: Profile,
    workload: Workload,
    sglang: str = SGLANG,
    *,
    accept_length: float | None = None,
    speed: SpeedModel | None = None,
    max_running_requests: int | None = None,
    seed: int | None = None,
) -> Report:
    """The report that `workload` gives on `profile` under SGLang `sglang`, simulated.

    `seed` draws the acceptances; the workload's own by default. Raises InvalidValue when the
    profile does not fit, or a request never could.
    """
    scheduler = Scheduler.of(
        profile,
        sglang,
        accept_length=accept_length,
        seed=workload.seed if seed is None else seed,
        max_running_requests=max_running_requests,
        speed=speed,
    )
    records = drive(scheduler, workload)
    return report(
        records,
        duration_s=max(r.ended_s for r in records),
        provenance=simulated(f"{scheduler.speed.provenance.source}; scheduler of SGLang {sglang}"),
        workload=workload,
        accept_length=scheduler.accept_length,
    )


def predict(
    profile: Profile | str,
    like: str | Workload = "cookbook-latency",
    sglang: str | None = None,
    *,
    accept_length: float | None = None,
    speed: SpeedModel | None = None,
    max_running_requests: int | None = None,
) -> Report:
    """What `profile` would give on a workload, or on that of a published run.

    A run's own version, radix state and accept length are honoured, unless given here; the
    radix state only where the version is the run's own. Raises UnknownName, InvalidValue.
    """
    machine = named_profile(profile) if isinstance(profile, str) else profile
    if isinstance(like, Workload):
        workload = like
    else:
        run = published.run(like)
        workload = run.workload
        if sglang in (None, run.sglang):
            machine = replace(machine, radix_cache=run.profile.radix_cache)
        sglang = sglang or run.sglang
        accept_length = run.accept_length if accept_length is None else accept_length
    return simulate(
        machine,
        workload,
        sglang or SGLANG,
        accept_length=accept_length,
        speed=speed,
        max_running_requests=max_running_requests,
    )


def drive(scheduler: Scheduler, workload: Workload) -> list[Record]:
    """Send the workload through `scheduler` to the last token; one record a request, in order.

    At most `max_concurrency` requests are out at a time. What is over leaves room for the next
    at once: a client with no delay of its own.
    """
    lengths, send_s = workload.lengths, workload.send_s
    limit = workload.max_concurrency or len(lengths)
    sent: list[float] = []
    times: list[list[float]] = []
    tokens: list[list[int]] = []
    now, out = 0.0, 0

    def send(until_s: float, freed_s: float) -> None:
        nonlocal out
        while len(sent) < len(lengths) and out < limit and send_s[len(sent)] <= until_s:
            index = len(sent)
            arrival_s = max(send_s[index], freed_s)
            scheduler.submit(Request(str(index), *lengths[index], arrival_s))
            sent.append(arrival_s)
            times.append([])
            tokens.append([])
            out += 1

    send(now, now)
    while out or len(sent) < len(lengths):
        step = scheduler.step(now)
        if step is None:
            now = _next_event(
                scheduler, send_s[len(sent)] if _room(sent, send_s, out, limit) else None
            )
            send(now, 0.0)
            continue
        now += step.duration_s
        send(now, 0.0)  # while the step ran, into the room that there was
        for rid, count, finished in step.emissions:
            index = int(rid)
            times[index].append(now)
            tokens[index].append(count)
            out -= finished
        send(now, now)
    return [
        Record(sent[i], lengths[i][0], times[i], tokens[i], lengths[i][1], times[i][-1])
        for i in range(len(lengths))
    ]


def _room(sent: list[float], send_s: tuple[float, ...], out: int, limit: int) -> bool:
    return len(sent) < len(send_s) and out < limit


def _next_event(scheduler: Scheduler, next_send_s: float | None) -> float:
    """When something happens to an idle scheduler: what is out is on its way, or yet to be sent."""
    return min(t for t in (scheduler.wake_s(), next_send_s) if t is not None)
