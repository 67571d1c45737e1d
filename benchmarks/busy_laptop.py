"""Lessons 00 and 07 measured on an idle and on a busy computer, beside the simulation: row by row.

python benchmarks/busy_laptop.py [--busy N] [--json]

Each run has a twin of its own. The busy ones run beside N processes that do nothing but use a
core, at normal priority; by default one per core.
"""

import argparse
import asyncio
import contextlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import kit
from kit import bench, chat
from kit.bench import Report, Workload
from kit.twin.process import start
from kit.views.reply import Tally

LOOP = "while True: pass"
ROWS = (
    *("mean_ttft_ms", "median_ttft_ms", "p99_ttft_ms", "mean_tpot_ms", "p99_tpot_ms"),
    *("mean_itl_ms", "p99_itl_ms", "mean_e2e_latency_ms", "duration", "request_throughput"),
    *("output_throughput", "concurrency", "accept_length"),
)


@dataclass(frozen=True)
class Case:
    """A benchmark as a lesson runs it."""

    name: str
    workload: Workload
    speed: float
    sglang: str


def cases() -> list[Case]:
    newest = bench.published("cookbook-0516", kit.profile("h200x8"))
    alone, crowd = bench.published("cookbook-latency"), bench.published("cookbook-throughput")
    short = replace(crowd.workload, num_prompts=120)
    return [
        Case("00: one at a time", newest.workload, 2.0, kit.hardware.SGLANG),
        Case("07: one at a time", alone.workload, 10.0, alone.sglang),
        Case("07: a hundred at a time", short, 10.0, alone.sglang),
    ]


@contextlib.contextmanager
def busy(cores: int) -> Iterator[None]:
    """Processes that keep as many cores busy."""
    loops = [subprocess.Popen([sys.executable, "-c", LOOP]) for _ in range(cores)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def measured(case: Case) -> tuple[Report, float]:
    """The report, and the seconds that it took."""
    twin = start("h200x8", case.speed, sglang=case.sglang)
    try:
        endpoint, began_s = kit.connect(twin.url, quiet=True), time.monotonic()
        return asyncio.run(bench.measure(endpoint, case.workload)), time.monotonic() - began_s
    finally:
        twin.close()


def streamed() -> dict[str, float | None]:
    """TTFT and rate of one answer, as a widget counts them."""
    twin = start("h200x8")
    try:
        endpoint = kit.connect(twin.url, quiet=True)
        tally = Tally("?", chat.stream(endpoint, "What is 15% of 240?"))
        for _ in tally:
            pass
        return {"ttft_ms": tally.ttft_ms, "tokens_per_s": tally.tokens_per_s}
    finally:
        twin.close()


def apart(one: float, other: float) -> float:
    return abs(one / other - 1) if other else float(one != other)


def rounded(ms: tuple[float, float] | None) -> list[float]:
    return [round(one, 1) for one in ms or ()]


def compared(case: Case, cores: int) -> dict[str, object]:
    idle, idle_s = measured(case)
    with busy(cores):
        late, late_s = measured(case)
    simulated = bench.simulate(kit.profile("h200x8"), case.workload, case.sglang)
    rows = {row: (idle[row], late[row], simulated[row]) for row in ROWS}
    return {
        "case": case.name,
        "rows": rows,
        "busy_apart": max(apart(busy_, idle_) for idle_, busy_, _ in rows.values()),
        "simulated_apart": max(apart(busy_, sim) for _, busy_, sim in rows.values()),
        "late_ms": {"idle": rounded(idle.late_ms), "busy": rounded(late.late_ms)},
        "took_s": {"idle": round(idle_s, 1), "busy": round(late_s, 1)},
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--busy", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    found = [compared(case, args.busy) for case in cases()]
    answer = streamed()
    with busy(args.busy):
        busy_answer = streamed()
    worst = max(float(str(one["busy_apart"])) for one in found)
    source = (
        f"this machine, {os.cpu_count()} cores, load {load} at the start, {args.busy} busy loops, "
        f"Python {platform.python_version()}"
    )
    if args.json:
        answers = {"idle": answer, "busy": busy_answer}
        provenance = {"kind": "measured", "source": source}
        print(json.dumps({"runs": found, "answer": answers, "provenance": provenance}, indent=2))
        return
    for one in found:
        _print(one)
    print(f"\none answer, idle: {answer}\none answer, busy: {busy_answer}")
    print(f"\nlargest difference between busy and idle: {worst:.3%}\nmeasured · {source}")


def _print(one: dict[str, object]) -> None:
    print(f"\n{one['case']:<24}{'idle':>14}{'busy':>14}{'simulated':>14}")
    for row, figures in one["rows"].items():  # type: ignore[attr-defined]
        print(f"{row:<24}" + "".join(f"{figure:>14,.3f}" for figure in figures))
    print(f"largest difference: busy {one['busy_apart']:.3%} from idle, "
          f"{one['simulated_apart']:.3%} from simulated")  # fmt: skip
    print(f"late by the wall clock, median and P99 in ms: {one['late_ms']}; took {one['took_s']} s")


if __name__ == "__main__":
    main()
