"""What the drawings share: a palette that survives colour blindness, letters, a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

INK = "#1f2933"
QUIET = "#52606d"
GRID = "#d9e0e6"
PAPER = "#ffffff"
BLUE = "#0072b2"  # Okabe and Ito's
ORANGE = "#e69f00"
SHARPER = 3  # drawn that much larger, then shrunk: Pillow's lines have no soft edges


@dataclass(frozen=True)
class Drawing:
    """A picture, what is in it (`data`, to check an answer by), and the same in words (`alt`)."""

    name: str
    picture: Image.Image = field(repr=False)
    data: Mapping[str, Any]
    alt: str

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        import io

        out = io.BytesIO()
        self.picture.save(out, "PNG")
        return shown(out.getvalue(), "image/png", self.alt)


def shown(data: bytes, media_type: str, alt: str) -> dict[str, str]:
    """A picture in a notebook, and its words for who cannot see it."""
    import base64
    from html import escape

    source = f"data:{media_type};base64,{base64.b64encode(data).decode()}"
    html = f'<img src="{source}" alt="{escape(alt)}" style="max-width:100%">'
    return {"text/html": html, "text/plain": alt}


def page(width: int, height: int) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """A white page and a pen for it. Draw SHARPER times as large, and `finish` it."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (width * SHARPER, height * SHARPER), PAPER)
    return image, ImageDraw.Draw(image)


def finish(image: Image.Image) -> Image.Image:
    from PIL import Image

    small = (image.width // SHARPER, image.height // SHARPER)
    return image.resize(small, Image.Resampling.BOX)


def letters(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font that comes with Pillow, at `size` pixels of the finished picture."""
    from PIL import ImageFont

    return ImageFont.load_default(size * SHARPER)


def at(*places: float) -> tuple[float, ...]:
    """Places in the finished picture → places on the page."""
    return tuple(place * SHARPER for place in places)


def spot(x: float, y: float) -> tuple[float, float]:
    """The same for one place."""
    return x * SHARPER, y * SHARPER
