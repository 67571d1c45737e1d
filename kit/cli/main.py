"""The parser of all commands, and what ends one."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence

from kit.cli import bench, course, evals, machine, plan, predict, rehearse
from kit.cli.shared import Command
from kit.errors import KitError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it did what was asked."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a letter that it has no code for ends nothing
            stream.reconfigure(errors="backslashreplace")
    all_commands = parser()
    try:
        args = all_commands.parse_args(argv)
        if not hasattr(args, "command"):
            all_commands.print_help()
            return 0
        command: Command = args.command
        return command(args)
    except KitError as error:
        print(f"kit: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            sys.stderr.close()
            return 0
        what = f"{error.filename or 'a file or a device'}: {error.strerror or error}"
        print(
            f"kit: {what}\n→ see what stands in the way there: room, permissions", file=sys.stderr
        )
        return 2
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="kit", description="Serving Qwen3.5 with SGLang, hands on.", allow_abbrev=False
    )
    commands = top.add_subparsers(metavar="COMMAND")

    def add(name: str, command: Command, about: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=about, description=about, allow_abbrev=False)
        sub.set_defaults(command=command)
        return sub

    for group in (machine, course, bench, predict, evals, plan, rehearse):
        group.add(add)
    return top
