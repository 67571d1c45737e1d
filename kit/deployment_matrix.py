"""The cookbook's deployment matrix beside the kit's own plan of each cell.

    python -m kit.deployment_matrix > docs/deployment-matrix.md

A test compares the file with what this module writes now.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from kit.hardware import SGLANG, Profile, from_cell, profile
from kit.hardware.cookbook import MatrixCell, cells
from kit.models.precision import precision
from kit.sizing import FITS_TOKENS, TIGHT_REQUESTS, MemoryPlan, explain, plan
from kit.sizing.mem_fraction import aiter_share, context_gib

HEAD = (
    "model",
    "precision",
    "hardware",
    "theirs: ranks, fraction",
    "MTP",
    "weights per rank, GiB",
    "ours",
    "requests at once",
    "KV tokens",
    "note",
)


@dataclass(frozen=True)
class MatrixRow:
    """One cell under one strategy: theirs, and our plan of it."""

    cell: MatrixCell
    plan: MemoryPlan

    @property
    def agrees(self) -> bool:
        """The cookbook offers the cell, so agreement is that it fits."""
        return self.plan.fits and not self.cell.pages


def rows(sglang: str = SGLANG) -> tuple[MatrixRow, ...]:
    """Every cell of the matrix under both strategies, in the page's order."""
    return tuple(MatrixRow(cell, plan(from_cell(cell), sglang)) for cell in cells())


def note(row: MatrixRow) -> str:
    """The note on a row: why we disagree, or what the pages disagree about."""
    parts = []
    if not row.plan.fits:
        parts.append(f"{_why(row)}; would fit: {_would_fit(row)}")
    elif row.plan.verdict == "tight":
        parts.append(_tight(row.plan))
    if row.cell.pages:
        parts.append(f"{row.cell.pages}{_other_page(row)}")
    return "; ".join(parts)


def _why(row: MatrixRow) -> str:
    rank = row.plan.ranks[0]
    if row.plan.max_running_requests:
        return (
            f"it starts, but {row.plan.kv_tokens:,} tokens of KV cache are fewer than the "
            f"{FITS_TOKENS:,} advised for thinking"
        )
    fraction = f"{row.plan.mem_fraction_static:.2g}"
    if (share := aiter_share(row.plan.profile)) < 1:
        fraction += f" ({row.plan.mem_fraction_static / share:.3g} × {share:g})"
    if row.plan.rest_gib > 0:
        state = row.plan.state_mib_per_request_per_rank / 1024
        return (
            f"fraction {fraction} leaves {row.plan.rest_gib:.1f} GiB beside {rank.weights_gib:.1f} "
            f"GiB of weights, too little for one request's {row.plan.slots_per_request} states of "
            f"{state:.2f} GiB and their KV cache"
        )
    allowed = row.plan.rest_gib + rank.weights_gib + rank.weights_copied_gib
    return (
        f"{rank.weights_gib:.1f} GiB of weights against the {allowed:.1f} GiB that fraction "
        f"{fraction} allows: SGLang ends while it sets up the caches"
    )


def _would_fit(row: MatrixRow) -> str:
    return ", or ".join(remedy.action for remedy in explain(row.plan).remedies) or "nothing near it"


def _tight(p: MemoryPlan) -> str:
    if p.max_running_requests < TIGHT_REQUESTS:
        return f"room for {p.max_running_requests} requests only"
    return f"less than one whole context of {p.profile.context_tokens:,}"


def _other_page(row: MatrixRow) -> str:
    """Our plan at the ranks that the other page gives: "tp 4" in the note's own words."""
    p = row.plan.profile
    words = row.cell.pages.split()
    others = [int(words[i + 1].strip(",")) for i, word in enumerate(words) if word == "tp"]
    found = [n for n in others if n != p.tp_size]
    if not found:
        return ""
    other = replace(p, tp_size=found[0], ep_size=1)
    then = plan(other, row.plan.sglang)
    return f" ({found[0]} ranks: {then.verdict}, {then.max_running_requests} requests)"


