"""What several commands have in common: options, the endpoint, how figures are printed."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from kit.errors import UNSHOWABLE, InvalidValue
from kit.http import checked_key

if TYPE_CHECKING:
    from kit.bench import Report, Workload
    from kit.endpoint import Endpoint
    from kit.hardware import Profile

MAX_KEY = 65_536  # characters: no header is longer

Command = Callable[[argparse.Namespace], int]
# Adds a command by name, function and description; returns its parser, for its options.
Add = Callable[[str, Command, str], argparse.ArgumentParser]


class Figures(Protocol):
    def to_json(self) -> dict[str, Any]: ...


def json_option(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--json", action="store_true", help="figures as JSON, with provenance")


def mtp_and_version(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--no-mtp", action="store_true", help="without multi-token prediction")
    sub.add_argument("--sglang", help="SGLang version (default: the newest known)")


def machine_options(sub: argparse.ArgumentParser, like: bool = True) -> None:
    """The machine: a named profile, or a model on so many GPUs. Where `like` is False, the name
    is taken: a GPU with figures of its own is then like `--gpu`."""
    sub.add_argument("profile", nargs="?", help="a named profile (kit profiles)")
    sub.add_argument(
        "--model", help="instead of a profile: 397b … 0.8b, a Hub name, a folder or config.json"
    )
    sub.add_argument("--precision", help="bf16, fp8, nvfp4, mxfp4, gptq-int4 (default bf16)")
    sub.add_argument("--gpu", help="h100, h200, b200, rtx4090, … as nvidia-smi writes it too")
    sub.add_argument("--count", type=int, default=8, help="GPUs in all (default 8)")
    sub.add_argument("--gpu-memory-gib", type=float, metavar="N", help="of a GPU not in the list")
    sub.add_argument("--bandwidth-gb-s", type=float, metavar="N", help="its memory's")
    if like:
        sub.add_argument(
            "--like", metavar="GPU", help="what else it is like (default: the nearest)"
        )
    mtp_and_version(sub)


def chosen_profile(args: argparse.Namespace) -> Profile:
    """The profile that `machine_options` or `twin_machine_options` describe.

    Raises InvalidValue, UnknownName.
    """
    from kit.hardware import Profile, described, profile
    from kit.models import checkpoint

    figures = (getattr(args, "gpu_memory_gib", None), getattr(args, "bandwidth_gb_s", None))
    own = figures != (None, None)
    if own and args.gpu and getattr(args, "like", None):
        raise InvalidValue("--gpu and --like name two GPUs", "give one of them")
    if args.profile and (args.model or args.gpu or own or args.precision):
        raise InvalidValue("a profile and its parts are two answers", "give one of them")
    if args.profile:
        chosen = profile(args.profile)
    elif args.model and (args.gpu or own):
        like = args.gpu or getattr(args, "like", None)
        card = described(*figures, like) if own else args.gpu
        spec, stored = checkpoint(args.model)
        if args.precision and stored and args.precision != stored:
            raise InvalidValue(
                f"{args.model} is stored in {stored}", "leave --precision out, or name another one"
            )
        chosen = Profile.of(spec, args.precision or stored or "bf16", card, args.count)
    else:
        raise InvalidValue(
            "which machine?", "name one (kit profiles), or give --model 397b --gpu h100 --count 8"
        )
    return replace(chosen, mtp=None) if getattr(args, "no_mtp", False) else chosen


def endpoint_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--url", help="a server's address (default: the best there is; else the twin)")
    sub.add_argument(
        "--key-file",
        type=key_in,
        dest="key",
        metavar="FILE",
        help="its API key is in this file, or comes on standard input: - (default: KIT_API_KEY)",
    )
    # a key as an option would stand in the process list, for everyone on the machine
    sub.add_argument("--key", "--api-key", action=KeyAsOption, nargs="?", help=argparse.SUPPRESS)
    sub.add_argument("--model", help="the model's name, where the server has several")
    sub.add_argument("--profile", help="the machine that the twin simulates (default h200x8)")
    sub.add_argument("--speed", type=float, help="the twin's clock: 2 is twice real time")


class KeyAsOption(argparse.Action):
    """Refuses a key on the command line, without repeating it."""

    def __call__(self, *_: object) -> None:
        raise InvalidValue(
            "a key on the command line can be read by everyone on this machine",
            "export KIT_API_KEY=…, or give a file that holds it: --key-file FILE",
        )


def key_in(file: str) -> str:
    """The key that is the first line of a file, or of standard input for "-"."""
    if file == "-":
        return checked_key(sys.stdin.readline().strip())
    try:
        with Path(file).expanduser().open(encoding="utf-8", errors="replace") as lines:
            return checked_key(lines.readline(MAX_KEY).strip())
    except OSError as problem:
        raise InvalidValue(f"{file}: {problem.strerror}", "name the file with the key") from None


def twin_machine_options(sub: argparse.ArgumentParser) -> None:
    """The machine that the twin simulates, in parts as `kit size` takes it; `--model` is its."""
    sub.add_argument("--gpu", help="the twin's machine: h100, h200, …; --model is then its model")
    sub.add_argument("--precision", help="of that machine's checkpoint (default bf16)")
    sub.add_argument("--count", type=int, default=8, help="GPUs of that machine (default 8)")


def workload_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--input-len", type=int, default=1000, help="longest prompt, tokens")
    sub.add_argument("--output-len", type=int, default=1000, help="longest answer, tokens")
    sub.add_argument("--num-prompts", type=int, default=10)
    sub.add_argument("--max-concurrency", type=int, help="requests in flight at most")
    sub.add_argument("--request-rate", type=float, default=float("inf"), help="per second")
    sub.add_argument(
        "--ramp", type=float, nargs=2, metavar=("FROM", "TO"), help="a rate that grows, per second"
    )
    sub.add_argument("--dataset", choices=("random", "random-ids", "image"), default="random")
    sub.add_argument("--image-count", type=int, default=1, help="images in each request")
    sub.add_argument(
        "--image-resolution", default="720p", help="360p, 720p, 1080p, 4k, or HEIGHTxWIDTH"
    )
    sub.add_argument("--seed", type=int, default=42, help="42 as in SGLang ≥ 0.5.14; 1 before")
    sub.add_argument("--range-ratio", type=float, default=0.0, help="shortest/longest; 1 = exact")
    sub.add_argument(
        "--goodput",
        nargs="+",
        default=[],
        metavar="NAME:MS",
        help="count who was served in time: ttft:200 tpot:20 e2el:5000",
    )


def print_json(figures: Any) -> None:
    text = json.dumps(figures, indent=2, ensure_ascii=False)
    print(UNSHOWABLE.sub(lambda one: one[0] if one[0] == "\n" else f"\\u{ord(one[0]):04x}", text))


def say_progress(text: str) -> None:
    """One line on stderr that is overwritten; empty at the end."""
    print(f"\r{text}\x1b[K", end="", file=sys.stderr, flush=True)


def given(args: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Those of the options that were given."""
    return {name: value for name in names if (value := getattr(args, name, None)) is not None}


