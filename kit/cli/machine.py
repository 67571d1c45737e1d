"""Commands about a machine: size, command, serve, stop, twin."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from kit.cli.shared import Add, json_option, mtp_and_version, print_json, version
from kit.errors import InvalidValue

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
    sub.add_argument(
        "profile", help="a named profile; without a GPU: cpu-pocket, cpu-tiny (make sglang-cpu)"
    )
    sub.add_argument("--port", type=int, default=30000)
    sub.add_argument("--docker", action="store_true", help="in SGLang's container")
    mtp_and_version(sub)

    sub = add_command("stop", _stop, "end the servers that this kit started")
    sub.add_argument("--port", type=int, help="only the one on this port")

    sub = add_command("twin", _twin, "serve the twin, a simulated SGLang, until Ctrl-C")
    sub.add_argument("profile", nargs="?", default="h200x8")
    sub.add_argument("--port", type=int, default=30000, help="0 takes a free one")
    sub.add_argument("--speed", type=float, default=1.0, help="how many times faster than life")
    sub.add_argument("--fault", help="misbehave on purpose")
    sub.epilog = (
        "Its answers are written by the course's authors; what they have none for goes to the "
        "pocket model, a small one that llama.cpp runs in the same process. Each answer says who "
        "wrote it (the header x-kit-author, kit chat)."
    )
    sub.add_argument("--sglang", help="the SGLang version to simulate")


def _machine(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("profile", nargs="?", help="a named profile (kit profiles)")
    sub.add_argument("--model", help="instead of a profile: 397b, 122b, 35b, 27b, 9b, …")
    sub.add_argument("--precision", default="bf16", help="bf16, fp8, nvfp4, mxfp4, gptq-int4")
    sub.add_argument("--gpu", help="h100, h200, b200, …")
    sub.add_argument("--count", type=int, default=8, help="GPUs in all (default 8)")
    sub.add_argument("--context", type=int, help="context length in tokens")
    mtp_and_version(sub)


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

    explained = explain(plan(_chosen_profile(args), sglang=version(args)))
    if args.json:
        print_json(explained.to_json())
    else:
        print(explained)
    return 0


def _command(args: argparse.Namespace) -> int:
    from kit.launch import launch_plan

    plan = launch_plan(_chosen_profile(args), sglang=version(args))
    if args.json:
        print_json(plan.to_json())
    else:
        print(plan if args.form == "shell" else plan.form(args.form))
    return 0


def _serve(args: argparse.Namespace) -> int:
    from kit.cli.serve import serve
    from kit.server import command_for

    return serve(
        command_for(
            args.profile,
            sglang=args.sglang,
            port=args.port,
            docker=args.docker,
            mtp=not args.no_mtp,
        )
    )


def _stop(args: argparse.Namespace) -> int:
    from kit.cli.serve import stop

    return stop(args.port)


def _twin(args: argparse.Namespace) -> int:
    from kit.twin.process import serve_here

    return serve_here(
        profile=args.profile,
        port=args.port,
        speed=args.speed,
        sglang=version(args),
        fault=args.fault,
    )


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
            "which machine?", "name one (kit profiles), or give --model 397b --gpu h100 --count 8"
        )
    if args.no_mtp:
        chosen = replace(chosen, mtp=None)
    if getattr(args, "context", None) is not None:
        chosen = replace(chosen, context_length=args.context)
    return chosen
