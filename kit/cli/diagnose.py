"""`kit diagnose`: a server's log → what went wrong, and what to change."""

from __future__ import annotations

import argparse

from kit.cli.shared import Add, json_option, print_json


def add(add_command: Add) -> None:
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
