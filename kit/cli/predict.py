"""`kit predict`: a benchmark in virtual time. `kit fit`: its constants from a reader's runs."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.cli.shared import (
    Add,
    chosen_profile,
    given_workload,
    json_option,
    judged,
    machine_options,
    print_figures,
    print_json,
    say_progress,
    workload_options,
)

if TYPE_CHECKING:
    from kit.bench import Sample
    from kit.bench.fit import Fit


def add(add_command: Add) -> None:
    sub = add_command("predict", _predict, "the same in virtual time: no server, no GPU")
    machine_options(sub, like=False)
    sub.add_argument(
        "--like",
        metavar="RUN",
        help="the workload of a published run, e.g. cookbook-latency; on the run's own profile "
        "its figures are shown next to the prediction",
    )
    workload_options(sub)
    sub.add_argument("--accept-length", type=float, help="mean tokens of a verify step")
    sub.add_argument("--max-running-requests", type=int, help="the server's flag")
    sub.add_argument("--constants", metavar="FILE", help="of the speed model, from kit fit")
    json_option(sub)

    sub = add_command("fit", _fit, "refit the constants of kit predict to your own runs")
    sub.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="result lines of kit bench, sglang.bench_serving or vllm bench serve: FILE, or "
        "PROFILE=FILE where machines differ; or a folder of kit rehearse",
    )
    sub.add_argument("--profile", help="the machine of each FILE alone (kit profiles)")
    sub.add_argument("--out", type=Path, metavar="FILE", help="write the constants here")
    sub.add_argument("--sglang", help="the SGLang version that ran, where a line does not say it")
    json_option(sub)


def _predict(args: argparse.Namespace) -> int:
    from kit.bench import predict, published
    from kit.bench.compare import prediction_table
    from kit.hardware import SGLANG
    from kit.speed import Constants, SpeedModel

    chosen = chosen_profile(args)
    if args.max_running_requests is not None:
        chosen = replace(chosen, max_running_requests=args.max_running_requests)
    run = published(args.like, chosen, args.max_concurrency) if args.like else None
    version = args.sglang or (run.sglang if run else SGLANG)
    constants = Constants.read(args.constants) if args.constants else None
    report = predict(
        chosen,
        run or given_workload(args),
        args.sglang,
        accept_length=args.accept_length,
        speed=SpeedModel.of(chosen, version, constants),
        on_sample=_show_progress() if sys.stderr.isatty() else None,
    )
    if sys.stderr.isatty():
        say_progress("")
    report = judged(report, args)
    if run and run.profile.title == chosen.title and not args.json:
        print(f"{report}\n\n{prediction_table(report, run.report)}")
        return 0
    return print_figures(report, args)


def _show_progress() -> Callable[[Sample], None]:
    """Prints how far a simulation is, if it takes longer than two seconds."""
    printed_s = time.monotonic() + 1.0

    def show(sample: Sample) -> None:
        nonlocal printed_s
        if time.monotonic() > printed_s + 1.0:
            printed_s = time.monotonic()
            say_progress(f"{sample.finished} requests done, {sample.t_s:.0f} s in virtual time ")

    return show


def _fit(args: argparse.Namespace) -> int:
    from kit.bench.fit import OWN, fit
    from kit.bench.user_runs import fit_runs
    from kit.hardware import profile
    from kit.sizing.accounting import parse
    from kit.speed import Constants
    from kit.speed.constants import NAMES, machine

    runs = fit_runs(args.runs, profile(args.profile) if args.profile else None, args.sglang)
    kinds = " and ".join(sorted({str(run.report.provenance.kind) for run in runs}))
    versions = sorted({run.sglang for run in runs}, key=parse)
    several = len({machine(run.profile) for run in runs}) > 1
    found = fit(
        runs,
        Constants.fitted(versions[-1]),
        on_progress=_show_fit if sys.stderr.isatty() else None,
        version=f"{kinds}, SGLang {', '.join(versions)}",
        names=NAMES if several else OWN,
    )
    if sys.stderr.isatty():
        print(file=sys.stderr)
    if args.out:
        found.constants.write(args.out)
    if args.json:
        print_json(_json(found))
        return 0
    _print(found, args.out)
    return 0


def _show_fit(simulations: int, off: float) -> None:
    say_progress(f"{simulations} simulations of the runs, {off:.1%} off ")


def _print(found: Fit, out: Path | None) -> None:
    start = found.start.values()
    print(f"start: {found.start.origin}")
    print(f"{'':<28} {'start':>8} {'fitted':>8}   moved   of it from the runs")
    for name, share in found.known.items():
        value = found.constants.values()[name]
        moved = f"× {value / start[name]:.2f}"
        print(f"{name:<28} {start[name]:>8.4g} {value:>8g}  {moved}   {share:.0%}")
    if kept := [name for name in start if name not in found.known]:
        print(f"Kept at their start, as those of SGLang's kernels: {', '.join(kept)}.")
        print("Runs of several machines at once move them too.")
    if found.held:
        print(f"Too little in these runs to identify: {', '.join(found.held)}.")
        print("More help: a run at concurrency 1, one at full load, one with long prompts.")
    print(f"\n{'':<40} {'predicted':>10} {'given':>10}  ratio")
    for row in found.rows:
        label = f"{row.run} {row.key}"
        print(f"{label:<40} {row.predicted:>10,.2f} {row.given:>10,.2f}  {row.ratio:.3f}")
    print(f"simulated · roofline with constants fitted to {found.constants.origin}")
    if out:
        print(f"written: {out} (kit predict PROFILE --constants {out})")


def _json(found: Fit) -> dict[str, Any]:
    from kit.provenance import simulated

    return {
        "constants": found.constants.values(),
        "start": found.start.values(),
        "from_the_runs": found.known,
        "held": list(found.held),
        "rows": [{**asdict(row), "ratio": row.ratio} for row in found.rows],
        "provenance": simulated(f"constants fitted to {found.constants.origin}").to_json(),
    }
