"""Image and video tokens against transformers' processors and SGLang's choice of frames, exact."""

from __future__ import annotations

import asyncio
import io

import pytest
import torch
from PIL import Image
from sglang.srt.multimodal.processors.qwen_vl import preprocess_video
from sglang.srt.utils.video_decoder import VideoDecoderWrapper
from transformers import Qwen2VLImageProcessorFast
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize as theirs
from transformers.models.qwen3_vl.processing_qwen3_vl import Qwen3VLProcessor
from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor

from kit.models import model
from kit.models.image_tokens import MAX_PIXELS, MIN_PIXELS, smart_resize, video_cost
from kit.vision import image

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


# --- the whole processor, pixels and all: what comes out of it is as many tokens as we say


@pytest.mark.parametrize("size", [(64, 64), (1280, 720), (480, 640), (333, 777), (1023, 1999)])
@pytest.mark.parametrize("cap", [None, 150_000])
def test_the_processor_makes_as_many_tokens_of_a_part(
    size: tuple[int, int], cap: int | None
) -> None:
    part = image(Image.new("RGB", size, "teal"), max_pixels=cap)
    processor = Qwen2VLImageProcessorFast(
        patch_size=16,
        merge_size=2,
        temporal_patch_size=2,
        size={"shortest_edge": MIN_PIXELS, "longest_edge": MAX_PIXELS},
    )
    made = processor(Image.open(io.BytesIO(part.data)), return_tensors="pt")
    (grid,) = made["image_grid_thw"].tolist()
    assert part.tokens == grid[0] * grid[1] * grid[2] // 4
    assert made["pixel_values"].shape[0] == 4 * part.tokens
    assert part.seen == (grid[2] * 16, grid[1] * 16)


class Frames(VideoDecoderWrapper):
    """A video that needs no decoder: grey frames of a size, so many per second."""

    def __init__(self, count: int, fps: float, size: tuple[int, int]) -> None:
        self._count, self._fps, self._size = count, fps, size

    def __len__(self) -> int:
        return self._count

    @property
    def avg_fps(self) -> float:
        return self._fps

    def get_frames_as_tensor(self, indices: list[int]) -> torch.Tensor:
        width, height = self._size
        return torch.zeros((len(indices), height, width, 3), dtype=torch.uint8)


@pytest.mark.parametrize(
    ("count", "fps", "size"),
    [
        (32, 8, (448, 256)),  # the kit's clip
        (2, 8, (448, 256)),
        (3, 1, (64, 48)),
        (5, 30, (640, 360)),
        (100, 25, (1280, 720)),
        (31, 23.976, (333, 777)),
        (400, 10, (320, 240)),
    ],
)
def test_a_video_costs_what_sglang_and_transformers_make_of_it(
    count: int, fps: float, size: tuple[int, int]
) -> None:
    picked, metadata = asyncio.run(preprocess_video(Frames(count, fps, size)))
    limits = (4_096, 25_165_824)
    processor = Qwen3VLVideoProcessor(
        size={"shortest_edge": limits[0], "longest_edge": limits[1]}, do_sample_frames=False
    )
    made = processor([picked], return_tensors="pt", cap_pixels_per_frame=False)
    (grid,) = made["video_grid_thw"].tolist()
    cost = video_cost(count, fps, *size, pixels=limits)
    assert list(cost.frames) == metadata["frames_indices"].tolist()
    assert (len(cost.times_s), cost.height, cost.width) == (grid[0], grid[1] * 16, grid[2] * 16)
    assert cost.tokens == grid[0] * grid[1] * grid[2] // 4
    stamps = Qwen3VLProcessor._calculate_timestamps(None, metadata["frames_indices"], fps)
    assert list(cost.times_s) == pytest.approx(stamps)
