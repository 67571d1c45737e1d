"""`kit plan`: from a target to the machines that hold it, and what they cost."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from kit.cli.shared import Add, json_option, print_json, say_progress, version

if TYPE_CHECKING:
    from kit.capacity.plan import Progress

_QUIET_S = 2.0


def add(add_command: Add) -> None:
    sub = add_command("plan", _plan, "which machines hold a target, how many, and at what cost")
    who = sub.add_argument_group("who asks (one of the three)")
    who.add_argument("--users", type=int, metavar="N", help="each sends when its answer is there")
    who.add_argument("--rate", type=float, metavar="R", help="requests per second, Poisson")
    who.add_argument(
        "--trace",
        type=Path,
        metavar="FILE",
        help="Mooncake's JSON lines, replayed as they came; or a result line of bench_serving "
        "--output-details, whose lengths --users or --rate send",
    )
    who.add_argument(
        "--think-s",
        type=float,
        default=0.0,
        metavar="S",
        help="mean seconds between an answer and its user's next request (default 0: as many "
        "requests at once as users)",
    )
    what = sub.add_argument_group("for what")
    what.add_argument("--input-len", type=int, metavar="N", help="mean tokens of a prompt")
    what.add_argument("--output-len", type=int, metavar="N", help="mean tokens of an answer")
    what.add_argument("--spread", type=float, default=0.2, help="of lengths around that (0.2)")
    what.add_argument("--shared-prefix", type=int, default=0, metavar="N", help="tokens alike")
    what.add_argument("--image-share", type=float, default=0.0, help="of requests, 0 to 1")
    what.add_argument("--image-resolution", default="720p", help="360p, 720p, 1080p, 4k, …")
    what.add_argument("--context", type=int, help="tokens that one request must be able to reach")
    how = sub.add_argument_group("promised what")
    how.add_argument("--ttft-ms", type=float, metavar="MS", help="time to the first token")
    how.add_argument("--tpot-ms", type=float, metavar="MS", help="time of each further token")
    how.add_argument("--percentile", type=float, default=90.0, help="of requests (default 90)")
    on = sub.add_argument_group("on what")
    on.add_argument("--model", action="append", help="397b (default) … 0.8b; again for more")
    on.add_argument("--gpu", action="append", help="default: those of the cookbook's matrix")
    on.add_argument("--precision", action="append", help="bf16, fp8, …; default: all there are")
    on.add_argument("--max-gpus", type=int, metavar="N", help="no more than these in all")
    on.add_argument(
        "--price",
        action="append",
        nargs="+",
        default=[],
        metavar="GPU=X",
        help="per GPU and hour, in your currency: ranks by cost; no price is built in",
    )
    sub.add_argument("--sglang", help="SGLang version (default: the newest known)")
    sub.add_argument("--seed", type=int, default=42)
    sub.add_argument("--export", type=Path, metavar="DIR", help="write the best one's launch plans")
    json_option(sub)


def _plan(args: argparse.Namespace) -> int:
    from kit.capacity import Target, capacity_plan, export, read_trace
    from kit.capacity.prices import Prices
    from kit.capacity.target import FIELDS
    from kit.errors import InvalidValue

    prices = Prices.parse([text for some in args.price for text in some])
    if args.max_gpus is not None and args.max_gpus < 1:
        raise InvalidValue(f"{args.max_gpus} GPUs at most", "give 1 or more")
    target = Target(
        trace=read_trace(args.trace) if args.trace else None,
        **{name: getattr(args, name) for name in FIELDS},
    )
    found = capacity_plan(
        target,
        args.model or ("397b",),
        args.gpu,
        args.precision,
        prices,
        version(args),
        args.max_gpus,
        on_progress=_show_progress(),
    )
    if sys.stderr.isatty():
        say_progress("")
    complaint = found.complaint
    written = export(found, args.export) if args.export and not complaint else []
    if args.json:
        print_json({**found.to_json(), "files": [str(path) for path in written]})
    elif not complaint:
        print(found, *(f"written: {path}" for path in written), sep="\n")
    if complaint:
        raise complaint
    return 0


def _show_progress() -> Progress:
    """Says on stderr how far it is, once it has taken two seconds."""
    began_s = printed_s = time.monotonic()
    tty = sys.stderr.isatty()

    def show(done: int, of: int, title: str) -> None:
        nonlocal printed_s
        now_s = time.monotonic()
        if now_s - began_s < _QUIET_S or now_s - printed_s < (0.2 if tty else _QUIET_S):
            return
        printed_s = now_s
        text = f"{done} of {of} profiles judged" + (f", next {title}" if title else "")
        if tty:
            say_progress(text)
        else:
            print(text, file=sys.stderr, flush=True)

    return show
