"""How many tokens an image or a video becomes.

A copy in arithmetic of what happens to them behind SGLang 0.5.23:

    images  transformers' `smart_resize` (models/qwen2_vl/image_processing_qwen2_vl.py): sides are
            rounded to multiples of 32, then scaled until the area lies between two limits
    videos  SGLang picks frames and bounds their size (multimodal/processors/qwen_vl.py), then
            transformers does (models/qwen3_vl/video_processing_qwen3_vl.py); two frames make one
            row of tokens, and a time stamp stands before each row
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from kit.errors import InvalidValue

TOKEN_SIDE = 32  # pixels: a patch of 16, merged two by two
MIN_PIXELS = 65_536  # the released processor's limits
MAX_PIXELS = 16_777_216
MAX_RATIO = 200
DELIMITERS = 2  # <|vision_start|> and <|vision_end|> around each image

FRAMES_PER_S = 2.0  # SGLang's, where a request does not say it
MIN_FRAMES, MAX_FRAMES = 4, 768
_TEMPORAL_PATCH = 2  # frames in one row of tokens
_SGLANG_SIDE = 28  # SGLang's own first resize goes by the older models' patches
_SGLANG_FRAME_PIXELS = (128 * 28**2, 768 * 28**2)
_SGLANG_VIDEO_PIXELS = int(128_000 * 28**2 * 0.9)
_VIDEO_PIXELS = (4_096, 25_165_824)  # of all frames together: the processor released with Qwen3-VL


def smart_resize(
    height: int,
    width: int,
    factor: int = TOKEN_SIDE,
    min_pixels: int = MIN_PIXELS,
    max_pixels: int = MAX_PIXELS,
    frames: int = 1,
) -> tuple[int, int]:
    """(height, width) in pixels that the vision tower sees; both multiples of `factor`.

    The limits are those of all `frames` together.
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
    if frames * rows * columns > max_pixels:
        shrink = math.sqrt(frames * height * width / max_pixels)
        rows = max(factor, math.floor(height / shrink / factor) * factor)
        columns = max(factor, math.floor(width / shrink / factor) * factor)
    elif frames * rows * columns < min_pixels:
        grow = math.sqrt(min_pixels / (frames * height * width))
        rows = math.ceil(height * grow / factor) * factor
        columns = math.ceil(width * grow / factor) * factor
    return rows, columns


def image_tokens(width: int, height: int) -> int:
    """Vision tokens of an image: 880 for 1280 × 720. The two delimiters are not among them."""
    rows, columns = smart_resize(height, width)
    return rows * columns // TOKEN_SIDE**2


@dataclass(frozen=True)
class VideoCost:
    """What a video costs: the frames that the server looks at, and rows of `row_tokens` each.

    `times_s` is the time stamp of each row. `tokens` counts vision tokens alone; the prompt also
    holds the time stamps, and the two delimiters of each row.
    """

    frames: tuple[int, ...]
    width: int
    height: int
    times_s: tuple[float, ...]

    @property
    def row_tokens(self) -> int:
        return self.width * self.height // TOKEN_SIDE**2

    @property
    def tokens(self) -> int:
        return self.row_tokens * len(self.times_s)


def video_cost(
    count: int, fps: float, width: int, height: int, pixels: tuple[int, int] = _VIDEO_PIXELS
) -> VideoCost:
    """The cost of a video of `count` frames, `fps` per second. `pixels` are the processor's limits.

    Raises InvalidValue for a video of fewer than two frames, without a rate, or a strip.
    """
    if count < _TEMPORAL_PATCH or fps <= 0:
        raise InvalidValue(f"a video of {count} frames, {fps:g} per second", "send it as an image")
    wanted = max(count / fps * FRAMES_PER_S, MIN_FRAMES)
    taken = _even(min(wanted, MAX_FRAMES, _even(count)))
    step = (count - 1) / (taken - 1)
    frames = (*(int(i * step) for i in range(taken - 1)), count - 1)
    least, most = _SGLANG_FRAME_PIXELS
    most = int(max(min(most, _SGLANG_VIDEO_PIXELS / taken * _TEMPORAL_PATCH), int(least * 1.05)))
    rows, columns = smart_resize(height, width, _SGLANG_SIDE, least, most)
    rows, columns = smart_resize(rows, columns, TOKEN_SIDE, *pixels, taken)
    ends = zip(frames[::2], frames[1::2], strict=True)
    return VideoCost(frames, columns, rows, tuple((a + b) / 2 / fps for a, b in ends))


def _even(number: float) -> int:
    return math.floor(number / _TEMPORAL_PATCH) * _TEMPORAL_PATCH
