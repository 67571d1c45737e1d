"""`kit …`: a thin door to the functions of the kit.

Each command prints text for a person, or JSON with --json where it prints figures.
A KitError ends it with two lines on stderr and exit code 2.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kit.errors import InvalidValue, KitError

if TYPE_CHECKING:
    from kit.bench import Report, Workload
    from kit.endpoint import Endpoint
    from kit.hardware import Profile


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it did what was asked."""
    parser = _parser()
    args = parser.parse_args(argv)
    if not hasattr(args, "command"):
        parser.print_help()
        return 0
    command: Callable[[argparse.Namespace], int] = args.command
    try:
        return command(args)
    except KitError as error:
        print(f"kit: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kit", description="Serving Qwen3.5 with SGLang, hands on.", allow_abbrev=False
    )
    commands = parser.add_subparsers(metavar="COMMAND")

    def add(
        name: str, command: Callable[[argparse.Namespace], int], about: str
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=about, description=about, allow_abbrev=False)
        sub.set_defaults(command=command)
        return sub

    sub = add("profiles", _profiles, "the named profiles, one a line")
    _json(sub)

    sub = add("size", _size, "does it fit: the memory plan of a profile, rank by rank")
    sub.add_argument("profile", nargs="?", help="a named profile (kit profiles)")
    sub.add_argument("--model", help="instead of a profile: 397b, 122b, 35b, 27b, 9b, …")
    sub.add_argument("--precision", default="bf16", help="bf16, fp8, nvfp4, mxfp4, gptq-int4")
    sub.add_argument("--gpu", help="h100, h200, b200, …")
    sub.add_argument("--count", type=int, default=8, help="GPUs in all (default 8)")
    sub.add_argument("--context", type=int, help="context length in tokens")
    _mtp_and_version(sub)
    _json(sub)

    sub = add("command", _command, "the command that launches a profile, a reason for each flag")
    sub.add_argument("profile")
    sub.add_argument(
        "--form",
        default="shell",
        help="shell (with reasons), docker, compose, slurm, k8s or skypilot",
    )
    _mtp_and_version(sub)
    _json(sub)

    sub = add("serve", _serve, "start the real server of a profile, follow it, end it on Ctrl-C")
    sub.add_argument("profile", help="a named profile, or cpu-tiny (make sglang-cpu)")
    sub.add_argument("--port", type=int, default=30000)
    sub.add_argument("--docker", action="store_true", help="in SGLang's container")
    sub.add_argument("--sglang", help="SGLang version (default: the newest known)")

    sub = add("stop", _stop, "end the servers that this kit started")
    sub.add_argument("--port", type=int, help="only the one on this port")

    sub = add("twin", _twin, "serve the twin, a simulated SGLang, until Ctrl-C")
    sub.add_argument("profile", nargs="?", default="h200x8")
    sub.add_argument("--port", type=int, default=30000, help="0 takes a free one")
    sub.add_argument("--speed", type=float, default=1.0, help="how many times faster than life")
    sub.add_argument("--fault", help="misbehave on purpose")
    sub.add_argument("--sglang", help="the SGLang version to play")

    sub = add("chat", _chat, "ask one question and watch the answer stream")
    sub.add_argument("text")
    sub.add_argument("--no-thinking", action="store_true", help="instruct mode")
    _endpoint(sub)

    sub = add("bench", _bench, "measure a server as sglang.bench_serving does")
    _workload(sub)
    _endpoint(sub)
    sub.add_argument("--out", type=Path, help="append the result line to this .jsonl")
    _json(sub)

    sub = add("predict", _predict, "the same in virtual time: no server, no GPU")
    sub.add_argument("profile")
    sub.add_argument("--like", metavar="RUN", help="a published run, e.g. cookbook-latency")
    _workload(sub)
    sub.add_argument("--sglang", help="the SGLang version to play")
    _json(sub)

    sub = add("run", _run, "execute lessons headlessly, with papermill")
    sub.add_argument("notebook", nargs="*", help="number, name or path; default: all")
    _endpoint(sub)
    sub.add_argument("--out", type=Path, default=Path("build"), help="default: build/")
    sub.add_argument("-p", "--parameter", action="append", default=[], metavar="NAME=VALUE")

    sub = add("lab", _lab, "open JupyterLab on the lessons")
    sub.add_argument("arguments", nargs="*", help="after --, for jupyter lab itself")
    return parser


