"""Request lengths are those of sglang.bench_serving, draw for draw."""

import io
import math

import numpy as np
import pytest
from PIL import Image

from kit.bench import Workload
from kit.errors import InvalidValue


@pytest.mark.parametrize(
    ("seed", "prompts", "tokens_in", "tokens_out"),
    [
        (1, 10, 6101, 4220),  # printed by the cookbook's latency run
        (1, 1000, 502493, 500251),  # printed by its throughput run
        (42, 10, 3309, 3700),  # the same commands since the default seed is 42
        (42, 1000, 504929, 494908),
    ],
)
def test_totals_are_those_that_bench_serving_prints(seed, prompts, tokens_in, tokens_out):
    w = Workload(1000, 1000, prompts, seed=seed)
    assert (w.total_input_tokens, w.total_output_tokens) == (tokens_in, tokens_out)


def test_the_default_seed_is_that_of_sglang_since_0_5_14():
    assert Workload(1000, 1000, 10).total_input_tokens == 3309


def test_each_length_is_numpys_draw():
    np.random.seed(7)
    inputs = np.random.randint(25, 101, 20)
    outputs = np.random.randint(10, 41, 20)
    w = Workload(100, 40, 20, seed=7, range_ratio=0.25)
    assert w.lengths == tuple(zip(inputs.tolist(), outputs.tolist(), strict=True))


def test_range_ratio_one_is_exact():
    w = Workload(8192, 1024, 512, seed=0, range_ratio=1)
    assert w.total_input_tokens == 4_194_304  # Lambda's totals
    assert w.total_output_tokens == 524_288


def test_without_a_rate_everything_may_go_at_once():
    assert set(Workload(10, 10, 5).send_s) == {0.0}


def test_a_rate_is_a_poisson_process_drawn_after_the_lengths():
    w = Workload(100, 100, 4000, request_rate=8.0, seed=3)
    np.random.seed(3)
    np.random.randint(1, 101, 4000)
    np.random.randint(1, 101, 4000)
    gaps = np.random.exponential(1 / 8.0, 4000)
    assert w.send_s[0] == 0.0
    assert np.allclose(np.diff(w.send_s), gaps[:-1])
    assert np.mean(np.diff(w.send_s)) == pytest.approx(1 / 8, rel=0.06)


def test_prompts_have_their_length_and_share_no_prefix():
    w = Workload(50, 10, 200)
    prompts = [w.prompt(i) for i in range(200)]
    assert [len(p) for p in prompts] == [tokens for tokens, _ in w.lengths]
    assert len({p[0] for p in prompts}) == 200
    assert all(0 <= token < 248_044 for p in prompts for token in p)


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_prompts": 0},
        {"input_len": 0},
        {"output_len": -1},
        {"max_concurrency": 0},
        {"request_rate": 0.0},
        {"request_rate": math.nan},
        {"range_ratio": 1.5},
        {"dataset": "sharegpt"},
        {"seed": -1},
        {"image_count": 0},
        {"image_resolution": "8k"},
        {"image_resolution": "0x100"},
        {"image_resolution": "1x999"},
        {"ramp": (0, 5)},
        {"ramp": (1, math.inf)},
        {"ramp": (1, 5), "request_rate": 3.0},
    ],
)
def test_what_no_benchmark_can_send_is_refused(wrong):
    with pytest.raises(InvalidValue):
        Workload(**{"input_len": 10, "output_len": 10, "num_prompts": 10, **wrong})


@pytest.mark.parametrize(
    ("resolution", "size", "tokens"),
    [
        ("360p", (640, 360), 220),
        ("720p", (1280, 720), 880),
        ("1080p", (1920, 1080), 2040),
        ("4k", (3840, 2160), 8160),
        ("96x256", (256, 96), 70),  # bench_serving's order: height first; grown to 65,536 pixels
    ],
)
def test_a_picture_is_a_jpeg_of_its_size_and_costs_its_tokens(resolution, size, tokens):
    w = Workload(8, 8, 2, dataset="image", image_count=2, image_resolution=resolution)
    assert w.image_tokens == 2 * tokens
    assert w.vision_tokens == w.image_tokens + 4
    if resolution == "4k":
        return  # half a second each, and no other code
    first, second = (Image.open(io.BytesIO(file)) for file in w.pictures(0))
    assert (first.format, first.size) == ("JPEG", size)
    assert first.tobytes() != second.tobytes()


def test_pictures_are_noise_and_the_seed_draws_the_same_again():
    one, other = (Workload(8, 8, 2, dataset="image", image_resolution="96x96") for _ in range(2))
    assert one.pictures(0) == other.pictures(0)
    assert one.pictures(0) != one.pictures(1)
    pixels = np.asarray(Image.open(io.BytesIO(one.pictures(0)[0])), dtype=float)
    assert pixels.std() > 20


def test_beside_images_text_is_drawn_as_ever_and_the_input_is_all_of_it():
    plain = Workload(128, 1024, 10, seed=1)
    seeing = Workload(128, 1024, 10, seed=1, dataset="image", image_count=2)
    assert seeing.text_lengths == plain.lengths
    assert [i - (880 + 2) * 2 for i, _ in seeing.lengths] == [i for i, _ in plain.lengths]
    assert seeing.total_output_tokens == plain.total_output_tokens


def test_a_ramp_is_a_poisson_process_whose_rate_grows():
    w = Workload(10, 10, 6000, ramp=(2.0, 10.0))
    sent = np.array(w.send_s)
    assert sent[0] == 0
    assert np.all(np.diff(sent) >= 0)
    ends = 6000 / ((2 + 10) / 2)
    assert sent[-1] == pytest.approx(ends, rel=0.05)
    for part in range(4):  # expected: the rate in the middle of each quarter, times its length
        begin, end = part * ends / 4, (part + 1) * ends / 4
        rate = 2 + (10 - 2) * (part + 0.5) / 4
        assert ((sent >= begin) & (sent < end)).sum() == pytest.approx(rate * ends / 4, rel=0.12)


def test_a_ramp_that_does_not_grow_is_a_rate():
    flat = Workload(10, 10, 50, ramp=(4.0, 4.0))
    assert flat.send_s == pytest.approx(Workload(10, 10, 50, request_rate=4.0).send_s)
