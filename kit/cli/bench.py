"""`kit bench`: measure a server."""

from __future__ import annotations

import argparse
import json
import sys
from collections import deque
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from kit.cli.shared import (
    Add,
    connected,
    endpoint_options,
    given_workload,
    json_option,
    judged,
    print_figures,
    say_progress,
    twin_machine_options,
    workload_options,
)
from kit.errors import InvalidValue, KitError
from kit.text_file import append_line

if TYPE_CHECKING:
    from kit.bench import Report, Sample

# Exit codes: requests failed; Ctrl-C. Either way the report of what there is gets printed.
INCOMPLETE, STOPPED = 1, 130
_WINDOW = 10  # samples that the shown rate is taken over: two seconds


def add(add_command: Add) -> None:
    sub = add_command("bench", _bench, "measure a server as sglang.bench_serving does")
    workload_options(sub)
    endpoint_options(sub)
    twin_machine_options(sub)
    sub.add_argument(
        "--dialect",
        choices=("auto", "native", "chat"),
        default="auto",
        help="SGLang's /generate, or chat completions (default: the former where there is one)",
    )
    sub.add_argument("--out", type=Path, help="append the result line to this .jsonl")
    sub.add_argument(
        "--stall-s",
        type=float,
        metavar="S",
        help="seconds without a token after which a request has failed (300; the warm-up 30)",
    )
    json_option(sub)


def _bench(args: argparse.Namespace) -> int:
    import asyncio

    from kit.bench import Slo, measure

    workload = given_workload(args)
    if args.goodput:
        Slo.parse(args.goodput)  # a mistake there is reported before the run, not after it
    if args.stall_s is not None and not 0 < args.stall_s < inf:
        raise InvalidValue(f"--stall-s {args.stall_s:g}", "give seconds, more than 0")
    if args.out is not None:
        _insist_on_place(args.out)
    server = connected(args)
    progress = Progress(workload.num_prompts) if sys.stderr.isatty() else None
    report = asyncio.run(
        measure(server, workload, on_sample=progress, dialect=args.dialect, stall_s=args.stall_s)
    )
    if progress is not None:
        progress.end()
    try:
        print_figures(judged(report, args), args)
        sys.stdout.flush()
    finally:  # whatever became of the one, the other is still there
        if args.out is not None:
            append_line(args.out, json.dumps(judged(report, args).to_json()))
    return _code(report, workload.num_prompts)


def _code(report: Report, asked: int) -> int:
    if (report.completed or 0) + report.failed < asked:
        return STOPPED
    return INCOMPLETE if report.failed else 0


def _insist_on_place(path: Path) -> None:
    """Open the file for the result line before the run: a wrong path must not cost one."""
    try:
        path.open("ab").close()
    except OSError as error:
        raise KitError(
            f"{path}: {error.strerror}", "give --out a file that can be written"
        ) from error


class Progress:
    """One line on stderr that is overwritten: how far the run is, and how fast."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._last: deque[Sample] = deque(maxlen=_WINDOW)

    def __call__(self, sample: Sample) -> None:
        say_progress(self.line(sample))

    def line(self, sample: Sample) -> str:
        """`12/40 requests · 2 failed · 8 in flight · 3 queued · 1,234 tok/s · 5 s`"""
        self._last.append(sample)
        first = self._last[0]
        took_s = sample.t_s - first.t_s
        parts = [f"{sample.finished}/{self._total} requests"]
        parts += [f"{sample.failed} failed"] if sample.failed else []
        parts += [f"{sample.in_flight} in flight"]
        parts += [f"{sample.queued} queued"] if sample.queued is not None else []
        if took_s > 0:
            rate = (sample.output_tokens - first.output_tokens) / took_s
            parts.append(f"{rate:,.0f} {'tok' if sample.counted else 'chunks'}/s")
        return " · ".join([*parts, f"{sample.t_s:.0f} s"])

    def end(self) -> None:
        print(file=sys.stderr)
