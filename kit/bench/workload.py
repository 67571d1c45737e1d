"""What a benchmark asks for: how many requests, how long, and when they are sent.

Lengths are drawn as `sglang.bench_serving` draws them, from numpy's legacy generator, so that the
same options and seed give the same requests here, in the twin and in their own tool:

    Workload(1000, 1000, 10, seed=1)  →  6101 tokens in, 4220 out: the cookbook's latency run

"1000 in, 1000 out" is therefore an upper bound: lengths are uniform from 1 up, half of it on
average. `range_ratio=1` gives exact lengths. The default seed is 42, as in SGLang since 0.5.14;
before, it was 1.

    Workload(128, 1024, 10, dataset="image", image_count=2)  →  two 720p images before each text

The text beside images is drawn by the same rule: "128 tokens" is 1 to 128 of them.
"""

from __future__ import annotations

import functools
import io
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from kit.bench.without_numpy import LegacyRandom
from kit.errors import InvalidValue
from kit.models.image_tokens import DELIMITERS, image_tokens

PLAIN_TOKENS = 248_044  # Qwen3.5's ids below this are text; the special tokens stand above
DATASETS = ("random", "random-ids", "image")
RESOLUTIONS = {"4k": (3840, 2160), "1080p": (1920, 1080), "720p": (1280, 720), "360p": (640, 360)}
JPEG_QUALITY = 85  # as sglang 0.5.23 has it, benchmark/datasets/image.py; so are the names above


@dataclass(frozen=True)
class Workload:
    """Requests of random lengths, closed loop (`max_concurrency`) or by a Poisson rate, or both.

    `ramp` is an open loop too: a Poisson process whose rate grows evenly from its first to its
    second number of requests per second, over the time in which all are sent.
    Raises InvalidValue for what no benchmark can send.
    """

    input_len: int
    output_len: int
    num_prompts: int
    max_concurrency: int | None = None
    request_rate: float = math.inf
    seed: int = 42
    range_ratio: float = 0.0
    dataset: str = "random"
    image_count: int = 1
    image_resolution: str = "720p"
    ramp: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for name in ("input_len", "output_len", "num_prompts", "image_count"):
            if getattr(self, name) < 1:
                raise InvalidValue(
                    f"{name} is {getattr(self, name)}", f"give a {name} of at least 1"
                )
        if self.max_concurrency is not None and self.max_concurrency < 1:
            raise InvalidValue(
                f"max_concurrency is {self.max_concurrency}",
                "give at least 1, or leave it out for no limit",
            )
        if not self.request_rate > 0:
            raise InvalidValue(
                f"request_rate is {self.request_rate:g} per second",
                "give one above 0, or inf to send everything at once",
            )
        if self.ramp is not None and not all(0 < rate < math.inf for rate in self.ramp):
            raise InvalidValue(
                f"ramp is {self.ramp} per second", "give two finite rates above 0, like (1, 8)"
            )
        if self.ramp is not None and math.isfinite(self.request_rate):
            raise InvalidValue(
                "a ramp and a request_rate", "give one of them: a ramp is a rate that grows"
            )
        if not 0 <= self.range_ratio <= 1:
            raise InvalidValue(
                f"range_ratio is {self.range_ratio:g}",
                "0 draws lengths from 1 up, 1 takes the given length exactly",
            )
        if self.dataset not in DATASETS:
            raise InvalidValue(f"dataset is {self.dataset!r}", f"one of: {', '.join(DATASETS)}")
        if not 0 <= self.seed < 2**32:
            raise InvalidValue(f"seed is {self.seed}", "numpy takes seeds from 0 to 2³²−1")
        tokens_of_image(self.image_resolution)  # refuses what is no size, or a strip

    @functools.cached_property
    def lengths(self) -> tuple[tuple[int, int], ...]:
        """(input tokens, output tokens) of each request, in the order they are sent.

        The input is all of it: text, images and their delimiters. A chat template comes on top.
        """
        return tuple((text + self.vision_tokens, out) for text, out in self.text_lengths)

    @functools.cached_property
    def text_lengths(self) -> tuple[tuple[int, int], ...]:
        """(text tokens, output tokens) of each request, as drawn."""
        return tuple(zip(*self._draw()[1], strict=True))

    @property
    def image_tokens(self) -> int:
        """Vision tokens of each request, without delimiters; 0 without images."""
        return self._images * tokens_of_image(self.image_resolution)[0]

    @property
    def vision_tokens(self) -> int:
        """What bench_serving counts as vision: the images of a request with their delimiters."""
        return self._images * tokens_of_image(self.image_resolution)[1]

    @property
    def _images(self) -> int:
        return self.image_count if self.dataset == "image" else 0

    @property
    def total_input_tokens(self) -> int:
        return sum(tokens for tokens, _ in self.lengths)

    @property
    def total_output_tokens(self) -> int:
        return sum(tokens for _, tokens in self.lengths)

    @functools.cached_property
    def send_s(self) -> tuple[float, ...]:
        """When each request may be sent at the earliest, in seconds after the start.

        All zero without a rate; else the first at 0 and exponential gaps between (a Poisson
        process), whatever has come back by then: that is an open loop.
        """
        if self.ramp is None and math.isinf(self.request_rate):
            return (0.0,) * self.num_prompts
        rng, _ = self._draw()
        if self.dataset == "random-ids":
            rng.integers(0, PLAIN_TOKENS, self.num_prompts)  # the offsets come before the gaps
        if self.ramp is None:
            gaps = rng.exponential(1 / self.request_rate, self.num_prompts)
            return (0.0, *accumulate(gaps[:-1]))
        return _on_ramp(rng.exponential(1.0, self.num_prompts), *self.ramp)

    def prompt(self, index: int) -> list[int]:
        """Token ids of request `index`: consecutive, from an offset of its own.

        So no two prompts share a prefix, and no data set or tokenizer is needed.
        """
        tokens, _ = self.text_lengths[index]
        start = self._offsets[index] + index
        return [(start + i) % PLAIN_TOKENS for i in range(tokens)]

    def pictures(self, index: int) -> list[bytes]:
        """The JPEG files of request `index`, each of its own noise; about 30 ms for a 720p one."""
        return [
            noise_jpeg(self.image_resolution, (self.seed, index, number))
            for number in range(self._images)
        ]

    @functools.cached_property
    def _offsets(self) -> list[int]:
        rng, _ = self._draw()
        return rng.integers(0, PLAIN_TOKENS, self.num_prompts)

    def _draw(self) -> tuple[LegacyRandom, list[list[int]]]:
        """The generator as it stands once bench_serving has drawn the lengths, and these."""
        rng = LegacyRandom(self.seed)
        return rng, [
            rng.integers(max(int(full * self.range_ratio), 1), full + 1, self.num_prompts)
            for full in (self.input_len, self.output_len)  # all inputs first, then all outputs
        ]


