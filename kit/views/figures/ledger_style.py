"""The parts of a rank's memory as they are drawn: colour, hatch, and where the card ends."""

from __future__ import annotations

from kit.sizing import RankLedger
from kit.views import theme

FREE = "free"
OVER = "over the card"

# the start of a ledger's label → colour, hatch
_STYLE = {
    "weights copied": (theme.BLUE, "/"),
    "weights": (theme.BLUE, ""),
    "context": (theme.GREY, ""),
    "CUDA graphs": (theme.GREY, "\\"),
    "multimodal": (theme.SKY, ""),
    "GDN": (theme.ORANGE, ""),
    "MTP's KV": (theme.GREEN, "/"),
    "MTP": (theme.PURPLE, "/"),
    "KV": (theme.GREEN, ""),
    "activations": (theme.PALE, "."),
    FREE: (theme.PALE, ""),
    OVER: (theme.RED, "x"),
}


def style(label: str) -> tuple[str, str]:
    """The colour and the hatch of a part; yellow for one that is not known here."""
    return next((s for start, s in _STYLE.items() if label.startswith(start)), (theme.YELLOW, ""))


def cut(rank: RankLedger) -> list[tuple[str, float, float]]:
    """The entries and what is left, each as (label, its GiB, those of them under the limit)."""
    parts = []
    height = 0.0
    for label, gib in rank.entries:
        parts.append((label, gib, max(min(gib, rank.limit_gib - height), 0.0)))
        height += gib
    left = max(rank.limit_gib - height, 0.0)
    return [*parts, (FREE, left, left)]
