"""How many tokens an image becomes.

A copy in arithmetic of transformers' `smart_resize` (models/qwen2_vl/image_processing_qwen2_vl.py):
sides are rounded to multiples of 32, then the whole is scaled until its area lies
between the processor's two limits.
"""

from __future__ import annotations

import math

from kit.errors import InvalidValue

MIN_PIXELS = 65_536  # the released processor's limits
MAX_PIXELS = 16_777_216
MAX_RATIO = 200
DELIMITERS = 2  # <|vision_start|> and <|vision_end|> around each image


def smart_resize(
    height: int,
    width: int,
    factor: int = 32,
    min_pixels: int = MIN_PIXELS,
    max_pixels: int = MAX_PIXELS,
) -> tuple[int, int]:
    """(height, width) in pixels that the vision tower sees; both multiples of `factor`.

    Raises InvalidValue for sides under 1, or one 200 times the other.
    """
    if height < 1 or width < 1:
        raise InvalidValue(
            f"an image of {width}x{height} pixels", "both sides are at least one pixel"
        )
    if max(height, width) / min(height, width) > MAX_RATIO:
        raise InvalidValue(
            f"{width}x{height}: one side is more than {MAX_RATIO} times the other",
            "crop it first; the processor refuses such strips",
        )
    rows = round(height / factor) * factor
    columns = round(width / factor) * factor
    if rows * columns > max_pixels:
        shrink = math.sqrt(height * width / max_pixels)
        rows = max(factor, math.floor(height / shrink / factor) * factor)
        columns = max(factor, math.floor(width / shrink / factor) * factor)
    elif rows * columns < min_pixels:
        grow = math.sqrt(min_pixels / (height * width))
        rows = math.ceil(height * grow / factor) * factor
        columns = math.ceil(width * grow / factor) * factor
    return rows, columns
