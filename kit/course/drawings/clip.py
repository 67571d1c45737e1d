"""A short film with an event: a ball rolls past, and while it rolls a lamp comes on."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kit.course.drawings.canvas import BLUE, GRID, ORANGE, Page, shown
from kit.vision.avi import Film
from kit.vision.file_picture import has_pillow

SIZE = WIDTH, HEIGHT = 448, 256
FPS = 8
SECONDS = 4
LAMP_ON_S = 2.5
_QUALITY = 88
_FLOOR, _RADIUS = 220, 28
_LAMP = (374, 48, 26)  # centre and radius


@dataclass(frozen=True)
class Clip:
    """A film, what happens in it (`data`), and the same in words (`alt`)."""

    name: str
    film: Film = field(repr=False)
    data: Mapping[str, Any]
    alt: str

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """An animated GIF, which plays in any notebook; without Pillow a picture from it."""
        if not has_pillow():
            late = self.film.jpegs[round(LAMP_ON_S * FPS) + 2]
            return shown(late, "image/jpeg", self.alt)
        from PIL import Image

        frames = [Image.open(io.BytesIO(jpeg)) for jpeg in self.film.jpegs]
        out = io.BytesIO()
        frames[0].save(
            out, "GIF", save_all=True, append_images=frames[1:], duration=1000 / FPS, loop=0
        )
        return shown(out.getvalue(), "image/gif", self.alt)


def clip() -> Clip:
    """Four seconds, eight frames per second. Its data: when the lamp comes on, and the colours."""
    jpegs = tuple(_frame(i / FPS) for i in range(FPS * SECONDS))
    return Clip(
        name="clip",
        film=Film(jpegs, FPS, WIDTH, HEIGHT),
        data={"lamp_on_s": LAMP_ON_S, "lamp": "orange", "ball": "blue", "moves": "left to right"},
        alt=(
            f"A film of {SECONDS} seconds: a blue ball rolls from left to right; "
            f"an orange lamp at the upper right comes on at {LAMP_ON_S} seconds."
        ),
    )


def _frame(t_s: float) -> bytes:
    page = Page(WIDTH, HEIGHT)
    page.line(0, _FLOOR, WIDTH, _FLOOR, width=3)
    x = _RADIUS + 12 + (WIDTH - 2 * (_RADIUS + 12)) * t_s / SECONDS
    page.circle(x, _FLOOR - _RADIUS - 2, _RADIUS, fill=BLUE)
    lamp_x, lamp_y, _ = _LAMP
    page.line(lamp_x, 0, lamp_x, lamp_y, width=3)
    page.circle(*_LAMP, fill=ORANGE if t_s >= LAMP_ON_S else GRID, width=3)
    out = io.BytesIO()
    page.finished().save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()
