"""A rehearsal carried out: the server of one rank started, measured, ended; every result kept.

What is measured, the cheapest first: prompts by length on an idle server, decode steps by batch (in
the server's own log), requests one at a time, as many at once as the plan takes, long prompts. Each
result is written as it comes, so that a run that is cut short leaves what it had.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any

from kit import server
from kit.bench.client import STALL_S
from kit.bench.client import run as measure
from kit.bench.measured import MeasuredRank, measured_rank
from kit.bench.report import Report
from kit.bench.workload import PLAIN_TOKENS, Workload
from kit.endpoint import connect
from kit.errors import KitError
from kit.launch.rehearsal import TINY, Rehearsal
from kit.server import Server, preflight
from kit.server.rehearse import prepare
from kit.text_file import append_line, write_text

ENDING_S = 15.0  # of the time, kept for ending the server
LONGEST, LONGEST_TINY = 8192, 256  # tokens of the longest prompts
PROMPTS = (16, 64, 256, 512, 1000, 2000, 4000, 8000)
BATCHES = (1, 2, 4, 8, 16, 32, 48, 64, 96, 128)
DECODE = (64, 160)  # tokens in and out of the requests whose steps are counted


@dataclass(frozen=True)
class RankWorkload(Workload):
    """A workload whose prompts keep to the words of a rank's vocabulary."""

    words: int = PLAIN_TOKENS

    def prompt(self, index: int) -> list[int]:
        return [token % self.words for token in super().prompt(index)]


def workloads(one: Rehearsal) -> Iterator[tuple[str, str, RankWorkload]]:
    """(kind, name, workload) of everything to measure, in order; no two share a prompt."""
    longest = LONGEST_TINY if one.name == TINY else LONGEST
    usual, at_once = min(1000, longest // 8), one.memory.max_running_requests
    seeds = count(1)

    def work(lengths: tuple[int, int], prompts: int, together: int, exact: float) -> RankWorkload:
        return RankWorkload(
            *lengths, prompts, together, seed=next(seeds), range_ratio=exact, words=one.words
        )

    for tokens in (n for n in PROMPTS if n <= longest):
        yield "prefill", f"{tokens} tokens", work((tokens, 1), 4, 1, 1.0)
    for batch in (*(n for n in BATCHES if n < at_once), at_once):
        yield "decode", f"{batch} at once", work(DECODE, batch, batch, 1.0)
    yield "run", "one at a time", work((usual, usual), 10, 1, 0.0)
    yield "run", f"at most {at_once} at once", work((usual, usual), 3 * at_once, at_once, 0.0)
    some = max(1, at_once // 4)
    yield "run", f"long prompts, {some} at once", work((longest // 2, longest // 64), 8, some, 1.0)


def rehearse(
    one: Rehearsal, folder: Path, minutes: float, say: Callable[[str], None] = print
) -> MeasuredRank:
    """Carry it out within `minutes`, into `folder`; what was measured.

    Ctrl-C ends it early and keeps what there is. Raises KitError where the folder is taken, or
    nothing was measured; LaunchError where the server does not come up in time.
    """
    if (folder / "results.jsonl").exists():
        raise KitError(
            f"{folder} holds a rehearsal already", f"kit rehearse --read {folder}, or another --out"
        )
    begun = monotonic()
    until = begun + 60 * minutes - ENDING_S
    command = prepare(one, folder)
    doing, done = "the start", False
    try:
        with server.launch(command, log=folder / "server.log") as running:
            say(f"the server starts; its log: {running.log}")
            running.wait(deadline_s=until - monotonic())
            _write_about(one, running, folder)
            _note(folder, {"kind": "start", "seconds": round(monotonic() - begun, 1)})
            for kind, name, work in workloads(one):
                doing = f"{kind}, {name}"
                say(f"{monotonic() - begun:6.1f} s  {doing}")
                report = _within(running, work, until - monotonic())
                if report is not None and report.completed:
                    _note(folder, _result(kind, name, report))
                if report is None or report.completed != work.num_prompts:
                    break
            else:
                done = True
    except KeyboardInterrupt:
        say("")
    if not done:
        _note(folder, {"kind": "stopped", "at": doing})
    return measured_rank(folder)


def _within(running: Server, work: Workload, left_s: float) -> Report | None:
    """The report, of what was done in time; None where that is nothing."""

    async def measured() -> Report:
        async with asyncio.timeout(max(left_s, 0.0)):
            return await measure(
                connect(running.url, quiet=True), work, dialect="native", stall_s=STALL_S
            )

    try:
        return asyncio.run(measured())
    except TimeoutError:
        return None


def _result(kind: str, name: str, report: Report) -> dict[str, Any]:
    if kind != "prefill":
        return {"kind": kind, "name": name, **report.to_json()}
    # The first prompt was the warm-up's, too: in the prefix cache, its kernels just compiled.
    times = [round(1e3 * r.ttft_s, 2) for r in report.records[1:] if r.ok]
    return {"kind": kind, "tokens": report.records[0].input_tokens, "ms": times}


def _note(folder: Path, result: dict[str, Any]) -> None:
    append_line(folder / "results.jsonl", json.dumps(result))


def _write_about(one: Rehearsal, running: Server, folder: Path) -> None:
    """What was started, as `kit.bench.measured` reads it."""
    info, driver, wanted = running.info(), preflight.driver(), one.plan.profile.gpu
    notes = list(one.notes)
    if driver and wanted.key not in re.sub(r"\W", "", driver.gpus[0].lower()):
        notes.append(f"the predictions are for {wanted.name}, which this GPU is not")
    about = {
        "profile": one.name,
        "mtp": one.plan.profile.mtp is not None,
        "sglang": info.get("version") or one.plan.sglang,
        "accept_length": one.accept_length,
        "random_ids": one.random_ids,
        "more_flags": one.more_flags,
        "machine": f"one {driver.gpus[0]}, driver {driver.version}" if driver else "a CPU",
        "attention_backend": info.get("attention_backend") or "SGLang's own choice of",
        "day": date.today().isoformat(),
        "notes": notes,
        "log": "server.log",
    }
    write_text(folder / "about.json", json.dumps(about, indent=1) + "\n")
