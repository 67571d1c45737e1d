"""What pictures and a minute of video cost, in tokens and as shares of the context.

image_costs()
"""

from __future__ import annotations

from kit.models import model
from kit.models.image_tokens import DELIMITERS, image_tokens, smart_resize, video_cost
from kit.views.figure import FigureTable
from kit.vision.image_part import COUNTED, by

SIZES = {  # what it is → width and height in pixels
    "photo of a phone, 12 megapixels": (4032, 3024),
    "4K screen": (3840, 2160),
    "1080p": (1920, 1080),
    "720p": (1280, 720),
    "360p": (640, 360),
    "icon": (64, 64),
}
MINUTE = (60 * 30, 30, 1280, 720)  # frames, frames per second, pixels


def image_costs() -> FigureTable:
    """Tokens of pictures by size, and of a minute of video; as shares of the context."""
    context = model("397b").max_position_embeddings
    rows = []
    for name, (width, height) in SIZES.items():
        tall, wide = smart_resize(height, width)
        tokens = image_tokens(width, height) + DELIMITERS
        rows.append((name, by((width, height)), by((wide, tall)), f"{tokens:,}"))
    film = video_cost(*MINUTE)
    size = by(MINUTE[2:])
    seen = f"{len(film.frames)} frames of {by((film.width, film.height))}"
    rows.append(("a minute of 720p video", size, seen, f"{film.tokens:,}"))
    shares = (f"{100 * int(row[-1].replace(',', '')) / context:.2f}" for row in rows)
    return FigureTable(
        f"One token is 32 × 32 pixels; {DELIMITERS} more stand around each picture.",
        ("picture", "pixels", "the model sees", "tokens", f"% of {context:,} tokens"),
        tuple((*row, share) for row, share in zip(rows, shares, strict=True)),
        COUNTED,
        folded=False,
    )
