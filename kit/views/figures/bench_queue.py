"""A long TTFT shown to be a queue: who waits, who runs, and Little's law between them.

little(bench.predict("h200x8", like="cookbook-throughput"), cap=48)
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import plotly.graph_objects as go

from kit.bench.report import Report
from kit.errors import InvalidValue
from kit.views import theme
from kit.views.figure import Figure, FigureTable
from kit.views.figures.bench_run import rounded, stacked
from kit.views.figures.bench_series import RunSeries, cumulative
from kit.views.figures.elements import Json, axis, duration, horizontal, note, vertical

_LEFT, _RIGHT = (0.0, 0.46), (0.58, 1.0)
_WINDOW = 1.6  # of the wait drawn at the right: this many times as long


def little(report: Report, cap: int | None = None) -> Figure:
    """Requests in flight over time, and arrivals above first tokens above completions.

    Left: those that wait for their first token on those that receive, with `cap`, the most that
    the server runs at once. Right, a part of the run: up and down between two curves are
    requests, across is time. Little's law joins them: waiting on average = requests/s × mean TTFT,
    for any server and any order, so a TTFT of seconds at a full batch is a queue.
    Raises InvalidValue for a report without records and their times.
    """
    done = [record for record in report.records if record.ok and len(record.times_s)]
    if not done or not report.duration_s or report.ttft.mean is None:
        raise InvalidValue(
            "this report has no records of requests to draw",
            "a printed table has none; bench.predict(profile, like=run) has",
        )
    series = RunSeries.of(done, report.duration_s)
    areas = stacked(series, "running: receiving tokens", "waiting for the first token")
    sent = sorted(record.sent_s for record in done)
    first = sorted(record.times_s[0] for record in done)
    ended = sorted(record.ended_s for record in done)
    rate, wait_s = len(done) / report.duration_s, report.ttft.mean / 1e3
    law = (
        f"on average {rate:.2f} requests/s × {wait_s:.1f} s until the first token "
        f"= {rate * wait_s:.1f} requests that wait"
    )
    at_s, later_s = _moment(sent, first, wait_s)
    window = (at_s - _WINDOW / 3 * wait_s, at_s + _WINDOW * wait_s)
    low, high = bisect_right(ended, window[0]), bisect_right(sent, window[1])
    margin = 0.04 * (high - low)
    shapes, notes = _gaps(sent, first, at_s, later_s)
    if cap is not None:
        shapes.append(horizontal(cap, "x domain", width=2.5, dash="dash"))
        under: Json = {"xref": "x domain", "yanchor": "top", "yshift": -4}
        words = f"<b>the server runs {cap} at most</b>"
        notes.append(note(words, 0.5, cap, colour=theme.PAPER, **under))
    layout = theme.layout(
        "Who runs, and who waits for the first token",
        law,
        report.provenance,
        height=560,
        margin={"l": 84, "r": 30, "t": 110, "b": 176},
        legend={"orientation": "h", "x": 0, "y": -0.24, "yanchor": "top", "traceorder": "normal"},
        foot_px=122,
        xaxis=axis("seconds since the start", domain=_LEFT, anchor="y"),
        yaxis=axis("requests in flight", rangemode="tozero", anchor="x"),
        xaxis2=axis("seconds, a part of the run", domain=_RIGHT, range=window, anchor="y2"),
        yaxis2=axis(
            "requests so far", range=[low - margin, high + margin], tickformat=",", anchor="x2"
        ),
        shapes=shapes,
        annotations=notes,
    )
    lines = [
        _steps("sent", sent, theme.ORANGE, "solid"),
        _steps("first token", first, theme.BLUE, "dash"),
        _steps("finished", ended, theme.GREEN, "dot"),
    ]
    running = (sum(ended) - sum(first)) / report.duration_s
    waiting = sum(record.ttft_s for record in done) / report.duration_s
    rows = (
        ("in flight, mean", f"{running + waiting:,.1f}"),
        ("running (receiving tokens), mean", f"{running:,.1f}"),
        ("waiting for the first token, mean", f"{waiting:,.1f}"),
        *((("the server runs at most", f"{cap:,}"),) if cap is not None else ()),
        ("mean TTFT", duration(report.ttft.mean)),
    )
    head = ("requests", "value")
    table = FigureTable(f"Little's law: {law}.", head, rows, report.provenance)
    return Figure([*areas, *lines], layout, table)


def _moment(sent: Sequence[float], first: Sequence[float], wait_s: float) -> tuple[float, float]:
    """When the n-th request was sent and when the n-th first token came, for the n of the middle
    half that is most like the mean wait."""
    quarter = len(sent) // 4
    middle = zip(sent[quarter : len(sent) - quarter], first[quarter:], strict=False)
    return min(middle, key=lambda pair: abs(pair[1] - pair[0] - wait_s))


def _steps(name: str, times_s: Sequence[float], colour: str, dash: str) -> go.Scatter:
    """How many by then, over the part of the run at the right."""
    at, count = cumulative(times_s, points=600)
    return go.Scatter(
        x=rounded(at, 2),
        y=count,
        name=name,
        xaxis="x2",
        yaxis="y2",
        line={"color": colour, "width": 3, "dash": dash, "shape": "hv"},
        hovertemplate="%{y:,} " + name + " by %{x:.1f} s<extra></extra>",
    )


def _gaps(
    sent_s: Sequence[float], first_s: Sequence[float], at_s: float, later_s: float
) -> tuple[list[Json], list[Json]]:
    """The two arrows between sent and first token: up is how many wait, across is how long."""
    sent, begun = bisect_right(sent_s, at_s), bisect_right(first_s, at_s)
    red: Json = {"colour": theme.DEEP_RED, "xref": "x2", "yref": "y2"}
    shapes = [
        vertical(at_s, y=(begun, sent), width=2.5, **red),
        horizontal(sent, x=(at_s, later_s), width=2.5, **red),
    ]
    waiting, middle = f"<b>{sent - begun} wait<br>at {at_s:.0f} s</b>", sent - 0.33 * (sent - begun)
    wait, along = f"<b>{later_s - at_s:.1f} s</b>", at_s + 0.64 * (later_s - at_s)
    notes = [
        note(waiting, at_s, middle, xanchor="left", xshift=6, align="left", **red),
        note(wait, along, sent, yanchor="bottom", yshift=1, **red),
    ]
    return shapes, notes
