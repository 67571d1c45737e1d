"""Shapes, parameters, bytes and image tokens, beside what others publish of the same models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kit.errors import InvalidValue, UnknownName
from kit.models import ModelSpec, family, model

SHAPES = Path(__file__).parents[1] / "kit" / "data" / "models"
# Billions of parameters, as Hugging Face shows them beside each checkpoint.
SHOWN = {"0.8b": 0.87, "2b": 2.27, "4b": 4.66, "9b": 9.65, "27b": 27.78, "35b": 35.95}
# Billions in all, and active a token, from the models' own names.
NAMED = {"397b": (397, 17), "122b": (122, 10), "35b": (35, 3)}


def config(name: str) -> dict[str, Any]:
    return dict(json.loads((SHAPES / f"{name}.json").read_text()))


def written(folder: Path, shape: dict[str, Any]) -> Path:
    file = folder / "config.json"
    file.write_text(json.dumps(shape))
    return file


def test_the_family_has_eight_sizes_largest_first() -> None:
    totals = [m.total_params for m in family()]
    assert len(totals) == 8
    assert totals == sorted(totals, reverse=True)


@pytest.mark.parametrize(("name", "billions"), SHOWN.items())
def test_totals_are_those_that_hugging_face_shows(name: str, billions: float) -> None:
    assert round(model(name).total_params / 1e9, 2) == billions


@pytest.mark.parametrize(("name", "sizes"), NAMED.items())
def test_a_models_name_falls_out_of_its_config(name: str, sizes: tuple[int, int]) -> None:
    p = model(name).parameters()
    assert (abs(p.text / 1e9 - sizes[0]) < 1, abs(p.active / 1e9 - sizes[1]) < 0.5) == (True, True)


def test_397b_part_by_part() -> None:
    p = model("397b").parameters()
    assert p.text == 396_346_350_336
    assert p.active == 17_349_040_896
    assert p.mtp == 6_595_568_128
    assert p.vision == 456_010_480
    assert p.routed_experts == 60 * 512 * 3 * 1024 * 4096
    assert p.total == p.text + p.mtp + p.vision


def test_against_235b_fewer_active_more_in_all_four_times_the_experts() -> None:
    new, old = model("397b"), model("235b")
    assert round(old.total_params / 1e9) == 235
    assert round(old.active_params / 1e9) == 22
    assert round(new.parameters().text / old.total_params - 1, 2) == 0.69  # Lambda: 69 % more
    assert new.active_params / old.active_params == pytest.approx(1 - 0.23, abs=0.02)
    assert new.num_experts == 4 * old.num_experts


def test_only_a_quarter_of_the_layers_keep_a_kv_cache() -> None:
    m = model("397b")
    assert (m.full_layers, m.gdn_layers) == (15, 45)
    every_layer = m.num_hidden_layers * m.num_key_value_heads * m.head_dim * 2 * 2
    assert every_layer == 4 * m.kv_bytes_per_token(mtp=False)


def test_kv_cache_a_token_with_and_without_the_mtp_layer() -> None:
    m = model("397b")
    assert (m.kv_bytes_per_token(mtp=False), m.kv_bytes_per_token(mtp=True)) == (30_720, 32_768)
    assert m.kv_bytes_per_token(mtp=True, kv_dtype="fp8") == 16_384


def test_kv_cache_a_rank_stops_shrinking_at_the_number_of_kv_heads() -> None:
    by_rank = [model("397b").kv_bytes_per_token_per_rank(n, mtp=True) for n in (1, 2, 4, 8, 16)]
    assert by_rank == [32_768, 16_384, 16_384, 16_384, 16_384]


def test_states_go_on_shrinking_where_kv_does_not() -> None:
    m = model("397b")
    assert m.state_bytes_per_rank(16) * 16 == m.state_bytes_per_request()


@pytest.mark.parametrize(
    ("name", "float32", "bfloat16"),
    [("397b", 183.2, 93.2), ("122b", 146.5, 74.5), ("27b", 146.8, 74.8), ("0.8b", 18.6, 9.6)],
)
def test_gdn_state_of_a_request(name: str, float32: float, bfloat16: float) -> None:
    m = model(name)
    assert round(m.state_bytes_per_request() / 2**20, 1) == float32
    assert round(m.state_bytes_per_request("bfloat16") / 2**20, 1) == bfloat16


def test_a_start_log_of_397b_on_two_ranks_shows_our_bytes() -> None:
    """github.com/kvcache-ai/ktransformers/issues/1870: "max_mamba_cache_size: 82, conv_state size:
    0.13GB, ssm_state size: 7.29GB", "#tokens: 580364, K size: 4.15 GB, V size: 4.15 GB"."""
    m = model("397b")
    states = (82 + 1) * m.state_bytes_per_rank(2)
    assert states / 2**30 == pytest.approx(0.13 + 7.29, abs=0.01)
    assert 580_364 * m.kv_bytes_per_token_per_rank(2, mtp=False) / 2**30 == pytest.approx(
        4.15 + 4.15, abs=0.01
    )


@pytest.mark.parametrize(
    ("precision", "gigabytes", "tolerance"),
    [
        ("bf16", 806.8, 0.001),  # the cookbook says ~800
        ("fp8", 379 * 1.0737, 0.01),  # blog.muts.link: 379 GiB on disk
        ("nvfp4", 250, 0.02),  # the cookbook: ~250 GB
    ],
)
def test_bytes_of_397b_are_near_what_is_published(
    precision: str, gigabytes: float, tolerance: float
) -> None:
    assert model("397b").weights_bytes(precision) / 1e9 == pytest.approx(gigabytes, rel=tolerance)


