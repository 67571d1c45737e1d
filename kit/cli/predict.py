"""`kit predict`: a benchmark in virtual time."""

from __future__ import annotations

import argparse

from kit.cli.shared import (
    Add,
    given_workload,
    json_option,
    judged,
    print_report,
    workload_options,
)


def add(add_command: Add) -> None:
    sub = add_command("predict", _predict, "the same in virtual time: no server, no GPU")
    sub.add_argument("profile")
    sub.add_argument("--like", metavar="RUN", help="a published run, e.g. cookbook-latency")
    workload_options(sub)
    sub.add_argument("--sglang", help="the SGLang version to play")
    json_option(sub)


def _predict(args: argparse.Namespace) -> int:
    from kit.bench import predict

    like = args.like if args.like else given_workload(args)
    report = predict(args.profile, like=like, sglang=args.sglang)
    return print_report(judged(report, args), args)
