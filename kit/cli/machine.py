"""Commands about a machine: profiles, size, command, serve, stop, twin, diagnose."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kit.cli.shared import (
    Add,
    chosen_profile,
    given,
    json_option,
    machine_options,
    mtp_and_version,
    print_figures,
    print_json,
    version,
)

if TYPE_CHECKING:
    from kit.hardware import Profile


def add(add_command: Add) -> None:
    sub = add_command("profiles", _profiles, "the named profiles, one per line")
    json_option(sub)

    sub = add_command("size", _size, "does it fit: the memory plan of a profile, rank by rank")
    _machine(sub)
    json_option(sub)

    sub = add_command(
        "command", _command, "the command that launches a profile, a reason for each flag"
    )
    _machine(sub)
    sub.add_argument(
        "--form",
        default="shell",
        help="shell (with reasons), docker, compose, slurm, k8s or skypilot",
    )
    json_option(sub)

    sub = add_command(
        "serve", _serve, "start the real server of a profile, follow it, end it on Ctrl-C"
    )
    sub.add_argument("profile", help="a named profile; without a GPU: cpu-pocket (make sglang-cpu)")
    sub.add_argument("--port", type=int, default=30000)
    sub.add_argument("--docker", action="store_true", help="in SGLang's container")
    mtp_and_version(sub)

    sub = add_command("stop", _stop, "end the servers that this kit started")
    sub.add_argument("--port", type=int, help="only the one on this port")

    sub = add_command("twin", _twin, "serve the twin, a simulated SGLang, until Ctrl-C")
    sub.add_argument("profile", nargs="?", default="h200x8")
    sub.add_argument("--port", type=int, default=30000, help="0 takes a free one")
    sub.add_argument("--speed", type=float, default=1.0, help="how many times faster than life")
    sub.add_argument(
        "--fault", help="misbehave on purpose: cut, cut:12, stall@/v1/models, …; all of them: list"
    )
    sub.add_argument(
        "--served-model-name",
        metavar="NAME",
        help="the name in /v1/models (default: the checkpoint)",
    )
    sub.add_argument(
        "--allow-host",
        metavar="NAME",
        action="append",
        default=[],
        help="answer under this host name too, as a proxy in front of it sends (repeatable)",
    )
    sub.add_argument(
        "--keys",
        metavar="FILE",
        type=Path,
        help="answer only to keys of this file, a line per learner: a name and its key",
    )
    sub.add_argument(
        "--key-limit",
        metavar="N",
        type=int,
        help="requests of one key at once; more get 429 (default 16)",
    )
    sub.epilog = (
        "Its answers are written by the course's authors. Sums, percentages and tool calls that "
        "they have none for go to the pocket model, a small one that llama.cpp runs in the same "
        "process; anything else gets a notice. Each answer says who wrote it (the header "
        "x-kit-author, kit chat). None is Qwen3.5's: a score of GSM8K, "
        "MMMU or any other evaluation of a twin says nothing."
    )
    sub.add_argument("--sglang", help="the SGLang version to simulate")

    sub = add_command(
        "diagnose", _diagnose, "a server's log: how far it came, what went wrong, what to change"
    )
    sub.add_argument(
        "log", metavar="LOG", help="a file, also a saved page or gzip; - for standard input"
    )
    sub.epilog = (
        "Exit status 0 where a cause is known or the server serves, 1 where none is, 2 where the "
        "log cannot be read. For instance: kubectl logs POD | kit diagnose -"
    )
    json_option(sub)


def _machine(sub: argparse.ArgumentParser) -> None:
    machine_options(sub)
    sub.add_argument("--context", type=int, help="tokens that one request needs")
    sub.add_argument("--users", type=int, help="requests at once that must have that context")
    sub.add_argument(
        "--mem-fraction-static", type=float, metavar="X", help="share for weights and caches"
    )


def _profiles(args: argparse.Namespace) -> int:
    from kit.hardware import profiles
    from kit.server.cpu import MODELS

    if args.json:
        print_json([p.to_json() for p in profiles()])
        return 0
    for p in profiles():
        print(f"{p.name:<22} {p}")
    for name, about in MODELS.items():
        print(f"{name:<22} {about}")
    return 0


def _size(args: argparse.Namespace) -> int:
    from kit.sizing import explain, plan

    profile, changed = _chosen_profile(args)
    return print_figures(explain(plan(profile, sglang=version(args)), changed), args)


def _command(args: argparse.Namespace) -> int:
    from kit.launch import launch_plan

    profile, changed = _chosen_profile(args)
    plan = launch_plan(profile, sglang=version(args))
    if changed:
        plan = replace(plan, warnings=(changed, *plan.warnings))
    if args.json:
        print_json(plan.to_json())
    else:
        print(plan if args.form == "shell" else plan.form(args.form))
    return 0


def _serve(args: argparse.Namespace) -> int:
    from kit.cli.serve import serve
    from kit.server import command_for

    options = {"sglang": args.sglang, "port": args.port, "docker": args.docker}
    return serve(command_for(args.profile, **options, mtp=not args.no_mtp))


def _stop(args: argparse.Namespace) -> int:
    from kit.cli.serve import stop

    return stop(args.port)


def _twin(args: argparse.Namespace) -> int:
    from kit.twin.process import serve_here

    if args.fault == "list":
        from kit.twin.faults import listing

        print(listing())
        return 0
    return serve_here(
        profile=args.profile,
        port=args.port,
        speed=args.speed,
        sglang=version(args),
        fault=args.fault,
        served_model_name=args.served_model_name,
        allowed_hosts=args.allow_host,
        keys=args.keys,
        key_limit=args.key_limit,
    )


def _diagnose(args: argparse.Namespace) -> int:
    from kit.provenance import measured
    from kit.server.failures import examine
    from kit.server.log_text import open_log

    with open_log(args.log) as lines:
        found = examine(lines)
    if args.json:
        provenance = measured(f"a server's log, {args.log}").to_json()
        print_json({**found.to_json(), "provenance": provenance})
    else:
        print(found)
    return 0 if found.findings or found.serves else 1


def _chosen_profile(args: argparse.Namespace) -> tuple[Profile, str]:
    """The profile, and what was changed in it so that it holds what is asked: a named profile and
    a fraction that is given stay as they are."""
    from kit.sizing.remedies import adapted

    fields = given(args, "users", "mem_fraction_static")
    if args.context is not None:
        fields["context_length"] = args.context
    profile = replace(chosen_profile(args), **fields)
    if args.profile or args.mem_fraction_static is not None:
        return profile, ""
    return adapted(profile, version(args))
