"""parse.py: argument lists as JSON lines on stdin → what this environment's SGLang makes of them.

A program of its own, so that the parser of an older SGLang can run it too.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from typing import Any

MARK = "parsed: "  # SGLang prints lines of its own


def parser() -> argparse.ArgumentParser:
    """SGLang's own parser, abbreviations refused."""
    from transformers import AutoConfig

    register = AutoConfig.register  # an older SGLang registers what transformers has by now
    AutoConfig.register = staticmethod(  # type: ignore[method-assign]
        lambda name, config, exist_ok=False: register(name, config, exist_ok=True)
    )
    from sglang.srt.server_args import ServerArgs

    made = argparse.ArgumentParser(allow_abbrev=False)
    ServerArgs.add_cli_args(made)
    return made


def _old(action: argparse.Action) -> bool:
    says = (action.help or "").lstrip("( ").lower()
    return says.startswith("deprecated") or type(action).__name__.startswith("Deprecated")


def parsed(made: argparse.ArgumentParser, argv: list[str]) -> dict[str, Any]:
    """{"values": …} or {"error": …}; `deprecated` names flags that the parser calls so."""
    by_name = made._option_string_actions
    flags = [word for word in argv if word.startswith("--")]
    deprecated = [flag for flag in flags if flag in by_name and _old(by_name[flag])]
    complaints: list[str] = []

    def complain(message: str) -> None:
        complaints.append(message)
        raise SystemExit(2)

    made.error = complain  # type: ignore[assignment, method-assign]
    try:
        values = vars(made.parse_args(argv))
    except SystemExit:
        return {"error": complaints[0], "deprecated": deprecated}
    read = {flag: values[by_name[flag].dest] for flag in flags}
    return {"values": read, "deprecated": deprecated}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    ours = parser()
    for line in sys.stdin:
        print(MARK + json.dumps(parsed(ours, json.loads(line)), default=str), flush=True)