def markdown() -> str:
    """The page: what it compares, the table, the disagreements."""
    table = rows()
    alone, eight = profile("35b-bf16-h200x1"), profile("h200x8")
    lines = [
        "# Deployment matrix: the cookbook's and ours",
        "",
        "<!-- written by `python -m kit.deployment_matrix`; a test compares it with the code -->",
        "",
        f"Each cell of the SGLang cookbook's page on Qwen3.5, and what the kit's memory plan for "
        f"SGLang {SGLANG} says of it. Theirs: published, {_source(table[0].plan.profile)}. Ours: "
        f"computed · formulas of SGLang {SGLANG}; {context_gib(alone):.1f} GiB assumed for the "
        f"CUDA context of a lone rank, up to {context_gib(eight):.1f} where ranks talk to each "
        "other. No GPU ran for this page.",
        "",
        f"- **fits**: {TIGHT_REQUESTS} requests or more at once, and a whole context of KV cache",
        "- **tight**: it fits, with fewer requests or less than one context of 262,144 tokens",
        f"- **short**: it starts, with fewer than {FITS_TOKENS:,} tokens of KV cache",
        "- **no**: it does not start",
        "",
        "A fraction of “default” is a cell without `--mem-fraction-static`: SGLang's own choice, "
        "as the kit computes it, stands in brackets. The cookbook pins AMD's images to 0.5.12; our "
        f"rows are for {SGLANG} there too. On AMD, SGLang takes 0.85 of the fraction where the "
        "context is beyond 8,192 tokens (wheels 0.5.9, 0.5.12.post1, 0.5.23); ours counts that. "
        "In 0.5.23 SGLANG_AITER_HONOR_EXPLICIT_MEM_FRACTION=1 takes a given fraction whole. "
        "Xeon's ranks are NUMA nodes of an assumed 256 GiB.",
        "",
        *_summary(table),
        "",
        *_table(table),
        "",
        "## Where we disagree, and where their pages do",
        "",
        *_disagreements(table),
    ]
    return "\n".join(lines) + "\n"


def _source(p: Profile) -> str:
    return p.source.removeprefix("SGLang cookbook, Qwen3.5: ")


def _summary(table: tuple[MatrixRow, ...]) -> Iterator[str]:
    counts = {
        word: sum(row.plan.verdict == word for row in table) for word in ("fits", "tight", "short")
    }
    no = sum(row.plan.verdict == "no" for row in table)
    yield (
        f"{len(table)} rows: {counts['fits']} fit, {counts['tight']} are tight, "
        f"{counts['short']} short, {no} do not start."
    )


def _table(table: tuple[MatrixRow, ...]) -> Iterator[str]:
    yield "| " + " | ".join(HEAD) + " |"
    yield "|---|---|---|---|---|---:|---|---:|---:|---|"
    for row in table:
        yield "| " + " | ".join(_cells(row)) + " |"


def _cells(row: MatrixRow) -> tuple[str, ...]:
    p, made = row.plan.profile, row.plan
    ranks = f"{p.tp_size}" + (f" on {p.nodes} nodes" if p.nodes > 1 else "")
    ranks += f", ep {p.ep_size}" if p.ep_size > 1 else ""
    fraction = (
        f"default ({made.mem_fraction_static / aiter_share(p):.3f})"
        if p.mem_fraction_static is None
        else f"{p.mem_fraction_static:g}"
    )
    return (
        p.model.name,
        precision(p.precision).title,
        p.gpu.name,
        f"{ranks}; {fraction}",
        "on" if p.mtp else "off",
        f"{made.ranks[0].weights_gib:.1f}",
        f"**{row.plan.verdict}**" if row.plan.verdict in ("short", "no") else row.plan.verdict,
        f"{made.max_running_requests}",
        f"{made.kv_tokens:,}",
        note(row),
    )


def _disagreements(table: tuple[MatrixRow, ...]) -> Iterator[str]:
    for row in table:
        if row.agrees:
            continue
        p = row.plan.profile
        mtp = "MTP on" if p.mtp else "MTP off"
        title = (
            f"{p.model.name} {precision(p.precision).title} on {p.tp_size} × {p.gpu.name}, {mtp}"
        )
        yield f"- **{title}**: {note(row)}."


if __name__ == "__main__":
    print(markdown(), end="")
