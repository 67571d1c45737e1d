"""`python -m kit.twin`: one twin, in this process. It prints its address as a JSON line."""

from __future__ import annotations

import argparse
import sys

from kit.hardware import SGLANG
from kit.twin.process import main


def _arguments() -> dict[str, object]:
    parser = argparse.ArgumentParser(prog="python -m kit.twin", allow_abbrev=False)
    parser.add_argument("--profile", default="h200x8", help="the simulated machine")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--speed", type=float, default=1.0, help="times as fast as real time")
    parser.add_argument("--sglang", default=SGLANG, help="the simulated SGLang version")
    parser.add_argument("--fault", help="misbehave: cut:12, …; all of them: kit twin --fault list")
    parser.add_argument("--served-model-name", help="what /v1/models lists")
    parser.add_argument("--parent-stdin", action="store_true", help="end when stdin ends")
    parser.add_argument("--shared", action="store_true", help="end when nobody holds it")
    return vars(parser.parse_args())


if __name__ == "__main__":
    arguments = _arguments()
    sys.exit(main(arguments, bool(arguments.pop("parent_stdin"))))
