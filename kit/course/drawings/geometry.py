"""A square with a circle on each corner, after the figure of the cookbook's example."""

from __future__ import annotations

from kit.course.drawings.canvas import INK, Drawing, Page
from kit.errors import InvalidValue

SIZE = WIDTH, HEIGHT = 640, 576
_SQUARE = (215, 183, 425, 393)
_LINE = 3
# corner → centre and radius in pixels; two large circles face each other, and two small ones
_CIRCLES = {
    "top right": (438, 170, 112),
    "bottom left": (202, 406, 112),
    "top left": (196, 164, 62),
    "bottom right": (444, 412, 62),
}


def geometry(circles: int = 4) -> Drawing:
    """`circles` of the four, the large ones first. Raises InvalidValue for another number."""
    if not 0 <= circles <= len(_CIRCLES):
        raise InvalidValue(f"{circles} circles on a square", f"0 to {len(_CIRCLES)}")
    page = Page(WIDTH, HEIGHT)
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
