"""The still pictures: a bar chart to read off, a square with circles, a receipt, a letter."""

from __future__ import annotations

import math
from collections.abc import Mapping

from kit.course.drawings.canvas import BLUE, GRID, INK, QUIET, Drawing, Page
from kit.errors import InvalidValue

CHART_SIZE = (1280, 720)
GEOMETRY_SIZE = (640, 576)
RECEIPT_SIZE = (480, 640)
LETTER_SIZE = (704, 800)  # of TEXT; a longer one makes the page longer
VISITORS: Mapping[str, int] = {"Mon": 34, "Tue": 47, "Wed": 28, "Thu": 61, "Fri": 75, "Sat": 52}
_LEFT, _RIGHT, _TOP, _BOTTOM = 130, 1230, 110, 600  # of the chart's area
_STEP = 10
_MOST_BARS = 12
_SQUARE = (215, 183, 425, 393)
_LINE = 3
# corner → centre and radius in pixels; two large circles face each other, and two small ones
_CIRCLES = {
    "top right": (438, 170, 112),
    "bottom left": (202, 406, 112),
    "top left": (196, 164, 62),
    "bottom right": (444, 412, 62),
}
CAFE = "Harbour Kitchen"
DATE = "2026-03-14  10:42"
ITEMS = (  # what, how many, price of one in cents
    ("Filter coffee", 2, 280),
    ("Cinnamon roll", 3, 345),
    ("Tea, pot", 1, 420),
    ("Rye sandwich", 1, 690),
)
TEXT = """\
The lighthouse keeper's log, 3 November.

Wind from the north-west, strong since noon. Seven ships passed before dark; the last of them, \
a schooner with a torn sail, dipped her flag and went on towards the bay.

I trimmed the lamp twice, at nine and again at half past two. Oil for eleven days is left. The \
boat with the new barrels was promised for Tuesday, and I have learnt not to count on Tuesdays.

The cat has taken to sleeping under the lens, where it is warm."""
_LINE_PX = 46  # of the receipt
_WIDEST = 42  # characters in a line of the letter


def chart(
    values: Mapping[str, float] = VISITORS, title: str = "Visitors of a small museum, by day"
) -> Drawing:
    """Bars of `values`, from 0 up, without numbers on them: those are read off the axis.

    Raises InvalidValue for none, too many, or one below 0."""
    if not 0 < len(values) <= _MOST_BARS or min(values.values()) < 0:
        raise InvalidValue(f"a chart of {dict(values)}", f"1 to {_MOST_BARS} bars, none below 0")
    top = max(_STEP, math.ceil(max(values.values()) / _STEP) * _STEP)
    page = Page(*CHART_SIZE)

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


def geometry(circles: int = 4) -> Drawing:
    """A square with `circles` of four on its corners, the large ones first.

    After the figure of the cookbook's example. Raises InvalidValue for another number."""
    if not 0 <= circles <= len(_CIRCLES):
        raise InvalidValue(f"{circles} circles on a square", f"0 to {len(_CIRCLES)}")
    page = Page(*GEOMETRY_SIZE)
    page.rectangle(*_SQUARE, outline=INK, width=_LINE)
    drawn = dict(list(_CIRCLES.items())[:circles])
    for circle in drawn.values():
        page.circle(*circle, width=_LINE)
    sizes = {where: "large" if r > 100 else "small" for where, (_, _, r) in drawn.items()}
    said = ", ".join(f"a {size} one at the {where}" for where, size in sizes.items())
    return Drawing(
        name="geometry" if circles == len(_CIRCLES) else f"geometry-{circles}",
        picture=page.finished(),
        data={"squares": 1, "circles": sizes},
        alt=f"Line drawing: a square, and circles that cut its corners: {said or 'none'}.",
    )


def receipt() -> Drawing:
    """A bill of four lines. Its data: the items, and the total, in euros."""
    width, height = RECEIPT_SIZE
    page = Page(width, height)
    page.text(width / 2, 60, CAFE, 34, anchor="mm")
    page.text(width / 2, 108, DATE, 24, QUIET, "mm")
    y = 170
    for what, count, cents in ITEMS:
        page.text(40, y, f"{count} x {what}", 24, anchor="lm")
        page.text(440, y, _euros(count * cents), 24, anchor="rm")
        y += _LINE_PX
    total = sum(count * cents for _, count, cents in ITEMS)
    page.line(40, y - 8, 440, y - 8, width=2)
    for label, size in (("TOTAL", 34), ("paid by card", 24)):
        y += _LINE_PX
        page.text(40, y, label, size, anchor="lm")
        page.text(440, y, f"EUR {_euros(total)}", size, anchor="rm")
    page.text(width / 2, 580, "Thank you, and come back!", 24, QUIET, "mm")
    data = {what: count * cents / 100 for what, count, cents in ITEMS}
    said = "; ".join(f"{count} {what}" for what, count, _ in ITEMS)
    return Drawing(
        "receipt",
        page.finished(),
        {"items": data, "total": total / 100},
        f"Receipt of {CAFE}, {DATE}: {said}; total {_euros(total)} euros.",
    )


def letter(text: str = TEXT) -> Drawing:
    """A page of text. Its data: the text."""
    import textwrap

    lines: list[str] = []
    for paragraph in text.split("\n\n"):
        lines += [*textwrap.wrap(paragraph, _WIDEST), ""]
    width = LETTER_SIZE[0]
    height = max(LETTER_SIZE[1], -(-(100 + 40 * len(lines)) // 32) * 32)
    page = Page(width, height)
    for i, line in enumerate(lines):
        page.text(56, 56 + 40 * i, line, 27)
    return Drawing("letter", page.finished(), {"text": text}, f"A page of text: {text}")


def _euros(cents: int) -> str:
    return f"{cents / 100:.2f}"