def _json(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--json", action="store_true", help="figures as JSON, with provenance")


def _mtp_and_version(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--no-mtp", action="store_true", help="without multi-token prediction")
    sub.add_argument("--sglang", help="SGLang version (default: the newest known)")


def _endpoint(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--url", help="a server's address (default: the best there is; else the twin)")
    sub.add_argument("--key", help="its API key")
    sub.add_argument("--model", help="the model's name, where the server has several")
    sub.add_argument("--profile", help="the machine that the twin plays (default h200x8)")
    sub.add_argument("--speed", type=float, help="the twin's clock, times life")


def _workload(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--input-len", type=int, default=1000, help="longest prompt, tokens")
    sub.add_argument("--output-len", type=int, default=1000, help="longest answer, tokens")
    sub.add_argument("--num-prompts", type=int, default=10)
    sub.add_argument("--max-concurrency", type=int, help="requests in flight at most")
    sub.add_argument("--request-rate", type=float, default=float("inf"), help="per second")
    sub.add_argument("--seed", type=int, default=42, help="42 as in SGLang ≥ 0.5.14; 1 before")
    sub.add_argument("--range-ratio", type=float, default=0.0, help="shortest/longest; 1 = exact")


def _print_json(figures: Any) -> None:
    json.dump(figures, sys.stdout, indent=2, ensure_ascii=False)
    print()


def _profiles(args: argparse.Namespace) -> int:
    from kit.hardware import profiles

    if args.json:
        _print_json([p.to_json() for p in profiles()])
        return 0
    for p in profiles():
        print(f"{p.name:<22} {p}")
    return 0


def _chosen_profile(args: argparse.Namespace) -> Profile:
    from dataclasses import replace

    from kit.hardware import Profile, profile

    if args.profile and args.model:
        raise InvalidValue("a profile and --model are two answers", "give one of them")
    if args.profile:
        chosen = profile(args.profile)
    elif args.model and args.gpu:
        chosen = Profile.of(args.model, args.precision, args.gpu, args.count)
    else:
        raise InvalidValue(
            "which machine?", "kit size h200x8, or --model 397b --gpu h100 --count 8"
        )
    if args.no_mtp:
        chosen = replace(chosen, mtp=None)
    if getattr(args, "context", None) is not None:
        chosen = replace(chosen, context_length=args.context)
    return chosen


def _version(args: argparse.Namespace) -> str:
    from kit.hardware import SGLANG

    return args.sglang or SGLANG


def _size(args: argparse.Namespace) -> int:
    from kit.sizing import plan

    memory = plan(_chosen_profile(args), sglang=_version(args))
    if args.json:
        _print_json(memory.to_json())
    else:
        print(memory)
    return 0


def _command(args: argparse.Namespace) -> int:
    from kit.launch import launch_plan

    args.model = None
    plan = launch_plan(_chosen_profile(args), sglang=_version(args))
    if args.json:
        _print_json(plan.to_json())
    else:
        print(plan if args.form == "shell" else plan.form(args.form))
    return 0


def _serve(args: argparse.Namespace) -> int:
    from kit.server.serve import command, serve

    return serve(command(args.profile, sglang=_version(args), port=args.port, docker=args.docker))


def _stop(args: argparse.Namespace) -> int:
    from kit.server.serve import stop

    return stop(args.port)


def _twin(args: argparse.Namespace) -> int:
    from kit.twin.process import serve_here

    return serve_here(
        profile=args.profile,
        port=args.port,
        speed=args.speed,
        sglang=_version(args),
        fault=args.fault,
    )


def _connect(args: argparse.Namespace) -> Endpoint:
    from kit.endpoint import connect

    chosen = {
        name: value
        for name in ("profile", "speed")
        if (value := getattr(args, name, None)) is not None
    }
    return connect(args.url, args.key, args.model, **chosen)


def _chat(args: argparse.Namespace) -> int:
    from kit.chat import Answer, StreamCut, Thinking, Usage, stream

    endpoint = _connect(args)
    last: type | None = None
    answer = stream(endpoint, args.text, thinking=not args.no_thinking)
    try:
        for event in answer:
            match event:
                case Thinking(text) | Answer(text):
                    if last not in (None, type(event)):
                        print("\n" + "─" * 40)
                    print(text, end="", flush=True)
                    last = type(event)
                case Usage():
                    print(f"\n\n{event}")
    except StreamCut:
        print()
        raise
    print(f"{endpoint.provenance}\n{answer.author}")
    return 0


def _given_workload(args: argparse.Namespace) -> Workload:
    from kit.bench import Workload

    return Workload(
        input_len=args.input_len,
        output_len=args.output_len,
        num_prompts=args.num_prompts,
        max_concurrency=args.max_concurrency,
        request_rate=args.request_rate,
        seed=args.seed,
        range_ratio=args.range_ratio,
    )


def _report(report: Report, args: argparse.Namespace) -> int:
    if args.json:
        _print_json(report.to_json())
    else:
        print(report.table())
    return 0


def _bench(args: argparse.Namespace) -> int:
    import asyncio

    from kit.bench import measure

    endpoint = _connect(args)
    progress = _counter if sys.stderr.isatty() else None
    report = asyncio.run(measure(endpoint, _given_workload(args), on_progress=progress))
    if args.out:
        with args.out.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(report.to_json()) + "\n")
    return _report(report, args)


def _counter(done: int, total: int) -> None:
    print(f"\r{done}/{total} requests", end="\n" if done == total else "", file=sys.stderr)


def _predict(args: argparse.Namespace) -> int:
    from kit.bench import predict

    like = args.like if args.like else _given_workload(args)
    return _report(predict(args.profile, like=like, sglang=args.sglang), args)


def _run(args: argparse.Namespace) -> int:
    from kit.hardware import profile
    from kit.lessons import assignment, find, lessons, run

    if args.profile:
        profile(args.profile)
    options = {
        name: value
        for name in ("url", "profile", "speed")
        if (value := getattr(args, name)) is not None
    }
    chosen = [find(name) for name in args.notebook] or list(lessons())
    done = run(chosen, args.out, options, dict(map(assignment, args.parameter)))
    failed = [one for one in done if one.error]
    for one in failed:
        print(f"kit: {one.lesson.name} {one.error}", file=sys.stderr)
    return 1 if failed else 0


def _lab(args: argparse.Namespace) -> int:
    import os
    from importlib.resources import files

    from jupyterlab.labapp import LabApp

    from kit.lessons import NOTEBOOKS, lessons

    ours = str(files("kit").joinpath("data/jupyter"))
    others = os.environ.get("JUPYTER_CONFIG_PATH")
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, [ours, others]))
    LabApp.launch_instance(
        argv=[
            f"--ServerApp.root_dir={NOTEBOOKS}",
            f"--LabApp.default_url=/lab/tree/{lessons()[0].path.name}",
            *(["--allow-root"] if getattr(os, "geteuid", lambda: 1)() == 0 else []),  # containers
            *args.arguments,
        ]
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
