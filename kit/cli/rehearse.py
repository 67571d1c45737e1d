"""`kit rehearse`: one rank of a plan on one GPU, measured beside predicted."""

from __future__ import annotations

import argparse
import json
import shlex
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from kit.cli.shared import Add, json_option, mtp_and_version, print_figures, version
from kit.errors import InvalidValue
from kit.text_file import write_text

if TYPE_CHECKING:
    from kit.launch.rehearsal import Rehearsal


def add(add_command: Add) -> None:
    sub = add_command(
        "rehearse", _rehearse, "one rank of a plan on one GPU, measured beside predicted"
    )
    sub.add_argument("profile", nargs="?", help="a named profile (kit profiles)")
    mtp_and_version(sub)
    sub.add_argument("--accept-length", type=float, help="mean tokens of a verify step, forced")
    sub.add_argument(
        "--random-ids",
        action="store_true",
        help="give forced tokens random ids, so that they choose experts as text does: changes "
        "one function of SGLang as it is loaded",
    )
    sub.add_argument(
        "--flags",
        type=shlex.split,
        default=[],
        metavar="TEXT",
        help='for the server, as they are: --flags="--attention-backend triton"',
    )
    sub.add_argument("--minutes", type=float, default=8.0, help="for all of it (default 8)")
    sub.add_argument("--port", type=int, help="default: a free one")
    sub.add_argument("--out", type=Path, help="folder (default: build/rehearse-PROFILE-TIME)")
    sub.add_argument("--dry-run", action="store_true", help="write the files, start nothing")
    sub.add_argument("--read", metavar="DIR", help="the page of a rehearsal that ran, or of a "
                     "recorded one: h200-rank397-mtp")  # fmt: skip
    json_option(sub)
    sub.epilog = (
        "Dummy weights, forced acceptance, the released server by the plan's own flags less those "
        "of several ranks. The page says what one rank alone cannot show."
    )


def _rehearse(args: argparse.Namespace) -> int:
    from kit.bench.measured import measured_rank

    if args.read:
        return print_figures(measured_rank(args.read), args)
    if not args.profile:
        raise InvalidValue(
            "which plan?", "name a profile (kit profiles), or --read the page of one that ran"
        )
    one = _chosen(args)
    folder = args.out or Path("build") / f"rehearse-{one.name}-{datetime.now():%m%d-%H%M%S}"
    if args.dry_run:
        return _dry_run(one, folder)
    from kit.bench.rehearse import rehearse

    quiet = args.json  # then all it prints is figures
    done = rehearse(one, folder, args.minutes, say=(lambda _: None) if quiet else print)
    print_figures(done, args)
    write_text(folder / "page.md", f"{done}\n")
    write_text(folder / "page.json", json.dumps(done.to_json(), indent=1))
    if not quiet:
        print(f"\nkept in {folder}; this page again: kit rehearse --read {folder}")
    return 1 if done.stopped else 0


def _chosen(args: argparse.Namespace) -> Rehearsal:
    from dataclasses import replace

    from kit.hardware import profile
    from kit.launch.rehearsal import TINY, rehearsal, tiny
    from kit.server.processes import free_port

    chosen = tiny() if args.profile == TINY else profile(args.profile)
    return rehearsal(
        replace(chosen, mtp=None) if args.no_mtp else chosen,
        version(args),
        accept_length=args.accept_length,
        random_ids=args.random_ids,
        more_flags=tuple(args.flags),
        port=args.port or free_port(),
    )


def _dry_run(one: Rehearsal, folder: Path) -> int:
    from kit.server.rehearse import prepare

    command = prepare(one, folder)
    env = " ".join(f"{name}={shlex.quote(value)}" for name, value in command.env)
    print(f"written: {folder / 'model'} (config and tokenizer, no weights)")
    print(f"\n{env} \\\n  {shlex.join(command.argv)}\n")
    print("\n".join(["Not in it:", *(f"- {line}" for line in one.missing)]))
    print("\n".join(f"- {line}" for line in one.notes))
    return 0
