"""`kit …`: a thin door to the functions of the kit.

    machine   profiles size command serve stop twin
    bench     bench
    predict   predict
    course    chat run lab
    shared    options and output that several have

Each command prints text for a person, or JSON with --json where it prints figures.
A KitError ends it with two lines on stderr and exit code 2.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from kit.cli import bench, course, machine, predict
from kit.errors import KitError


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

    for group in (machine, course, bench, predict):
        group.add(add)
    return parser