def test_fewer_bits_are_fewer_bytes_and_never_less_than_the_bits() -> None:
    m = model("397b")
    sizes = {p: m.weights_bytes(p) for p in ("bf16", "fp8", "nvfp4", "mxfp4", "gptq-int4")}
    assert sizes["bf16"] > sizes["fp8"] > sizes["nvfp4"] > sizes["mxfp4"] > sizes["gptq-int4"]
    assert sizes["gptq-int4"] > m.total_params / 2
    assert m.mtp_bytes("nvfp4") == m.mtp_bytes("bf16")  # NVIDIA leaves the MTP head in BF16
    assert m.mtp_bytes("fp8") < m.mtp_bytes("bf16")


def test_a_rank_of_eight_holds_an_eighth_and_a_few_copies() -> None:
    even, copies = model("397b").rank_bytes("bf16", 8, mtp=True)
    assert round(even / 2**30, 1) == 93.9
    assert 0.2 < copies / 2**30 < 0.4
    assert model("397b").rank_bytes("bf16", 1, mtp=True)[1] == 0


@pytest.mark.parametrize(
    ("width", "height", "tokens"),
    [(1280, 720, 880), (640, 360, 220), (1920, 1080, 2040), (3840, 2160, 8160), (1, 1, 64)],
)
def test_image_tokens(width: int, height: int, tokens: int) -> None:
    vision = model("397b").vision
    assert vision is not None
    assert vision.image_tokens(width, height) == tokens
    assert vision.image_tokens(width, height, delimiters=True) == tokens + 2


@pytest.mark.parametrize(("width", "height"), [(0, 10), (10, -1), (1, 201)])
def test_images_that_cannot_be_are_refused(width: int, height: int) -> None:
    vision = model("397b").vision
    assert vision is not None
    with pytest.raises(InvalidValue):
        vision.image_tokens(width, height)


def test_a_checkpoints_own_config_reads_like_ours(tmp_path: Path) -> None:
    shape = config("397b")
    kinds = (["linear_attention"] * 3 + ["full_attention"]) * 15
    shape["text_config"] |= {"layer_types": kinds, "some_new_field": 1}
    del shape["text_config"]["full_attention_interval"]
    written(tmp_path, shape)
    read = ModelSpec.from_config(tmp_path, name="397b")
    assert read == model("397b")


def test_qwen36_has_the_same_layout(tmp_path: Path) -> None:
    shape = config("35b") | {"_name_or_path": "Qwen/Qwen3.6-35B-A3B"}
    read = ModelSpec.from_config(written(tmp_path, shape))
    assert read.name == "qwen3.6-35b-a3b"
    assert read.parameters() == model("35b").parameters()


def test_a_text_only_checkpoint_is_flat(tmp_path: Path) -> None:
    shape = config("397b")["text_config"] | {"architectures": ["Qwen3_5MoeForCausalLM"]}
    read = ModelSpec.from_config(written(tmp_path, shape))
    assert read.vision is None
    assert read.parameters().text == model("397b").parameters().text


def _without(field: str) -> dict[str, Any]:
    shape = config("27b")
    del shape["text_config"][field]
    return shape


def _with(field: str, value: Any) -> dict[str, Any]:
    shape = config("27b")
    shape["text_config"][field] = value
    return shape


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ({"architectures": ["LlamaForCausalLM"]}, "LlamaForCausalLM"),
        ({}, "no architecture"),
        ([], "no JSON object"),
        (_without("head_dim"), "head_dim"),
        (_without("intermediate_size"), "intermediate_size"),
        (_without("full_attention_interval"), "layer_types"),
        (_with("num_hidden_layers", -1), "-1"),
        (_with("num_hidden_layers", "64"), "'64'"),
        (_with("text", 1) | {"text_config": 7}, "text_config"),
        (_with("num_key_value_heads", 5), "does not divide"),
        (_with("layer_types", ["full_attention"] * 64), "layer_types"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_config_that_cannot_be_sized_says_why(shape: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match=words) as caught:
        ModelSpec.from_config(written(tmp_path, shape))
    assert caught.value.hint


def test_half_a_file_and_no_file(tmp_path: Path) -> None:
    whole = json.dumps(config("27b"))
    (tmp_path / "config.json").write_text(whole[: len(whole) // 2])
    with pytest.raises(InvalidValue, match="not whole JSON"):
        ModelSpec.from_config(tmp_path)
    with pytest.raises(InvalidValue, match="there is no"):
        ModelSpec.from_config(tmp_path / "nowhere" / "config.json")


@pytest.mark.parametrize(("wrong", "near"), [("397", "397b"), ("27B-A3", "27b"), ("8b", "0.8b")])
def test_an_unknown_model_names_the_nearest(wrong: str, near: str) -> None:
    with pytest.raises(UnknownName, match=f"did you mean .*{near}"):
        model(wrong)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_a_config_that_windows_tools_saved_is_read(encoding: str, tmp_path: Path) -> None:
    text = (SHAPES / "27b.json").read_text()
    (tmp_path / "config.json").write_bytes(text.encode(encoding))
    assert ModelSpec.from_config(tmp_path).total_params == model("27b").total_params
