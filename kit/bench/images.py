"""Images to benchmark with: real JPEG files of random noise, as `sglang.bench_serving` makes them.

Noise compresses badly and no two images are alike, so a server decodes, resizes and encodes each
of them: none comes from a cache. Names of sizes, quality and what is counted: sglang 0.5.23,
benchmark/datasets/image.py.
"""

from __future__ import annotations

import base64
import io

import numpy as np

from kit.errors import InvalidValue
from kit.models.image_tokens import DELIMITERS, image_tokens

RESOLUTIONS = {"4k": (3840, 2160), "1080p": (1920, 1080), "720p": (1280, 720), "360p": (640, 360)}
QUALITY = 85


def size(resolution: str) -> tuple[int, int]:
    """(width, height) in pixels of `720p`, or of `HEIGHTxWIDTH` in bench_serving's order.

    Raises InvalidValue.
    """
    if resolution in RESOLUTIONS:
        return RESOLUTIONS[resolution]
    height, _, width = resolution.strip().lower().partition("x")
    if not (height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise InvalidValue(
            f"image_resolution is {resolution!r}",
            f"one of {', '.join(RESOLUTIONS)}, or HEIGHTxWIDTH like 1080x1920",
        )
    return int(width), int(height)


def tokens(resolution: str) -> tuple[int, int]:
    """(vision tokens, tokens in all with the two delimiters) of one image. Raises InvalidValue."""
    inside = image_tokens(*size(resolution))
    return inside, inside + DELIMITERS


def jpeg(resolution: str, seed: tuple[int, ...]) -> bytes:
    """A JPEG file of noise; the same seed gives the same image."""
    from PIL import Image

    width, height = size(resolution)
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, format="jpeg", quality=QUALITY)
    return file.getvalue()


def data_uri(file: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(file).decode()
