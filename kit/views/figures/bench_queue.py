"""A long TTFT shown to be a queue: who waits, who runs, and Little's law between them.

little(bench.predict("h200x8", like="cookbook-throughput"), cap=48)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from kit.bench.record import Record
from kit.bench.report import Report
from kit.errors import InvalidValue
from kit.views import theme
from kit.views.figure import Figure, FigureTable
from kit.views.figures.bench_run import stacked
from kit.views.figures.bench_series import RunSeries, cumulative
from kit.views.figures.elements import axis, duration, horizontal, note, vertical

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
    time_s = [round(float(at), 2) for at in series.time_s]
    areas = stacked(
        time_s,
        ("running: receiving tokens", [round(float(n), 1) for n in series.receiving]),
        ("waiting for the first token", [round(float(n), 1) for n in series.waiting]),
    )
    wait_s = report.ttft.mean / 1e3
    at_s, later_s = _moment(done, wait_s)
    lines = _curves(done)
    law = _law(report, len(done))
    window = (at_s - _WINDOW / 3 * wait_s, at_s + _WINDOW * wait_s)
    shapes, notes = _gaps(done, at_s, later_s)
    if cap is not None:
        shapes.append(horizontal(cap, "x domain", width=2.5, dash="dash"))
        notes.append(
            note(
                f"<b>the server runs {cap} at most</b>",
                0.5,
                cap,
                colour=theme.PAPER,
                xref="x domain",
                yanchor="top",
                yshift=-4,
            )
        )
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
            "requests so far", range=_counts_between(done, window), tickformat=",", anchor="x2"
        ),
        shapes=shapes,
        annotations=notes,
    )
    return Figure([*areas, *lines], layout, _table(report, done, cap, law))


def _law(report: Report, done: int) -> str:
    """Little's law with the run's own figures."""
    assert report.duration_s is not None
    assert report.ttft.mean is not None
    rate, wait_s = done / report.duration_s, report.ttft.mean / 1e3
    return (
        f"{rate:.2f} requests/s × {wait_s:.1f} s until the first token "
        f"= {rate * wait_s:.1f} requests that wait"
    )


def _moment(done: Sequence[Record], wait_s: float) -> tuple[float, float]:
    """When the n-th request was sent and when the n-th first token came, for the n of the middle
    half that is most like the mean wait."""
    sent = sorted(record.sent_s for record in done)
    first = sorted(record.times_s[0] for record in done)
    quarter = len(done) // 4
    middle = range(quarter, len(done) - quarter)
    n = min(middle, key=lambda i: abs(first[i] - sent[i] - wait_s))
    return sent[n], first[n]


def _curves(done: Sequence[Record]) -> list[go.Scatter]:
    kinds: list[tuple[str, list[float], str, str]] = [
        ("sent", [r.sent_s for r in done], theme.ORANGE, "solid"),
        ("first token", [r.times_s[0] for r in done], theme.BLUE, "dash"),
        ("finished", [r.ended_s for r in done], theme.GREEN, "dot"),
    ]
    curves = []
    for name, times, colour, dash in kinds:
        at, count = cumulative(times, points=600)
        curves.append(
            go.Scatter(
                x=[round(float(t), 2) for t in at],
                y=[int(n) for n in count],
                name=name,
                xaxis="x2",
                yaxis="y2",
                line={"color": colour, "width": 3, "dash": dash, "shape": "hv"},
                hovertemplate="%{y:,} " + name + " by %{x:.1f} s<extra></extra>",
            )
        )
    return curves


def _by(times: Sequence[float], at_s: float) -> int:
    return sum(time <= at_s for time in times)


def _counts_between(done: Sequence[Record], window: tuple[float, float]) -> list[float]:
    low = _by([r.ended_s for r in done], window[0])
    high = _by([r.sent_s for r in done], window[1])
    return [low - 0.04 * (high - low), high + 0.04 * (high - low)]


def _gaps(
    done: Sequence[Record], at_s: float, later_s: float
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The two arrows between sent and first token: up is how many wait, across is how long."""
    sent = _by([r.sent_s for r in done], at_s)
    begun = _by([r.times_s[0] for r in done], at_s)
    axes = {"xref": "x2", "yref": "y2"}
    red: dict[str, Any] = {"colour": theme.DEEP_RED, **axes}
    shapes = [
        vertical(at_s, y=(begun, sent), width=2.5, **red),
        horizontal(sent, x=(at_s, later_s), width=2.5, **red),
    ]
    waiting, middle = f"<b>{sent - begun} wait</b>", sent - 0.4 * (sent - begun)
    wait, along = f"<b>{later_s - at_s:.1f} s</b>", at_s + 0.64 * (later_s - at_s)
    notes = [
        note(waiting, at_s, middle, xanchor="left", xshift=6, **red),
        note(wait, along, sent, yanchor="bottom", yshift=1, **red),
    ]
    return shapes, notes


def _table(report: Report, done: Sequence[Record], cap: int | None, law: str) -> FigureTable:
    assert report.duration_s is not None
    running = sum(r.ended_s - r.times_s[0] for r in done) / report.duration_s
    waiting = sum(r.ttft_s for r in done) / report.duration_s
    rows = (
        ("in flight, mean", f"{running + waiting:,.1f}"),
        ("running (receiving tokens), mean", f"{running:,.1f}"),
        ("waiting for the first token, mean", f"{waiting:,.1f}"),
        *((("the server runs at most", f"{cap:,}"),) if cap is not None else ()),
        ("mean TTFT", duration(report.ttft.mean or 0.0)),
    )
    return FigureTable(f"Little's law: {law}.", ("requests", "value"), rows, report.provenance)
