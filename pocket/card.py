"""The model card: card.md filled from the evaluation, as README.md of the export.

    python -m pocket.card --size small

What it claims held in nine of ten held-out questions; everything else is listed as what it cannot
do, with what it said instead.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kit.intervals import wilson
from kit.pocket import CLAIM
from kit.speed.speculation import accept_length
from pocket.config import HERE, Size, parser, size
from pocket.data.offers import COUNTS, LOOKUPS, usual_start
from pocket.data.sums import LARGEST, PERCENTS
from pocket.plot import read_log

_LONGEST_EXAMPLE = 160


def table(rows: list[dict[str, Any]]) -> str:
    lines = ["| questions | right | of | 95 % interval |", "|---|---|---|---|"]
    for row in rows:
        low, high = wilson(row["right"], row["asked"])
        share = row["right"] / row["asked"]
        lines.append(f"| {row['name']} | {share:.1%} | {row['asked']} | {low:.0%} to {high:.0%} |")
    return "\n".join(lines) if rows else "Nothing, so far."


def example(failure: dict[str, str]) -> str:
    def short(text: str) -> str:
        flat = " ⏎ ".join(text.splitlines())
        cut = flat if len(flat) <= _LONGEST_EXAMPLE else flat[:_LONGEST_EXAMPLE] + " …"
        return f"`{cut.replace('`', '´')}`"

    question, wanted, said = (short(failure[k]) for k in ("question", "wanted", "said"))
    return f"- {question}: wanted {wanted}, said {said}"


def card(of: Size, folder: Path) -> str:
    """The card's text, from what lies in the export and in the size's folder."""
    evaluation = json.loads((folder / "evaluation.json").read_text())
    about = json.loads((folder / "pocket.json").read_text())
    guessed = json.loads((of.folder / "mtp.json").read_text())
    lengths = [accept_length(chances) for chances in guessed.values()]
    last = read_log(of.folder)[-1]
    rows = evaluation["rows"]
    holds = [row["right"] / row["asked"] >= CLAIM for row in rows]
    failed = [
        f"**{row['name']}**\n\n" + "\n".join(example(f) for f in row["failures"])
        for row in rows
        if row["failures"]
    ]
    return (
        (HERE / "card.md")
        .read_text()
        .format(
            millions=about["parameters"] / 1e6,
            mtp_millions=about["mtp_parameters"] / 1e6,
            layers=of.model["num_hidden_layers"],
            vocabulary=of.vocabulary["size"],
            engine=evaluation["engine"],
            can=table([row for row, holding in zip(rows, holds, strict=True) if holding]),
            cannot=table([row for row, holding in zip(rows, holds, strict=True) if not holding]),
            claim=CLAIM,
            percents=", ".join(map(str, PERCENTS)),
            largest=LARGEST,
            failures="\n\n".join(failed) or "Nothing failed.",
            tools=max(COUNTS),
            usual=" or ".join(f"`{usual_start(kind)}`" for kind in LOOKUPS),
            steps=last["step"],
            machine=of.training["machine"],
            tokens=last["tokens"] / 1e6,
            minutes=last["spent_s"] / 60,
            size=of.name,
            mtp=f"{min(lengths):.1f} to {max(lengths):.1f}",
            identical=evaluation["identical"],
        )
    )


def main() -> None:
    of = size(parser(__doc__).parse_args().size)
    folder = of.folder / "export"
    path = folder / "README.md"
    path.write_text(card(of, folder))
    print(f"{path}: next, python -m pocket.export --size {of.name} --publish")


if __name__ == "__main__":
    main()
