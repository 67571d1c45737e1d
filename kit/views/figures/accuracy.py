"""Scores with their intervals, and how far a score of few questions scatters.

published_scores(evals.published("mmmu"))
group_scores(evals.read_report(path))
score_scatter(report, n=20)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

from kit.errors import InvalidValue
from kit.evals import EvalReport, PublishedEval
from kit.intervals import wilson
from kit.provenance import Provenance, computed
from kit.views import theme
from kit.views.figure import Figure, FigureTable
from kit.views.figures.elements import axis, vertical

_DRAWS = 2000
_Score = tuple[str, int, int]  # name, right, asked


def published_scores(run: PublishedEval) -> Figure:
    """Every row of a published run with the interval that its number of questions allows: the
    overall row and the groups; the table has the subjects too."""
    shown = [(row.name, row.right, row.asked) for row in run.rows if row.kind != "subject"]
    title = f"{run.name.upper()}: what {run.asked} questions can say"
    return _intervals(
        title, shown, [(row.name, row.right, row.asked) for row in run.rows], run.provenance
    )


def group_scores(report: EvalReport) -> Figure:
    """A result's score, overall and by group."""
    head = report.head
    rows = [(one.name, one.right, one.asked) for one in (report.score, *report.groups)]
    return _intervals(f"{head['eval']}: {head['model']}", rows, rows, report.provenance)


def score_scatter(report: EvalReport, n: int = 20, seed: int = 0) -> Figure:
    """How often a draw of `n` of the report's questions gives which score. Raises InvalidValue
    for more questions than there are."""
    marks = [one.right for one in report.answers]
    if not 0 < n <= len(marks):
        raise InvalidValue(f"{n} of {len(marks)} questions", f"draw 1 to {len(marks)}")
    draw = Random(seed)
    counts = Counter(sum(draw.sample(marks, n)) for _ in range(_DRAWS))
    found = sorted(counts)
    low, high = _middle(counts, n)
    whole = report.score.share
    asked = report.provenance
    provenance = computed(f"{_DRAWS:,} draws of {n} from answers {asked.kind} ({asked.source})")
    layout = theme.layout(
        f"{n} questions, one model: {low:.0%} to {high:.0%} in nine of ten draws",
        f"the line: {whole:.1%}, its score over all {len(marks)}",
        provenance,
        foot_px=84,
        height=480,
        margin={"l": 70, "r": 30, "t": 92, "b": 150},
        showlegend=False,
        xaxis=axis("score of a draw (%)", range=[-3, 103]),
        yaxis=axis("draws (%)"),
        shapes=[vertical(100 * whole, dash="dash")],
    )
    bars = {
        "type": "bar",
        "x": [100 * right / n for right in found],
        "y": [100 * counts[right] / _DRAWS for right in found],
        "width": 70 / n,
        "marker": {"color": theme.BLUE},
        "hovertemplate": "%{x:.0f} %: %{y:.1f} % of the draws<extra></extra>",
    }
    sentence = f"Nine of ten draws of {n} score {low:.0%} to {high:.0%}; all together {whole:.1%}."
    rows = tuple((f"{r} of {n}", f"{r / n:.0%}", f"{counts[r] / _DRAWS:.1%}") for r in found)
    return Figure(
        [bars], layout, FigureTable(sentence, ("right", "score", "draws"), rows, provenance)
    )


def _middle(counts: Counter[int], n: int) -> tuple[float, float]:
    """The scores of `n` questions that nine draws of ten lie between."""
    drawn = sorted(counts.elements())
    return drawn[len(drawn) // 20] / n, drawn[-len(drawn) // 20] / n


def _intervals(
    title: str, shown: Sequence[_Score], rows: Sequence[_Score], provenance: Provenance
) -> Figure:
    """Dots with Wilson's intervals, the first on top."""
    ordered = list(reversed(shown))
    names = [f"{name} ({asked})" for name, _, asked in ordered]
    layout = theme.layout(
        title,
        "in brackets: questions; the lines are 95 % intervals",
        provenance,
        foot_px=84,
        height=220 + 40 * len(ordered),
        margin={"l": 290, "r": 30, "t": 92, "b": 130},
        showlegend=False,
        xaxis=axis("right answers (%)", range=[-2, 104]),
        yaxis={"showgrid": False, "categoryorder": "array", "categoryarray": names},
    )
    ends = [wilson(right, asked) for _, right, asked in ordered]
    shares = [right / asked for _, right, asked in ordered]
    dots: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "x": [100 * share for share in shares],
        "y": names,
        "marker": {"size": 13, "color": theme.BLUE},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [100 * (high - share) for share, (_, high) in zip(shares, ends, strict=True)],
            "arrayminus": [
                100 * (share - low) for share, (low, _) in zip(shares, ends, strict=True)
            ],
            "color": theme.QUIET,
            "thickness": 2.5,
            "width": 6,
        },
        "hovertemplate": "%{y}: %{x:.1f} %<extra></extra>",
    }
    sentence = _sentence(rows)
    table = tuple(_row(*row) for row in rows)
    head = ("", "right", "of", "score", "95 % interval")
    return Figure([dots], layout, FigureTable(sentence, head, table, provenance))


def _sentence(rows: Sequence[_Score]) -> str:
    _, right, asked = rows[0]
    low, high = wilson(right, asked)
    return f"{right} of {asked} right: {right / asked:.1%}, 95 % interval {low:.1%} to {high:.1%}."


def _row(name: str, right: int, asked: int) -> tuple[str, ...]:
    low, high = wilson(right, asked)
    return name, f"{right}", f"{asked}", f"{right / asked:.3f}", f"{low:.3f}–{high:.3f}"
