"""A workload run on the scheduler in virtual time: a benchmark without a server or a wait.

Between its steps the scheduler sees requests arrive as a client would send them. The answers
become records, and the records a report by the same code as for a measured run.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import replace

from kit.bench.metrics import report
from kit.bench.published import PublishedRun, published
from kit.bench.record import Record
from kit.bench.report import Report
from kit.bench.sampler import INTERVAL_S, Sample
from kit.bench.workload import Workload
from kit.hardware import SGLANG, Profile
from kit.hardware import profile as named_profile
from kit.provenance import simulated
from kit.scheduler import Request, Scheduler, Step
from kit.speed import SpeedModel
from kit.speed.bands import Quantity, band

_BANDED: dict[str, Quantity] = {
    "mean_ttft_ms": "ttft",
    "median_ttft_ms": "ttft",
    "mean_tpot_ms": "tpot",
    "median_tpot_ms": "tpot",
    "output_throughput": "throughput",
}


def simulate(
    profile: Profile,
    workload: Workload,
    sglang: str = SGLANG,
    *,
    accept_length: float | None = None,
    speed: SpeedModel | None = None,
    on_sample: Callable[[Sample], None] | None = None,
) -> Report:
    """The report that `workload` gives on `profile` under SGLang `sglang`, simulated.

    `on_sample` gets the run's samples, in virtual time. Raises InvalidValue when the profile does
    not fit, or a request never could.
    """
    scheduler = Scheduler.of(profile, sglang, accept_length, workload.seed, speed)
    records = drive(scheduler, workload, on_sample)
    found = report(
        records,
        duration_s=max(r.ended_s for r in records),
        provenance=simulated(f"{scheduler.speed.provenance.source}; scheduler of SGLang {sglang}"),
        workload=workload,
        accept_length=scheduler.accept_length,
    )
    return replace(found, bands=_bands(found, scheduler.speed))


def _bands(found: Report, speed: SpeedModel) -> dict[str, tuple[float, float]]:
    """(P10, P90) of the figures that published cells have, by their key."""
    out = {}
    for key, quantity in _BANDED.items():
        width = band(quantity, speed, found.concurrency or 1.0)
        value = found[key]
        if width is not None and value:
            out[key] = (value * width.p10, value * width.p90)
    return out


def predict(
    profile: Profile | str,
    like: str | Workload | PublishedRun = "cookbook-latency",
    sglang: str | None = None,
    *,
    accept_length: float | None = None,
    speed: SpeedModel | None = None,
    on_sample: Callable[[Sample], None] | None = None,
) -> Report:
    """What `profile` would give on a workload, or on that of a published run or of its own cell.

    A run's own version, radix state and accept length are honoured, unless given here; the
    radix state only where the version is the run's own. Raises UnknownName, InvalidValue.
    """
    machine = named_profile(profile) if isinstance(profile, str) else profile
    if isinstance(like, Workload):
        workload = like
    else:
        run = published(like, machine) if isinstance(like, str) else like
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
        on_sample=on_sample,
    )


def drive(
    scheduler: Scheduler, workload: Workload, on_sample: Callable[[Sample], None] | None = None
) -> list[Record]:
    """Send the workload through `scheduler` to the last token; one record per request, in order.

    At most `max_concurrency` requests are out at a time. One that ends makes room for the next
    at once: a client with no delay of its own. `on_sample` gets five samples per virtual second,
    and one at the end.
    """
    client = _Client(scheduler, workload)
    watch = _Watch(client, on_sample) if on_sample else None
    now = 0.0
    client.send(now, now)
    while client.busy:
        step = scheduler.step(now)
        if step is None:
            now = client.next_event_s()
            client.send(now, 0.0)
            continue
        now += step.duration_s
        client.send(now, 0.0)  # while the step ran, into the room that there was
        client.receive(step, now)
        client.send(now, now)
        if watch:
            watch.look(step, now)
    if watch:
        watch.sample(now)
    return client.records()


class _Client:
    """The sending side: which request may be sent when, and what has come back."""

    def __init__(self, scheduler: Scheduler, workload: Workload) -> None:
        self.scheduler = scheduler
        self.sent_s: list[float] = []
        self.times_s: list[array[float]] = []
        self.tokens: list[array[int]] = []
        self.out = 0
        self._work = workload
        self._limit = workload.max_concurrency or workload.num_prompts
        self._sinks: dict[str, tuple[Callable[[float], None], Callable[[int], None]]] = {}

    @property
    def busy(self) -> bool:
        return self.out > 0 or len(self.sent_s) < self._work.num_prompts

    @property
    def _next_s(self) -> float | None:
        """When the next request may be sent; None when none is left, or there is no room."""
        index = len(self.sent_s)
        if index == self._work.num_prompts or self.out == self._limit:
            return None
        return self._work.send_s[index]

    def send(self, until_s: float, freed_s: float) -> None:
        """Send what may be sent until `until_s`; not before `freed_s`, when room came."""
        while (due_s := self._next_s) is not None and due_s <= until_s:
            index, work = len(self.sent_s), self._work
            arrival_s = max(due_s, freed_s)
            rid, lengths = str(index), work.lengths[index]
            images = work.image_count if work.image_tokens else 1
            self.scheduler.submit(
                Request(rid, *lengths, arrival_s, work.image_tokens, images=images)
            )
            times, tokens = array("d"), array("H")
            self.sent_s.append(arrival_s)
            self.times_s.append(times)
            self.tokens.append(tokens)
            self._sinks[rid] = times.append, tokens.append
            self.out += 1

    def receive(self, step: Step, now_s: float) -> None:
        sinks = self._sinks
        for rid, count, finished in step.emissions:
            at, tokens = sinks[rid]
            at(now_s)
            tokens(count)
            if finished:
                self.out -= 1
                del sinks[rid]

    def next_event_s(self) -> float:
        """When something happens to an idle server: a request arrives, or is yet to be sent."""
        known = (self.scheduler.wake_s(), self._next_s)
        return min(at_s for at_s in known if at_s is not None)

    def records(self) -> list[Record]:
        work = self._work
        return [
            Record(
                sent,
                tokens_in,
                times,
                tokens,
                tokens_out,
                times[-1],
                image_tokens=work.image_tokens,
            )
            for sent, times, tokens, (tokens_in, tokens_out) in zip(
                self.sent_s, self.times_s, self.tokens, work.lengths, strict=True
            )
        ]


class _Watch:
    """Takes samples of the run, of the same kind as those of a measured one."""

    def __init__(self, client: _Client, on_sample: Callable[[Sample], None]) -> None:
        self._client = client
        self._on_sample = on_sample
        self._next_s = INTERVAL_S
        self._ttft_s: list[float] = []
        self._last: Step | None = None

    def look(self, step: Step, now_s: float) -> None:
        """Add a step that ended at `now_s`."""
        client = self._client
        if step.kind == "prefill":
            for rid, _, _ in step.emissions:
                index = int(rid)
                if len(client.times_s[index]) == 1:  # not one that returns from a retraction
                    self._ttft_s.append(now_s - client.sent_s[index])
        else:
            self._last = step
        if now_s >= self._next_s:
            self.sample(now_s)
            self._next_s = now_s + INTERVAL_S

    def sample(self, now_s: float) -> None:
        client, scheduler = self._client, self._client.scheduler
        self._on_sample(
            Sample(
                t_s=now_s,
                sent=len(client.sent_s),
                finished=len(client.sent_s) - client.out,
                failed=0,
                in_flight=client.out,
                output_tokens=scheduler.generated_tokens,
                running=scheduler.running,
                queued=scheduler.queued,
                ttft_s=tuple(self._ttft_s),
                itl_s=tuple(self._gaps()),
            )
        )
        self._ttft_s, self._last = [], None

    def _gaps(self) -> Iterator[float]:
        """The newest gap of each answer of the last decode, per token."""
        for rid, _, _ in self._last.emissions if self._last else ():
            times, tokens = self._client.times_s[int(rid)], self._client.tokens[int(rid)]
            yield (times[-1] - times[-2]) / tokens[-1]
