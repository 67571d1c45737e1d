"""The cookbook's configuration tips, each with its flag and what became of it."""

from __future__ import annotations

from typing import Any

from kit import load_data
from kit.errors import UnknownName
from kit.hardware import SGLANG
from kit.launch import source_commands
from kit.provenance import published
from kit.views.figure import FigureTable


def tips(about: str | None = None) -> FigureTable:
    """The tips of the cookbook's page of February 2026, beside SGLang 0.5.23; those `about` one
    subject (vision) alone."""
    every: list[dict[str, Any]] = load_data.toml("tips.toml")["tip"]
    rows = [row for row in every if about in (None, row.get("about"))]
    if not rows:
        raise UnknownName(
            "subject of tips", str(about), {r["about"] for r in every if "about" in r}
        )
    page = next(one for one in source_commands() if one.name == "cookbook")
    return FigureTable(
        f"{len(rows)} tips of the page, and what each is worth on SGLang {SGLANG}.",
        ("the page says", "with", f"on {SGLANG}", "read in"),
        tuple((r["tip"], r["flag"] or "–", r["now"], r["source"]) for r in rows),
        published(f"the tips: SGLang cookbook, Qwen3.5, February 2026, {page.url}"),
        folded=False,
    )
