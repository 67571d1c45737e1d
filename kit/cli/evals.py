"""`kit eval`: how accurate a model is, and whether two runs differ."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kit.cli.shared import (
    Add,
    connected,
    endpoint_options,
    json_option,
    print_figures,
    say_progress,
)
from kit.errors import InvalidValue, KitError

if TYPE_CHECKING:
    from kit.evals import ProblemSet

SETS = ("gsm8k", "mmmu", "word-problems", "drawn-images")
_CHECK = 20
_ABOUT = "score a model on GSM8K, MMMU or generated problems; compare two results"


def add(add_command: Add) -> None:
    sub = add_command("eval", _eval, _ABOUT)
    sub.add_argument("what", choices=(*SETS, "compare"), help="a set, or compare A.jsonl B.jsonl")
    sub.add_argument("files", nargs="*", type=Path, help="for compare: two result files")
    endpoint_options(sub)
    sub.add_argument("--data", type=Path, help="a local file in the set's own format")
    sub.add_argument("--limit", type=int, help="the first N problems (default 200)")
    sub.add_argument(
        "--check", action="store_true", help=f"{_CHECK} problems: did a flag break the model?"
    )
    sub.add_argument("--shots", type=int, help="worked examples in the prompt (gsm8k: 5; else 0)")
    sub.add_argument("--via", choices=("chat", "generate"), default="chat")
    sub.add_argument(
        "--harness",
        choices=("kit", "sgl-eval"),
        default="kit",
        help="who asks and reads: the kit, or SGLang's own harness where it is installed",
    )
    sub.add_argument("--max-tokens", type=int, default=512)
    sub.add_argument("--temperature", type=float, default=0.0)
    sub.add_argument("--thinking", action="store_true", help="let the model think (chat)")
    sub.add_argument("--concurrency", type=int, default=32, help="requests at once")
    sub.add_argument("--seed", type=int, default=0, help="of generated problems")
    sub.add_argument("--out", type=Path, help="result file; an interrupted run goes on from it")
    sub.add_argument("--fresh", action="store_true", help="begin anew where --out exists")
    json_option(sub)


def _eval(args: argparse.Namespace) -> int:
    from kit.evals import compare, read_report

    if args.what == "compare":
        if len(args.files) != 2:
            raise InvalidValue("compare takes two files", "kit eval compare bf16.jsonl fp8.jsonl")
        return print_figures(compare(*map(read_report, args.files)), args)
    if args.files:
        raise InvalidValue(f"{args.files[0]}: which set is that?", f"--data {args.files[0]}")
    return _run(args)


def _run(args: argparse.Namespace) -> int:
    import asyncio

    from kit.evals import Settings, run, sgl_eval
    from kit.evals.run import refuse_twin

    settings = Settings(
        args.via, args.max_tokens, args.temperature, args.thinking or False, args.concurrency
    )
    endpoint = connected(args)
    refuse_twin(endpoint)
    limit = args.limit if args.limit is not None else (_CHECK if args.check else 200)
    problems = _problems(args, limit)
    if args.harness == "sgl-eval":
        return print_figures(asyncio.run(sgl_eval.run(endpoint, problems, settings)), args)
    out = args.out or Path(f"eval-{args.what}-{endpoint.model.rpartition('/')[2]}.jsonl")
    if args.fresh:
        out.unlink(missing_ok=True)
    progress = _progress if sys.stderr.isatty() else None
    try:
        report = asyncio.run(run(endpoint, problems, settings, out=out, on_progress=progress))
    except KeyboardInterrupt:
        print(f"\nstopped; {out} keeps the answers: the same command goes on", file=sys.stderr)
        return 130
    if progress is not None:
        print(file=sys.stderr)
    print_figures(report, args)
    if not args.json:
        print(f"every answer: {out}")
    return 0 if report.score.asked == len(problems.problems) else 1


def _problems(args: argparse.Namespace, limit: int) -> ProblemSet:
    from kit.evals import gsm8k, mmmu, word_problems

    shots = args.shots
    if shots is not None and shots < 0:
        raise InvalidValue(f"--shots {shots}", "0 or more")
    if limit < 1:
        raise InvalidValue(f"--limit {limit}: nothing to ask", "ask at least one: --limit 20")
    if args.what == "gsm8k":
        of_shots = gsm8k.SHOTS if shots is None else shots
        if args.data is not None:
            return gsm8k.read(args.data, of_shots).first(limit)
        try:
            return gsm8k.read(gsm8k.cached(), of_shots).first(limit)
        except KitError as problem:
            print(f"kit: {problem.what}; asking generated word problems", file=sys.stderr)
    if args.what == "mmmu":
        if args.data is None:
            raise KitError(
                "MMMU's files are parquet on the Hub, which this kit does not read",
                "export rows of MMMU/MMMU as JSON lines, and give --data FILE.jsonl",
            )
        return mmmu.read(args.data).first(limit)
    if args.what == "drawn-images":
        from kit.course.drawn_images import drawn_images

        return drawn_images().first(limit)
    return word_problems.generated(limit, args.seed)


def _progress(answered: int, right: int, asked: int) -> None:
    say_progress(f"{answered}/{asked} answered · {right} right")
