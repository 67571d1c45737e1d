"""A reader's own runs, from result files, as `fit` takes them: report, machine, workload.

A result line does not say which machine it was measured on: `kit fit` asks for it. A folder of
`kit rehearse` does: its runs and its single prompts are those of one rank alone. bench_serving's
lines leave out the seed: the lengths are drawn again with its default seeds, and must give the
line's totals. vLLM's lines leave out the lengths: its random data set has exact ones by default.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kit.bench.measured import MeasuredRank, measured_rank, recorded
from kit.bench.metric_list import HEADLINE
from kit.bench.published import PublishedRun
from kit.bench.report import Report, Stats
from kit.bench.result_file import read, request_rate
from kit.bench.workload import DATASETS, Workload
from kit.errors import InvalidValue
from kit.hardware import SGLANG, Profile
from kit.hardware import profile as named_profile

SEEDS = (42, 1)  # bench_serving's default since 0.5.14, and before


def fit_runs(
    given: Sequence[str], profile: Profile | None, sglang: str | None = None
) -> list[PublishedRun]:
    """Runs of several machines: each of `given` is a result file on `profile`, PROFILE=FILE, or
    a folder of `kit rehearse` (or the name of one that the kit carries).

    Raises InvalidValue for a file without a profile, and as `user_runs` and `measured_rank` do.
    """
    runs: list[PublishedRun] = []
    for one in given:
        name, is_pair, file = one.partition("=")
        if (Path(one) / "about.json").is_file() or one in recorded():
            runs += rank_runs(measured_rank(one))
        elif is_pair and not Path(one).exists():
            runs += user_runs([file], named_profile(name), sglang)
        elif profile is None:
            raise InvalidValue(
                f"which machine ran {one}? A result line does not say",
                f"name it: kit fit {one} --profile h200x8, or kit fit h200x8={one} "
                "(kit profiles lists them)",
            )
        else:
            runs += user_runs([one], profile, sglang)
    return runs


def rank_runs(found: MeasuredRank) -> list[PublishedRun]:
    """The runs of a rehearsal, and each of its single prompts (the best of several) as one."""
    reports = dict(found.runs)
    for tokens, times_ms in found.prefill_ms.items():
        reports[f"{tokens} tokens"] = Report(
            found.provenance,
            workload=Workload(tokens, 1, 1, range_ratio=1.0),
            ttft=Stats(mean=min(times_ms)),
        )
    rank = found.rehearsal.rank
    return [
        PublishedRun(
            name=f"{found.name} {name}",
            profile=rank,
            sglang=found.rehearsal.plan.sglang,
            accept_length=report.accept_length,
            workload=report.workload,
            command="",
            source=str(found.provenance),
            report=report,
            group=found.name,
        )
        for name, report in reports.items()
        if report.workload
    ]


def user_runs(
    paths: Sequence[str | Path], profile: Profile, sglang: str | None = None
) -> list[PublishedRun]:
    """The runs of result files, all on `profile`. `sglang` is the version, where no line says it.

    Raises KitError for a file that cannot be read, InvalidValue for a line that is no whole run.
    """
    runs = []
    for path in map(Path, paths):
        reports = read(path)
        for number, report in enumerate(reports, 1):
            name = path.name if len(reports) == 1 else f"{path.name}:{number}"
            runs.append(_run(name, report, profile, sglang))
    if not runs:
        raise InvalidValue(
            f"no runs in {', '.join(map(str, paths))}", "give the .jsonl that a benchmark wrote"
        )
    return runs


def _run(name: str, report: Report, machine: Profile, sglang: str | None) -> PublishedRun:
    line = report.to_json()
    lacking = [key for key in HEADLINE if not line.get(key)]
    if lacking:
        raise InvalidValue(
            f"{name} has no {', '.join(lacking)}", "a fit needs a run with its usual rows"
        )
    if report.failed:
        raise InvalidValue(
            f"{name}: {report.failed} requests failed",
            "take them out, or run it again: a fit would take the load that was missing for speed",
        )
    served = report.arguments.get("server_info")
    profile, version = _as_served(machine, served if isinstance(served, dict) else {})
    workload = report.workload or _drawn_again(name, report)
    return PublishedRun(
        name=name,
        profile=profile,
        sglang=sglang or version or SGLANG,
        accept_length=report.accept_length if profile.mtp else None,
        workload=workload,
        command="",
        source=str(report.provenance),
        report=report,
    )


def _as_served(machine: Profile, info: dict[str, Any]) -> tuple[Profile, str | None]:
    """`machine` with what the server said of itself, and the server's version."""
    changes: dict[str, Any] = {}
    if info.get("disable_radix_cache") is not None:
        changes["radix_cache"] = not info["disable_radix_cache"]
    if info.get("max_running_requests") is not None:
        changes["max_running_requests"] = info["max_running_requests"]
    if "speculative_algorithm" in info and info["speculative_algorithm"] is None:
        changes["mtp"] = None
    return replace(machine, **changes), info.get("version")


def _drawn_again(name: str, report: Report) -> Workload:
    asked, count = report.arguments, report.completed
    totals = report.total_input_tokens, report.total_output_tokens
    if not count or None in totals:
        raise InvalidValue(f"{name} does not say its requests and tokens", "keep the whole line")
    rate = request_rate(asked)
    if rate is None:
        raise InvalidValue(
            f"{name}: its request_rate is {asked.get('request_rate')!r}, and its arrival times are "
            "not in the line: the run cannot be drawn again",
            "fit takes runs at a rate per second, or with a limit of requests in flight",
        )
    about: dict[str, Any] = {
        "num_prompts": count,
        "max_concurrency": asked.get("max_concurrency"),
        "request_rate": rate,
    }
    if asked.get("dataset_name") in DATASETS and asked.get("random_input_len"):
        return _by_seed(name, asked, about, totals)
    lengths = [divmod(total or 0, count) for total in totals]
    if any(rest for _, rest in lengths):
        raise InvalidValue(
            f"{name}: lengths that vary, and the line does not say how",
            "fit takes runs with exact lengths (vLLM's random data set), or of bench_serving",
        )
    (tokens_in, _), (tokens_out, _) = lengths
    return Workload(tokens_in, tokens_out, range_ratio=1.0, seed=0, **about)


def _by_seed(
    name: str, asked: dict[str, Any], about: dict[str, Any], totals: tuple[int | None, int | None]
) -> Workload:
    for seed in SEEDS:
        drawn = Workload(
            asked["random_input_len"],
            asked["random_output_len"],
            seed=seed,
            range_ratio=asked.get("random_range_ratio") or 0.0,
            dataset=asked["dataset_name"],
            **about,
        )
        if (drawn.total_input_tokens, drawn.total_output_tokens) == totals:
            return drawn
    raise InvalidValue(
        f"{name}: neither seed {' nor '.join(map(str, SEEDS))} draws its {totals[0]} tokens in and "
        f"{totals[1]} out",
        'add "seed": N to the line, the seed that the run had',
    )