def image_size(resolution: str) -> tuple[int, int]:
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


def tokens_of_image(resolution: str) -> tuple[int, int]:
    """(vision tokens, tokens in all with the two delimiters) of one image. Raises InvalidValue."""
    inside = image_tokens(*image_size(resolution))
    return inside, inside + DELIMITERS


def noise_jpeg(resolution: str, seed: tuple[int, ...]) -> bytes:
    """A JPEG file of noise; the same seed gives the same image.

    Noise compresses badly and no two images are alike, so a server decodes, resizes and encodes
    each of them: none comes from a cache.
    """
    from PIL import Image

    width, height = image_size(resolution)
    noise = random.Random(repr(seed)).randbytes(3 * width * height)
    file = io.BytesIO()
    Image.frombytes("RGB", (width, height), noise).save(file, format="jpeg", quality=JPEG_QUALITY)
    return file.getvalue()


def _on_ramp(gaps: Sequence[float], first: float, last: float) -> tuple[float, ...]:
    """Arrivals of a Poisson process whose rate goes evenly from `first` to `last`, then stays.

    `gaps` are those of rate 1. Request k comes when the expected count, the integral of the
    rate, reaches the sum of its gaps; the ramp ends where that count is all of them.
    """
    slope = (last**2 - first**2) / 2 / len(gaps)

    def arrival(due: float) -> float:
        late = max(due - len(gaps), 0.0)
        rising = 2 * (due - late) / (first + math.sqrt(first**2 + 2 * slope * (due - late)))
        return rising + late / last

    return (0.0, *map(arrival, accumulate(gaps[:-1])))
