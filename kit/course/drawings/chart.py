"""A bar chart without numbers on its bars: they have to be read off the axis."""

from __future__ import annotations

import math
from collections.abc import Mapping

from kit.course.drawings.canvas import BLUE, GRID, QUIET, Drawing, Page
from kit.errors import InvalidValue

SIZE = WIDTH, HEIGHT = 1280, 720
VISITORS: Mapping[str, int] = {"Mon": 34, "Tue": 47, "Wed": 28, "Thu": 61, "Fri": 75, "Sat": 52}
_LEFT, _RIGHT, _TOP, _BOTTOM = 130, 1230, 110, 600
_STEP = 10
_MOST_BARS = 12


def chart(
    values: Mapping[str, float] = VISITORS, title: str = "Visitors of a small museum, by day"
) -> Drawing:
    """Bars of `values`, from 0 up. Raises InvalidValue for none, too many, or one below 0."""
    if not 0 < len(values) <= _MOST_BARS or min(values.values()) < 0:
        raise InvalidValue(f"a chart of {dict(values)}", f"1 to {_MOST_BARS} bars, none below 0")
    top = max(_STEP, math.ceil(max(values.values()) / _STEP) * _STEP)
    page = Page(WIDTH, HEIGHT)

    def height_of(value: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * value / top

    page.text(_LEFT, 36, title, 34)
    for tick in range(0, top + 1, max(_STEP, round(top / 8 / _STEP) * _STEP)):
        y = height_of(tick)
        page.line(_LEFT, y, _RIGHT, y, fill=GRID if tick else QUIET, width=2)
        page.text(_LEFT - 16, y, str(tick), 26, QUIET, "rm")
    room = (_RIGHT - _LEFT) / len(values)
    for i, (label, value) in enumerate(values.items()):
        middle = _LEFT + room * (i + 0.5)
        left, right = middle - room * 0.3, middle + room * 0.3
        page.rectangle(left, height_of(value), right, _BOTTOM, fill=BLUE)
        page.text(middle, _BOTTOM + 18, label, 30, anchor="ma")
    page.text((_LEFT + _RIGHT) / 2, 672, "day", 26, QUIET, "mm")
    said = ", ".join(f"{label} {value:g}" for label, value in values.items())
    return Drawing("chart", page.finished(), dict(values), f"Bar chart, {title}: {said}.")
