"""The loss of a run, drawn from its log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_log(folder: Path) -> list[dict[str, Any]]:
    path = folder / "log.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def loss_plot(folder: Path) -> None:
    """loss.png: the training loss, and the share of held-out completions right word for word."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    log = [entry for entry in read_log(folder) if entry["loss"] is not None]
    if not log:
        return
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
    left.plot([e["tokens"] / 1e6 for e in log], [e["loss"] for e in log], color="#0072B2")
    left.set(
        title="Training loss",
        xlabel="tokens (millions)",
        ylabel="cross-entropy (nats)",
        yscale="log",
    )
    checks = [e for e in log if "held_out" in e]
    for kind in checks[-1]["held_out"] if checks else ():
        points = [(e["tokens"] / 1e6, 100 * e["held_out"].get(kind, 0)) for e in checks]
        right.plot(*zip(*points, strict=True), marker=".", label=kind)
    right.set(
        title="Held out, word for word",
        xlabel="tokens (millions)",
        ylabel="right (%)",
        ylim=(0, 102),
    )
    right.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(folder / "loss.png", dpi=90)
    plt.close(figure)
