"""Look at the dialogues.

python -m pocket.data                       one of each kind, of those held out
python -m pocket.data --kind call -n 3      three calls
"""

from __future__ import annotations

import argparse
from random import Random

from pocket.data.session import PLAIN, WITH_TOOLS, draw


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", choices=(*PLAIN, *WITH_TOOLS, "repeat"))
    parser.add_argument("--split", choices=("train", "test"), default="test")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-n", type=int, default=1, help="how many of each kind")
    asked = parser.parse_args()
    r = Random(asked.seed)
    for kind in [asked.kind] if asked.kind else (*PLAIN, *WITH_TOOLS, "repeat"):
        for i in range(asked.n):
            dialogue = draw(r, asked.split, kind, thinking=i % 2 == 0)
            print(f"── {kind} ──\n{dialogue.prompt}{dialogue.completion}\n")


if __name__ == "__main__":
    main()
