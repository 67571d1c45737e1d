"""Image tokens against transformers' own resize, exact."""

from __future__ import annotations

import pytest
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize as theirs

from kit.models import model
from kit.models.images import MAX_PIXELS, MIN_PIXELS, smart_resize

SIZES = [  # (width, height), 1x1 to 8k, odd ones and the edges of the limits
    (1, 1), (1, 200), (17, 31), (32, 32), (64, 48), (224, 224), (255, 257), (256, 256),
    (640, 360), (640, 480), (800, 600), (1024, 1024), (1280, 720), (1366, 768), (1920, 1080),
    (2560, 1440), (3840, 2160), (4096, 4096), (4097, 4095), (6000, 100), (7680, 4320), (8192, 8192),
]  # fmt: skip


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_an_image_costs_what_transformers_resizes_it_to(width: int, height: int) -> None:
    resized = theirs(height, width, factor=32, min_pixels=MIN_PIXELS, max_pixels=MAX_PIXELS)
    assert smart_resize(height, width) == tuple(resized)
    vision = model("397b").vision
    assert vision is not None
    assert vision.image_tokens(width, height) == resized[0] * resized[1] // 32**2


@pytest.mark.parametrize("max_pixels", [256 * 32 * 32, 1280 * 720])
def test_other_limits_resize_alike(max_pixels: int) -> None:
    for width, height in SIZES:
        resized = theirs(height, width, factor=32, min_pixels=MIN_PIXELS, max_pixels=max_pixels)
        ours = smart_resize(height, width, max_pixels=max_pixels)
        assert ours == tuple(resized), (width, height)
