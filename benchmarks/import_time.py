"""`import kit` over an empty interpreter, medians of alternating runs.

python benchmarks/import_time.py
"""

import json
import statistics
import subprocess
import sys
import time

ROUNDS = 15


def seconds(statement: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - began


def main() -> None:
    seconds("import kit")
    pairs = [(seconds("pass"), seconds("import kit")) for _ in range(ROUNDS)]
    empty, ours = (statistics.median(column) * 1000 for column in zip(*pairs, strict=True))
    print(
        json.dumps(
            {
                "python -c pass, ms": round(empty, 1),
                "import kit, ms": round(ours, 1),
                "over, ms": round(ours - empty, 1),
                "rounds": ROUNDS,
                "provenance": {
                    "kind": "measured",
                    "source": f"this machine, {sys.version.split()[0]}",
                },
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