def version(args: argparse.Namespace) -> str:
    from kit.hardware import SGLANG

    return args.sglang or SGLANG


def connected(args: argparse.Namespace) -> Endpoint:
    from kit.endpoint import connect

    chosen = given(args, "profile", "speed")
    quiet = getattr(args, "json", False)  # what it prints is then all figures
    if getattr(args, "gpu", None) or getattr(args, "precision", None):
        if args.url:
            raise InvalidValue(
                "--gpu and --precision describe the twin, --url another server",
                "kit bench --model 27b --precision fp8 --gpu h100 --count 1",
            )
        return connect("twin", **{**chosen, "profile": chosen_profile(args).title}, quiet=quiet)
    return connect(args.url, args.key, args.model, **chosen, quiet=quiet)


def given_workload(args: argparse.Namespace) -> Workload:
    from kit.bench import Workload

    given = {field.name: getattr(args, field.name) for field in fields(Workload)}
    return Workload(**{**given, "ramp": args.ramp and tuple(args.ramp)})


def judged(report: Report, args: argparse.Namespace) -> Report:
    """The report, held against the SLO that was given."""
    from kit.bench import Slo

    return replace(report, judged=report.judge(Slo.parse(args.goodput))) if args.goodput else report


def print_figures(found: Figures, args: argparse.Namespace) -> int:
    """As JSON where that is asked for, else as text."""
    if args.json:
        print_json(found.to_json())
    else:
        print(found)
    return 0
